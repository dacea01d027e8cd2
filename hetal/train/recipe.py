"""How a network is trained: the settings of training, checked, and what they make of a network.

The published protocol (LHD paper, section on experiments): a fresh network every round; Adam; gradients
clipped by value; stop when the online and the moving-average network have learnt the labels, or at the cap.
Where its code and sound practice differ, the argument that reproduces the code is named `own_ema`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from hetal.errors import BadInput, make_part
from hetal.task import Task
from hetal.train.finetune import PseudoLabel
from hetal.train.fitted import Standardise
from hetal.train.precision import InBfloat16, arrange, takes_channels_last
from hetal.train.stopping import Threshold

Network = Callable[[Sequence[int], int], nn.Module]


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Args:
        network: called as network(image_shape, n_classes).
        task: gives shapes, classes and standardisation; its labels are not read.
        finetune: what follows training, or None.
        device: where to train.
        lr: learning rate of Adam.
        batch_size: rows a step.
        score_batch_size: images a forward pass when nothing is trained.
        clip: gradients are clipped by value to +-clip.
        max_epochs: cap on the epochs of a round, those before a restart included.
        stop: when training is done, see `hetal.train.stopping`.
        restart_every, restart_below: after each `restart_every` epochs of an attempt, start again from a
            fresh network if the epoch's accuracy is under `restart_below`.
        ema_decay: largest decay of the moving average.
        own_ema: start the average from its own random weights and count steps over all rounds.
        falling_epochs: the snapshot pair is taken at the end of this many epochs in a row in which the
            online accuracy fell towards (or below) the average's; else after the last epoch.
        precision: "fp32"; or "bf16", in which products of matrices and convolutions are computed in bfloat16
            and everything that is kept stays in float32.
        compile: compile the network under training with torch.compile; on CUDA only.
        checkpoint_minutes: keep the state of a round on disk every so many minutes, and when stopped; 0 is
            after every epoch, None never. Changes no result.
    """

    network: Network
    task: Task
    finetune: PseudoLabel | None
    device: torch.device
    lr: float
    batch_size: int
    score_batch_size: int
    clip: float
    max_epochs: int
    stop: Threshold
    restart_every: int
    restart_below: float
    ema_decay: float
    own_ema: bool
    falling_epochs: int
    precision: str
    compile: bool
    checkpoint_minutes: float | None

    def __post_init__(self) -> None:
        for name in ("lr", "clip"):
            if not getattr(self, name) > 0:
                raise BadInput(f"train.{name}={getattr(self, name)}: must be positive")
        for name in ("batch_size", "score_batch_size", "max_epochs", "restart_every", "falling_epochs"):
            if getattr(self, name) < 1:
                raise BadInput(f"train.{name}={getattr(self, name)}: must be at least 1")
        if not 0 <= self.ema_decay < 1:
            raise BadInput(f"train.ema_decay={self.ema_decay}: must be in [0, 1)")
        if self.precision not in ("fp32", "bf16"):
            raise BadInput(f"train.precision={self.precision}: must be fp32 or bf16")
        if self.precision == "bf16" and self.device.type == "mps":
            raise BadInput("train.precision=bf16: not on device=mps; there is fp32")
        if self.compile and self.device.type != "cuda":
            raise BadInput(f"train.compile=true: only on device=cuda, not on {self.device.type}")
        if self.checkpoint_minutes is not None and not self.checkpoint_minutes >= 0:
            raise BadInput(f"train.checkpoint_minutes={self.checkpoint_minutes}: must be at least 0, or null")
        if self.finetune is not None and self.finetune.augment is not None:
            self.finetune.augment.check(self.task.image_shape, self.task.train.images.dtype)

    def new_network(self) -> nn.Module:
        """Build a network with fresh random weights (on the CPU's generator, so alike on every device)."""
        network = make_part("model", self.network, nn.Module, self.task.image_shape, self.task.n_classes)
        if self.precision == "bf16":
            network = InBfloat16(network)
        return arrange(network.to(self.device))

    def prepare(self, network: nn.Module) -> Standardise:
        """Return the map from stored images to what `network` takes."""
        task = self.task
        return Standardise(task.mean, task.std, task.image_shape, takes_channels_last(network), self.device)
