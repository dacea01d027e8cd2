"""The corrupted pool that a noise setting returns: distinct images, and rows with labels, some of them noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeGuard

import torch
from torch import Tensor

from hetal.errors import BadInput
from hetal.machine.scratch import at_once, gathered
from hetal.record.schema import REJECT
from hetal.task import Examples, is_finite

#: Of rows without a true label: they show no class, or none of the task.
NO_LABEL = -1

#: Of rows that a noise with regions has not seen.
NO_REGION = -1

#: Types of numbers of classes and regions, and the most regions.
INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
MAX_REGIONS = 2**15

#: Draws the labels of rows (n,) int64 of a pool anew, as an oracle does that is asked again; on the CPU.
Draw = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class Parts:
    """Which noise made each row of a pool.

    Attributes:
        names: "clean", and the names of the noise settings, in the order in which they were applied.
        draws: of each of them, see `NoisyPool.draw`; None where it says nothing.
        number_N: (N,) uint8, which of them made the row noisy, or could have, drawing its label; 0: none.
        row_N: (N,) int32, the row's number in the pool which that one returned, as `draws` take it.
        overlap: two settings that both draw labels of the same rows; () where there are none.
    """

    names: tuple[str, ...]
    draws: tuple[Draw | None, ...]
    number_N: Tensor
    row_N: Tensor
    overlap: tuple[str, ...] = ()


@dataclass(frozen=True)
class NoisyPool:
    """A pool of clean and noisy rows.

    Attributes:
        images_M: the distinct images; (M, C, H, W) or (M, D). Those of the training set come first, in its order.
        source_N: (N,) int64, the image that each row shows.
        labels_N: (N,) int64, the label that a query of the row buys; `REJECT` where it buys none.
        is_noisy_N: (N,) bool, whether the label is noise: drawn at random, or wrong.
        true_N: (N,) integers, the right label; `NO_LABEL` where there is none. None: of rows that show an image of the
            training set it is the label there; of others, if they are clean, the one they sell.
        region_N: (N,) integers, the number of the region of inputs that a row is in, if the noise has regions;
            `NO_REGION` where it is not known.
        draw: draws the labels of rows among `is_drawn_N` anew. None where it is not known how.
        is_drawn_N: (N,) bool, rows whose label was drawn at random, though it may have come out right; None: those that
            are noisy.
        outside: classes that the task does not have, all their rows being rejected; labels are numbered without them
            once the noise has been applied.
        parts: which noise made each row; filled in by `hetal.noise.corrupt`, as are the next two.
        cost_M: (M,) float32, what a label of each image costs, where the data say so.
        features_M: (M, D), given features of each image, where the data bring some of all of them.
    """

    images_M: Tensor
    source_N: Tensor
    labels_N: Tensor
    is_noisy_N: Tensor
    true_N: Tensor | None = None
    region_N: Tensor | None = None
    draw: Draw | None = None
    is_drawn_N: Tensor | None = None
    outside: tuple[int, ...] = ()
    parts: Parts | None = None
    cost_M: Tensor | None = None
    features_M: Tensor | None = None

    def __len__(self) -> int:
        return len(self.source_N)

    def check_images(self, train: Examples) -> None:
        """Refuse images that do not fit the data's; a noise setting may be the user's own.

        Raises:
            BadInput: names `noise`; its images differ in shape or dtype from those of the data, hold NaN or infinity,
                or do not begin with those of the data.
        """
        images, like = self.images_M, train.images
        if images.shape[1:] != like.shape[1:] or images.dtype != like.dtype:
            raise BadInput(
                f"noise: its images are {images.dtype} {tuple(images.shape[1:])}, "
                f"those of the data {like.dtype} {tuple(like.shape[1:])}"
            )
        if images is like:
            return
        if not is_finite(images):
            raise BadInput("noise: its images hold NaN or infinity")
        at = at_once(like)
        begin = zip(images.split(at), like.split(at), strict=False)
        if len(images) < len(like) or not all(torch.equal(a[: len(b)], b) for a, b in begin):
            raise BadInput(
                "noise: its images must begin with those of the training set, unchanged and in their order; rows "
                "may show any of them, or none"
            )

    def check(self, n_classes: int) -> None:
        """Refuse an invalid pool; a noise setting may be the user's own.

        Raises:
            BadInput: names `noise` and what is wrong.
        """
        n, m = len(self.source_N), len(self.images_M)
        for name, dtype in (("source_N", torch.int64), ("labels_N", torch.int64), ("is_noisy_N", torch.bool)):
            tensor = getattr(self, name)
            if not is_dense(tensor) or tensor.dtype != dtype or tensor.shape != (n,):
                raise BadInput(f"noise: {name} is {describe(tensor)}; it must be {dtype} of shape ({n},)")
        if n == 0:
            raise BadInput("noise: it leaves no row")
        for name in ("true_N", "region_N"):
            tensor = getattr(self, name)
            if tensor is not None and not (
                is_dense(tensor) and tensor.dtype in INTEGERS and tensor.shape == (n,)
            ):
                raise BadInput(f"noise: {name} is {describe(tensor)}; it must be integers of shape ({n},)")
        if self.is_drawn_N is not None and not (
            is_dense(self.is_drawn_N)
            and self.is_drawn_N.dtype == torch.bool
            and self.is_drawn_N.shape == (n,)
        ):
            raise BadInput(
                f"noise: is_drawn_N is {describe(self.is_drawn_N)}; it must be bool of shape ({n},)"
            )
        can_reject = bool(self.is_noisy_N[self.labels_N == REJECT].all())
        for name, lowest, highest in (
            ("source_N", 0, m - 1),
            ("labels_N", REJECT if can_reject else 0, n_classes - 1),
            ("true_N", NO_LABEL, n_classes - 1),
            ("region_N", NO_REGION, MAX_REGIONS - 1),
        ):
            if (tensor := getattr(self, name)) is None:
                continue
            low, high = (int(bound) for bound in tensor.aminmax())
            if low < lowest or high > highest:
                also = ", or -1 in noisy rows, where a query is rejected" if name == "labels_N" else ""
                raise BadInput(
                    f"noise: {name} holds {low}..{high}; it must be in {max(lowest, 0)}..{highest}{also}"
                )


def is_dense(value: object) -> TypeGuard[Tensor]:
    """Return whether `value` is a dense tensor with data: not sparse, nested or meta."""
    return (
        isinstance(value, Tensor) and value.layout is torch.strided and not (value.is_meta or value.is_nested)
    )


def describe(value: object) -> str:
    """Describe `value` for a message: dtype and shape of a tensor, else the name of its class."""
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}"
    if not is_dense(value):
        kind = (
            "nested"
            if value.is_nested
            else "meta"
            if value.is_meta
            else str(value.layout).removeprefix("torch.")
        )
        return f"a {kind} tensor"
    return f"{value.dtype} of shape {tuple(value.shape)}"


def shuffled(pool: NoisyPool, rng: torch.Generator) -> NoisyPool:
    """Return the pool with its rows and images in random order, so that no id or image number reveals noise.

    Images that no row shows are left out: they cannot be bought, and strategies that work on images would count them.

    Args:
        pool: in any order.
        rng: CPU generator; draws the order of the rows, then that of the images.
    """
    order_N = torch.randperm(len(pool), generator=rng)
    order_M = torch.randperm(len(pool.images_M), generator=rng)
    order_M = order_M[torch.bincount(pool.source_N, minlength=len(order_M))[order_M] > 0]
    new_number_M = torch.full((len(pool.images_M),), -1)
    new_number_M[order_M] = torch.arange(len(order_M))
    parts = pool.parts
    if parts is not None:
        parts = replace(parts, number_N=parts.number_N[order_N], row_N=parts.row_N[order_N])
    return replace(
        pool,
        images_M=gathered(pool.images_M, order_M),
        source_N=new_number_M[pool.source_N][order_N],
        labels_N=pool.labels_N[order_N],
        is_noisy_N=pool.is_noisy_N[order_N],
        true_N=None if pool.true_N is None else pool.true_N[order_N],
        region_N=None if pool.region_N is None else pool.region_N[order_N],
        parts=parts,
        cost_M=None if pool.cost_M is None else pool.cost_M[order_M],
        features_M=None if pool.features_M is None else gathered(pool.features_M, order_M),
    )
