"""Outputs of a round's networks on the distinct images of the pool, as query strategies read them."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hetal.errors import Diverged
from hetal.rng import seeded
from hetal.train.members import ensemble_in, logits_of_members


class Outputs(NamedTuple):
    """Class probabilities (n, C) and penultimate features (n, D) of n images, float32."""

    probs: Tensor
    features: Tensor


@dataclass(frozen=True)
class Pair:
    """A network and its moving average at one moment of training."""

    online: nn.Module
    ema: nn.Module


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
        self._mean = torch.tensor(mean, device=device).reshape(shape)
        self._scale = 1 / torch.tensor(std, device=device).reshape(shape)
        self.layout = torch.channels_last if channels_last else torch.contiguous_format

    def __call__(self, images: Tensor) -> Tensor:
        """Map (n, *image_shape) uint8 or float32 to the same shape in float32."""
        x = images.to(torch.float32, memory_format=self.layout)
        centred = x.sub(self._mean) if x is images else x.sub_(self._mean)
        return centred.mul_(self._scale)


class Fitted:
    """The networks of one round and their outputs on the M distinct images of the pool, computed on demand.

    Args:
        networks: the trained network and its moving average, after fine-tuning if there was any.
        images_M: distinct images of the pool.
        prepare: maps stored images to network input.
        batch_size: images per forward pass.
        snapshot: the pair that LHD compares, from before fine-tuning; None if training kept none.
        fine_tuned: whether `networks` were fine-tuned on pseudo-labels after `snapshot`.
    """

    def __init__(
        self,
        networks: Pair,
        images_M: Tensor,
        prepare: Standardise,
        batch_size: int,
        snapshot: Pair | None = None,
        fine_tuned: bool = False,
    ) -> None:
        self.networks = networks
        self.fine_tuned = fine_tuned
        self.seconds = 0.0
        self._snapshot = snapshot
        self._images_M = images_M
        self._prepare = prepare
        self._batch_size = batch_size

    @property
    def snapshot(self) -> Pair:
        """The pair of networks at LHD's moment T, from before any fine-tuning.

        Raises:
            RuntimeError: training kept none, since no strategy declared `reads_snapshot`.
        """
        if self._snapshot is None:
            raise RuntimeError(
                "this strategy reads the snapshot pair but does not declare reads_snapshot = True"
            )
        return self._snapshot

    def tensors(self) -> dict[str, Tensor]:
        """Return all weights and buffers of the networks, by names for messages."""
        return {
            f"{name}'s {key}": tensor
            for name, network in self._all_networks().items()
            for key, tensor in network.state_dict(keep_vars=True).items()
        }

    def structure(self) -> dict[str, object]:
        """Return what else determines the outputs (modules, forward methods, hooks), by names for messages."""
        parts: dict[str, object] = {
            f"fitted.{key}": id(value)
            for key, value in vars(self).items()
            if key not in ("seconds", "_outputs_M", "members_KMC")  # which change when outputs are computed
        }
        for name, network in self._all_networks().items():
            for path, module in network.named_modules():
                # Other attributes are left out: a network may store its last outputs in them.
                hooks = [[*value] for key, value in vars(module).items() if key.endswith("_hooks")]
                forward = (id(type(module).forward), id(vars(module).get("forward")))
                parts[f"{name}'s {path or 'forward'}"] = (id(module), forward, hooks)
        return parts

    def _all_networks(self) -> dict[str, nn.Module]:
        networks = {"fitted.networks.online": self.networks.online, "fitted.networks.ema": self.networks.ema}
        if self._snapshot is not None:
            pair = self._snapshot
            networks |= {"fitted.snapshot.online": pair.online, "fitted.snapshot.ema": pair.ema}
        return networks

    @cached_property
    def _outputs_M(self) -> Outputs:
        return self.outputs(self.networks.online, self._images_M)

    @property
    def probs_MC(self) -> Tensor:
        """Class probabilities of every distinct image, (M, C)."""
        return self._outputs_M.probs

    @property
    def features_MD(self) -> Tensor:
        """Penultimate features of every distinct image, (M, D)."""
        return self._outputs_M.features

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
        for batch in images.split(self._batch_size):
            began = time.perf_counter()
            with torch.inference_mode():
                probs_KbC = logits_of_members(network, self._prepare(batch)).softmax(-1)
            if not bool(probs_KbC.isfinite().all()):
                raise Diverged(
                    "a member of the ensemble gives NaN or infinity; a smaller optimizer.lr may help"
                )
            self.seconds += time.perf_counter() - began
            yield probs_KbC

    def images(self, numbers: Tensor) -> Tensor:
        """Return the stored images of these image numbers."""
        return self._images_M.index_select(0, numbers)

    def outputs(self, network: nn.Module, images: Tensor, batch_statistics: int | None = None) -> Outputs:
        """Run `network` on stored images.

        Args:
            network: one of the pair's networks; its mode and its batch-norm statistics stay as they are.
            images: (n, *image_shape) as stored.
            batch_statistics: run a copy in train mode on batches of this size, as the LHD paper's code does: batch norm
                then uses the statistics of each batch, so outputs depend on the order of `images`.

        Raises:
            Diverged: an output is not finite.
        """
        if batch_statistics is not None:
            return self._run(copy.deepcopy(network).train(), images, batch_statistics)
        was_training = network.training
        network.eval()
        result = self._run(network, images)
        network.train(was_training)
        return result

    def passes(self, k: int, images: Tensor, rng: torch.Generator) -> Iterator[Tensor]:
        """Yield the probabilities (k, b, C) of `k` dropout passes, for each batch of b images in turn.

        Args:
            k: stochastic forward passes per image.
            images: (n, *image_shape) as stored.
            rng: CPU generator that seeds the dropout masks.
        """
        network = copy.deepcopy(self.networks.online).eval()
        for module in network.modules():
            if isinstance(module, nn.modules.dropout._DropoutNd):
                module.train()
        with seeded(rng, images.device):
            for batch in images.split(self._batch_size):
                yield torch.stack([self._run(network, batch).probs for _ in range(k)])

    @torch.inference_mode()
    def _run(self, network: nn.Module, images: Tensor, batch_size: int | None = None) -> Outputs:
        began = time.perf_counter()
        probs, features = [], []
        for batch in split(images, batch_size or self._batch_size):
            logits, h = network(self._prepare(batch))
            probs.append(logits.softmax(1))
            features.append(h)
        result = Outputs(torch.cat(probs), torch.cat(features))
        if not bool(result.probs.isfinite().all() & result.features.isfinite().all()):
            bad = ~(result.probs.isfinite().all(1) & result.features.isfinite().all(1))
            raise Diverged(
                f"the network gives NaN or infinity for {int(bad.sum())} of {len(images)} images; "
                "a smaller optimizer.lr or data.std as large as the data vary may help"
            )
        if images.is_cuda:
            torch.cuda.synchronize(images.device)
        self.seconds += time.perf_counter() - began
        return result


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
    return any(isinstance(m, nn.modules.dropout._DropoutNd) and m.p > 0 for m in network.modules())
