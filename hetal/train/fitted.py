"""Outputs of a round's networks on the distinct images of the pool, as query strategies read them."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from hetal.errors import BadInput, Diverged
from hetal.machine.arithmetic import float32_products
from hetal.machine.clock import Stopwatch
from hetal.machine.scratch import Stack, gathered
from hetal.machine.transfer import to_device
from hetal.record.checkpoint import State
from hetal.rng import seeded
from hetal.train.given import given_features
from hetal.train.head import EnsembleHead, Head, find_head
from hetal.train.masks import dropouts_in, share_masks
from hetal.train.members import ensemble_in, logits_of_members

T = TypeVar("T")


class Outputs(NamedTuple):
    """Logits (n, C), their softmax (n, C) and penultimate features (n, D) of n images, float32."""

    logits: Tensor
    probs: Tensor
    features: Tensor


@dataclass(frozen=True)
class Pair:
    """A network and its moving average at one moment of training."""

    online: nn.Module
    ema: nn.Module

    def state_dict(self) -> State:
        """Return the weights and buffers of both."""
        return {"online": self.online.state_dict(), "ema": self.ema.state_dict()}

    def load_state_dict(self, state: State) -> None:
        """Restore what `state_dict` returned, into networks of the same architecture."""
        self.online.load_state_dict(state["online"])
        self.ema.load_state_dict(state["ema"])


class Standardise:
    """Standardise stored images to network input: (x - mean) / std as float32, in the network's memory layout.

    Args:
        mean, std: per channel or feature, in the units of the images; or one value for all.
        image_shape: (C, H, W) or (D,).
        channels_last: whether batches have the channels-last memory format, which is faster for convolutions.
        device: of the images.

    Attributes:
        layout: memory format of batches.
    """

    def __init__(
        self,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        image_shape: tuple[int, ...],
        channels_last: bool,
        device: torch.device,
    ) -> None:
        shape = (-1, *[1] * (len(image_shape) - 1))
        self._mean, self._scale = to_device(
            device, torch.tensor(mean).reshape(shape), 1 / torch.tensor(std).reshape(shape)
        )
        self.layout = torch.channels_last if channels_last else torch.contiguous_format

    def __call__(self, images: Tensor) -> Tensor:
        """Map (n, *image_shape) uint8, float16 or float32 to the same shape in float32."""
        x = images.to(torch.float32, memory_format=self.layout)
        centred = x.sub(self._mean) if x is images else x.sub_(self._mean)
        return centred.mul_(self._scale)


class Fitted:
    """The networks of one round and their outputs on the M distinct images of the pool, computed on demand.

    Args:
        networks: the trained network and its moving average, of which the former is tested; None before any training,
            where only what the data give can be read.
        images_M: distinct images of the pool.
        prepare: maps stored images to network input.
        batch_size: images per forward pass.
        snapshot: the pair that LHD compares, from before fine-tuning; None if training kept none.
        tuned: the pair just after fine-tuning, which is `networks` where nothing followed; None without fine-tuning.
        targets: (T, *image_shape) images of the test set, as stored; None unless the strategy declared that it reads
            them.
        attempt: 1 for the first network of a round, one more after each restart of its training.
        given_M: (M, ...) features that the data bring along beside the images; None where they bring none.
        n_classes: C of the task; None reads it off the network.
        tf32: whether forward passes may use TF32, see `hetal.machine.arithmetic`.

    Attributes:
        watch: the time of forward passes.
    """

    def __init__(
        self,
        networks: Pair | None,
        images_M: Tensor,
        prepare: Standardise,
        batch_size: int,
        snapshot: Pair | None = None,
        tuned: Pair | None = None,
        targets: Tensor | None = None,
        attempt: int = 1,
        given_M: Tensor | None = None,
        n_classes: int | None = None,
        tf32: bool = False,
    ) -> None:
        self.tuned = tuned
        self.attempt = attempt
        self.watch = Stopwatch(images_M.device)
        self._networks = networks
        self._snapshot = snapshot
        self._targets = targets
        self._images_M = images_M
        self._given_M = given_M
        self._n_classes = n_classes
        self._prepare = prepare
        self._batch_size = batch_size
        self._tf32 = tf32

    @property
    def networks(self) -> Pair:
        """The trained network and its moving average.

        Raises:
            BadInput: there are none yet, since this is the choice of the start set.
        """
        if self._networks is None:
            raise BadInput(
                "start: it reads a network, and before the first labels there is none; there are given_MD and the pool"
            )
        return self._networks

    @property
    def snapshot(self) -> Pair:
        """The pair of networks at LHD's moment T, from before any fine-tuning.

        Raises:
            RuntimeError: training has kept none: no strategy declared `reads_snapshot`, or T has not come yet.
        """
        if self._snapshot is None:
            raise RuntimeError(
                "this strategy reads the snapshot pair but does not declare reads_snapshot = True, "
                "or reads it after an epoch before LHD's moment T"
            )
        return self._snapshot

    @property
    def targets(self) -> Tensor:
        """Images of the test set as stored, without labels: (T, *image_shape); for `outputs` and `passes`.

        Raises:
            BadInput: the strategy did not declare `reads_targets`.
        """
        if self._targets is None:
            raise BadInput("this strategy reads test inputs but does not declare reads_targets = True")
        return self._targets

    def tensors(self) -> dict[str, Tensor]:
        """Return all weights and buffers of the networks and the target inputs, by names for messages."""
        weights = {
            f"{name}'s {key}": tensor
            for name, network in self._all_networks().items()
            for key, tensor in network.state_dict(keep_vars=True).items()
        }
        return weights if self._targets is None else {**weights, "fitted.targets": self._targets}

    def structure(self) -> dict[str, object]:
        """Return what else determines the outputs (modules, forward methods, hooks), by names for messages."""
        parts: dict[str, object] = {
            f"fitted.{key}": id(value)
            for key, value in vars(self).items()
            # What changes when outputs are computed is left out.
            if key != "_batch_size" and not isinstance(getattr(type(self), key, None), cached_property)
        }
        for name, network in self._all_networks().items():
            for path, module in network.named_modules():
                # Other attributes are left out: a network may store its last outputs in them.
                hooks = [[*value] for key, value in vars(module).items() if key.endswith("_hooks")]
                forward = (id(type(module).forward), id(vars(module).get("forward")))
                parts[f"{name}'s {path or 'forward'}"] = (id(module), forward, hooks)
        return parts

    def _all_networks(self) -> dict[str, nn.Module]:
        pairs = {"networks": self._networks, "snapshot": self._snapshot, "tuned": self.tuned}
        networks: dict[str, nn.Module] = {}
        for name, pair in pairs.items():
            if pair is not None:
                networks |= {f"fitted.{name}.online": pair.online, f"fitted.{name}.ema": pair.ema}
        return networks

    @cached_property
    def _outputs_M(self) -> Outputs:
        return self.outputs(self.networks.online, self._images_M)

    @property
    def n_classes(self) -> int:
        """C, the number of classes of the task."""
        return self.probs_MC.shape[1] if self._n_classes is None else self._n_classes

    @property
    def logits_MC(self) -> Tensor:
        """Logits of every distinct image, (M, C): what `probs_MC` is the softmax of."""
        return self._outputs_M.logits

    @property
    def probs_MC(self) -> Tensor:
        """Class probabilities of every distinct image, (M, C)."""
        return self._outputs_M.probs

    @property
    def features_MD(self) -> Tensor:
        """Penultimate features of every distinct image, (M, D)."""
        return self._outputs_M.features

    @cached_property
    def head(self) -> Head | EnsembleHead:
        """The network's last layer as a function of features: head(features_MD) = logits_MC.

        That of a single network has its weights, `weight_CD` and `bias_C`.

        Raises:
            BadInput: the network has no linear layer that maps its features to its logits.
        """
        some = self.outputs(self.networks.online, self._images_M[:2])
        return find_head(self.networks.online, some.logits, some.features)

    @cached_property
    def given_MD(self) -> Tensor:
        """Features that the data bring along, of every distinct image, (M, D); see `hetal.train.given`."""
        return given_features(self._images_M, self._prepare, self._given_M)

    @property
    def n_members(self) -> int:
        """K, the number of networks in the ensemble, `model.members`; 1 of a single network."""
        ensemble = ensemble_in(self.networks.online)
        return 1 if ensemble is None else ensemble.n_members

    @cached_property
    def members_KMC(self) -> Tensor:
        """Class probabilities of every distinct image by each member of an ensemble, (K, M, C)."""
        return torch.cat([*self.members(self._images_M)], 1)

    def members(self, images: Tensor) -> Iterator[Tensor]:
        """Yield the probabilities (K, b, C) by each member of an ensemble, for each batch of b images in turn.

        Args:
            images: (n, *image_shape) as stored.

        Raises:
            Diverged: an output is not finite.
        """
        network = copy.deepcopy(self.networks.online).eval()

        @torch.inference_mode()
        def probs_of(batch: Tensor) -> Tensor:
            return logits_of_members(network, self._prepare(batch)).softmax(-1)

        are_finite = []
        for probs_KbC in self._of_batches(images, probs_of):
            are_finite.append(probs_KbC.isfinite().all())
            yield probs_KbC
        if are_finite and not bool(torch.stack(are_finite).all()):
            raise Diverged("a member of the ensemble gives NaN or infinity; a smaller optimizer.lr may help")

    def images(self, numbers: Tensor) -> Tensor:
        """Return the stored images of these image numbers."""
        return gathered(self._images_M, numbers)

    def outputs(self, network: nn.Module, images: Tensor, are_finite: list[Tensor] | None = None) -> Outputs:
        """Run `network` on stored images.

        Args:
            network: one of the pair's networks; its mode and its batch-norm statistics stay as they are.
            images: (n, *image_shape) as stored.
            are_finite: where given, what says of which images outputs are finite, (n,) bool, is appended to it, and is
                for the caller to check, see `check_finite`: once for many passes, since the host waits for a GPU there.

        Raises:
            Diverged: an output is not finite.
        """
        was_training = network.training
        network.eval()
        result = self._run(network, images, are_finite=are_finite)
        network.train(was_training)
        return result

    def train_mode_outputs(
        self, network: nn.Module, images: Tensor, batch_size: int
    ) -> tuple[Outputs, nn.Module]:
        """Run a copy of `network` in train mode, as the LHD paper's code does; return its outputs and the copy.

        Batch norm then uses the statistics of each batch, so that outputs depend on the order of `images`, and the
        running statistics of the copy are overwritten by those of the last batches.

        Args:
            network: one of the pair's networks; it stays as it is.
            images: (n, *image_shape) as stored.
            batch_size: images per batch.

        Raises:
            Diverged: an output is not finite.
        """
        network = copy.deepcopy(network).train()
        return self._run(network, images, batch_size), network

    def passes(
        self, k: int, images: Tensor, rng: torch.Generator, same_masks: bool = False
    ) -> Iterator[Tensor]:
        """Yield the probabilities (k, b, C) of `k` dropout passes, for each batch of b images in turn.

        Args:
            k: stochastic forward passes per image.
            images: (n, *image_shape) as stored.
            rng: CPU generator that seeds the dropout masks.
            same_masks: drop the same units for all images in a pass, as one network drawn from the posterior does.
                Another call with a generator in the same state drops the same. Not of an ensemble.

        Raises:
            Diverged: after the last batch, if an output was not finite.
        """
        network = copy.deepcopy(self.networks.online).eval()
        for module in dropouts_in(network):
            module.train()
        if same_masks:
            if self.n_members > 1:
                raise ValueError("same_masks is for a single network; an ensemble has members(images)")
            share_masks(network)

        @torch.inference_mode()
        def probs_of(batch: Tensor) -> Tensor:
            passes = []
            for seed in seeds:
                if seed is not None:
                    torch.manual_seed(seed)
                passes.append(network(self._prepare(batch))[0].softmax(1))
            return torch.stack(passes)

        are_finite = []
        with seeded(rng, images.device):
            seeds = torch.randint(2**62, (k,)).tolist() if same_masks else [None] * k
            for probs_kbC in self._of_batches(images, probs_of):
                are_finite.append(probs_kbC.isfinite().all(2).all(0))
                yield probs_kbC
        check_finite(are_finite)

    def _run(
        self,
        network: nn.Module,
        images: Tensor,
        batch_size: int | None = None,
        are_finite: list[Tensor] | None = None,
    ) -> Outputs:
        """Run a network as it is, in batches of a size that the result depends on, or of any; check, see `outputs`."""

        @torch.inference_mode()
        def outputs_of(batch: Tensor) -> tuple[Tensor, Tensor]:
            logits, features = network(self._prepare(batch))
            return logits, features

        logits, features, have_finite = Stack(len(images)), Stack(len(images)), []
        with torch.inference_mode():
            for f, h in self._of_batches(images, outputs_of, batch_size):
                logits.append(f)
                features.append(h)
                have_finite.append(h.isfinite().all(1))
            logits_nC = logits.tensor()
            result = Outputs(logits_nC, logits_nC.softmax(1), features.tensor())
            is_finite_n = result.probs.isfinite().all(1) & torch.cat(have_finite)
        if are_finite is None:
            check_finite([is_finite_n])
        else:
            are_finite.append(is_finite_n)
        return result

    def _of_batches(
        self, images: Tensor, compute: Callable[[Tensor], T], batch_size: int | None = None
    ) -> Iterator[T]:
        """Yield what is computed of each batch of images in turn, at the size of `split`.

        Where a GPU has too little memory, batches are halved from there on, unless their size is given.
        """
        start = 0
        while start < len(images):
            size = batch_size or self._batch_size
            end = start + size + (start + size + 1 == len(images))
            try:
                with self.watch, float32_products(self._tf32):
                    result = compute(images[start:end])
            except torch.OutOfMemoryError:
                if batch_size is not None or size == 1:
                    raise
            else:
                yield result
                start = end
                continue
            # Here, where the traceback holds no tensors any more.
            self._batch_size = size // 2
            torch.cuda.empty_cache()
            print(
                f"train.score_batch_size={size}: too large for the memory of the GPU, going on with {size // 2}",
                file=sys.stderr,
            )


def check_finite(are_finite: Sequence[Tensor]) -> None:
    """Check flags of images, in parts, which say whether their outputs are finite.

    Raises:
        Diverged: some are not.
    """
    if n_bad := int(sum((~part).sum() for part in are_finite)):
        n = sum(len(part) for part in are_finite)
        raise Diverged(
            f"the network gives NaN or infinity for {n_bad} of {n} images; "
            "a smaller optimizer.lr or data.std as large as the data vary may help"
        )


def split(rows: Tensor, size: int) -> tuple[Tensor, ...]:
    """Split into batches of `size`; a last single row is added to the batch before, since batch norm needs two rows."""
    n_full, rest = divmod(len(rows), size)
    sizes = [size] * n_full
    if rest == 1 and n_full:
        sizes[-1] += 1
    elif rest:
        sizes.append(rest)
    batches: tuple[Tensor, ...] = rows.split(sizes)
    return batches


def has_dropout(network: nn.Module) -> bool:
    """Return whether `network` has active dropout layers, so that two passes can differ."""
    return any(m.p > 0 for m in dropouts_in(network))
