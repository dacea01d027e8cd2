"""Forward passes over stored images: standardised, in batches that fit into memory, timed, and checked for NaN."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from hetal.errors import Diverged
from hetal.machine.arithmetic import float32_products
from hetal.machine.clock import Stopwatch
from hetal.machine.scratch import Stack
from hetal.machine.transfer import to_device

T = TypeVar("T")


class Outputs(NamedTuple):
    """Logits (n, C), their softmax (n, C) and penultimate features (n, D) of n images, float32."""

    logits: Tensor
    probs: Tensor
    features: Tensor


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


class Forward:
    """Runs networks on stored images.

    Args:
        prepare: maps stored images to network input.
        batch_size: images per forward pass.
        device: of images and networks.
        tf32: whether passes may use TF32, see `hetal.machine.arithmetic`.

    Attributes:
        watch: the time of forward passes.
    """

    def __init__(self, prepare: Standardise, batch_size: int, device: torch.device, tf32: bool) -> None:
        self.prepare = prepare
        self.watch = Stopwatch(device)
        self._batch_size = batch_size
        self._tf32 = tf32

    def outputs(
        self,
        network: nn.Module,
        images: Tensor,
        batch_size: int | None = None,
        are_finite: list[Tensor] | None = None,
    ) -> Outputs:
        """Run a network as it is.

        Args:
            network: in the mode that is wanted.
            images: (n, *image_shape) as stored.
            batch_size: that the result depends on; None for any.
            are_finite: where given, what says of which images outputs are finite, (n,) bool, is appended to it, and is
                for the caller to check, see `check_finite`: once for many passes, since the host waits for a GPU there.

        Raises:
            Diverged: an output is not finite.
        """

        @torch.inference_mode()
        def outputs_of(batch: Tensor) -> tuple[Tensor, Tensor]:
            logits, features = network(self.prepare(batch))
            return logits, features

        logits, features, have_finite = Stack(len(images)), Stack(len(images)), []
        with torch.inference_mode():
            for f, h in self.batches(images, outputs_of, batch_size):
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

    def batches(
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
