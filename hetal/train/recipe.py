"""Settings of training, checked, and the networks and inputs that follow from them.

The published protocol (LHD paper, section on experiments): a fresh network every round; Adam; gradients
clipped by value; stop when the online and the moving-average network have learnt the labels, or at the maximum number
of epochs. Where the paper's code departs from sound practice, `own_ema`, `ema_on_batches`, `falls_over_restarts` and
`finetune_at_snapshot` reproduce the code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hetal.augment import Augmentation
from hetal.errors import BadInput, make_part
from hetal.machine.transfer import move
from hetal.task import Task
from hetal.train.finetune import PseudoLabel
from hetal.train.forward import Standardise
from hetal.train.optim import MakeOptimizer
from hetal.train.precision import InBfloat16, arrange, takes_channels_last
from hetal.train.schedule import MakeSchedule
from hetal.train.stopping import Threshold
from hetal.train.warm_start import WarmStart

Network = Callable[[Sequence[int], int], nn.Module]
Loss = Callable[[Tensor, Tensor], Tensor]

# On which kinds of device there is what precision.
PRECISIONS = {"fp32": ("cpu", "cuda", "mps"), "tf32": ("cuda",), "bf16": ("cpu", "cuda")}


@dataclass(frozen=True)
class Recipe:
    """Settings of training.

    Args:
        network: called as network(image_shape, n_classes).
        task: for shapes, classes and standardisation; its labels are not read.
        finetune: settings of fine-tuning, or None.
        device: to train on.
        optimizer: makes the optimizer of a list of parameters, such as `hetal.train.Adam` or any of torch.optim.
        schedule: makes the scheduler of an optimizer, see `hetal.train.schedule`; None keeps the rate constant.
        loss: maps logits (B, C) and labels (B,) to the mean loss, a scalar. If it has a method `begin_epoch`, that is
            called with the number of each epoch of an attempt, from 1, before it.
        label_smoothing: share of a label that is spread over all classes, in [0, 1); `loss` has it already, it is here
            to be refused beside a loss without it.
        augment: of the images in training; fine-tuning has its own. None for none.
        warm_start: makes the network that a round starts from out of a fresh one and the weights that the last round
            ended with, see `hetal.train.warm_start`; None for the fresh one.
        batch_size: rows per step.
        score_batch_size: images per forward pass outside training.
        clip: gradients are clipped by value to +-clip; None does not.
        clip_norm: gradients are scaled to at most this norm over all parameters; None does not. Not both clips.
        max_epochs: maximum epochs of a round, including those before a restart.
        stop: stopping rule, see `hetal.train.stopping`.
        restart_every, restart_below: after every `restart_every` epochs of an attempt, restart with a fresh network if
            the epoch's accuracy is below `restart_below`.
        ema_decay: largest decay of the moving average.
        own_ema: start the moving average from separate random weights and count steps over all rounds.
        ema_on_batches: run the moving average on every batch, which gives it its own batch-norm statistics, and its
            train accuracy; see `hetal.train.ema`.
        falling_epochs: the snapshot pair is taken after this many consecutive epochs in which the online accuracy minus
            the moving average's fell; else after the last epoch.
        falls_over_restarts: count them from the first epoch on and over restarts; see `hetal.train.snapshot`.
        finetune_at_snapshot: where a snapshot pair is taken, fine-tune at once, then train on; see `hetal.train.fit`.
        precision: "fp32"; "tf32", where an NVIDIA GPU rounds the factors of matrix products and convolutions to 10
            bits; or "bf16", where these are computed in bfloat16. All that is stored is float32, and strategies
            select in float32 and float64 always.
        graph: take training steps as CUDA graphs, see `hetal.train.graph`; on CUDA only. What is computed differs from
            plain steps by rounding.
        checkpoint_minutes: save the state of a round to disk every so many minutes and when stopped; 0 saves after
            every epoch, None never. Changes no result.
    """

    network: Network
    task: Task
    finetune: PseudoLabel | None
    device: torch.device
    optimizer: MakeOptimizer
    schedule: MakeSchedule | None
    loss: Loss
    label_smoothing: float
    augment: Augmentation | None
    warm_start: WarmStart | None
    batch_size: int
    score_batch_size: int
    clip: float | None
    clip_norm: float | None
    max_epochs: int
    stop: Threshold
    restart_every: int
    restart_below: float
    ema_decay: float
    own_ema: bool
    ema_on_batches: bool
    falling_epochs: int
    falls_over_restarts: bool
    finetune_at_snapshot: bool
    precision: str
    graph: bool
    checkpoint_minutes: float | None

    def __post_init__(self) -> None:
        for name in ("clip", "clip_norm"):
            if (limit := getattr(self, name)) is not None and not limit > 0:
                raise BadInput(f"train.{name}={limit}: must be positive, or null")
        if self.clip is not None and self.clip_norm is not None:
            raise BadInput(
                f"train.clip_norm={self.clip_norm}: not together with train.clip={self.clip}, which clips by value; "
                "one of them must be null"
            )
        if not 0 <= self.label_smoothing < 1:
            raise BadInput(f"train.label_smoothing={self.label_smoothing}: must be in [0, 1)")
        if self.label_smoothing and self.label_smoothing != (
            own := getattr(self.loss, "label_smoothing", "none")
        ):
            raise BadInput(
                f"train.label_smoothing={self.label_smoothing}: {type(self.loss).__name__} has {own}; it must be 0, or "
                "train.loss=cross_entropy"
            )
        for name in ("batch_size", "score_batch_size", "max_epochs", "restart_every", "falling_epochs"):
            if getattr(self, name) < 1:
                raise BadInput(f"train.{name}={getattr(self, name)}: must be at least 1")
        if not 0 <= self.ema_decay < 1:
            raise BadInput(f"train.ema_decay={self.ema_decay}: must be in [0, 1)")
        if self.precision not in PRECISIONS:
            raise BadInput(f"train.precision={self.precision}: must be fp32, tf32 or bf16")
        if self.device.type not in PRECISIONS[self.precision]:
            allowed = " or ".join(name for name, kinds in PRECISIONS.items() if self.device.type in kinds)
            raise BadInput(
                f"train.precision={self.precision}: not on device={self.device.type}; there is {allowed}"
            )
        if self.graph and self.device.type != "cuda":
            raise BadInput(f"train.graph=true: only on device=cuda, not on {self.device.type}")
        if self.graph and hasattr(self.loss, "begin_epoch"):
            raise BadInput(
                f"train.graph=true: not with the loss {type(self.loss).__name__}, which changes from epoch to epoch, "
                "as a graph cannot"
            )
        if self.checkpoint_minutes is not None and not self.checkpoint_minutes >= 0:
            raise BadInput(f"train.checkpoint_minutes={self.checkpoint_minutes}: must be at least 0, or null")
        image_shape, dtype = self.task.image_shape, self.task.train.images.dtype
        if self.augment is not None:
            self.augment.check(image_shape, dtype, "train.augment")
        if self.finetune is not None and self.finetune.augment is not None:
            self.finetune.augment.check(image_shape, dtype, "finetune.augment")

    def new_network(self) -> nn.Module:
        """Build a network with fresh random weights, drawn on the CPU so that they are the same on every device."""
        network = make_part("model", self.network, nn.Module, self.task.image_shape, self.task.n_classes)
        if self.precision == "bf16":
            network = InBfloat16(network)
        return arrange(move(network, self.device))

    def prepare(self, network: nn.Module) -> Standardise:
        """Return the map from stored images to inputs of `network`."""
        task = self.task
        return Standardise(task.mean, task.std, task.image_shape, takes_channels_last(network), self.device)
