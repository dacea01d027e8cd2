"""The corrupted pool that a noise setting returns: distinct images, and rows with labels, some of them noise."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TypeGuard

import torch
from torch import Tensor

from hetal.errors import BadInput
from hetal.machine.scratch import at_once, gathered, stacked
from hetal.task import Examples, is_finite

#: A larger factor is most likely a typing mistake; with this many rows, ids and labels alone take 17 GB.
MAX_NOISY_ROWS = 10**9


@dataclass(frozen=True)
class NoisyPool:
    """A pool of clean and noisy rows.

    Attributes:
        images_M: the distinct images; (M, C, H, W) or (M, D).
        source_N: (N,) int64, the image that each row shows.
        labels_N: (N,) int64, the label that a query of the row buys.
        is_noisy_N: (N,) bool, whether the label is noise.
    """

    images_M: Tensor
    source_N: Tensor
    labels_N: Tensor
    is_noisy_N: Tensor

    def __len__(self) -> int:
        return len(self.source_N)

    def check_images(self, train: Examples) -> None:
        """Refuse images whose shape or dtype differs from the data's; a noise setting may be the user's own.

        Raises:
            BadInput: names `noise`, its images and those of the data.
        """
        images, like = self.images_M, train.images
        if images.shape[1:] != like.shape[1:] or images.dtype != like.dtype:
            raise BadInput(
                f"noise: its images are {images.dtype} {tuple(images.shape[1:])}, "
                f"those of the data {like.dtype} {tuple(like.shape[1:])}"
            )
        if not is_finite(images):
            raise BadInput("noise: its images hold NaN or infinity")

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
        for name, lowest, highest in (("source_N", 0, m - 1), ("labels_N", 0, n_classes - 1)):
            low, high = (int(bound) for bound in getattr(self, name).aminmax())
            if low < lowest or high > highest:
                raise BadInput(f"noise: {name} holds {low}..{high}; it must be in {lowest}..{highest}")


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


def check_integer(name: str, value: int, low: int, high: int | None = None, why: str = "") -> None:
    """Refuse a setting that is not a whole number in `low..high`, or at least `low`; `why` explains the bound.

    Raises:
        BadInput: naming the setting, its value and what is allowed.
    """
    # Settings come from YAML and the command line, so they may be anything; bool is an int in Python.
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    if not (is_integer and value >= low and (high is None or value <= high)):
        allowed = f">= {low}" if high is None else f"in {low}..{high}"
        raise BadInput(f"{name}={value}: must be a whole number {allowed}{why and f', {why}'}")


def n_noisy_rows(n_clean: int, factor: float) -> int:
    """Return the number of noisy rows to add: `factor * n_clean`, rounded.

    Raises:
        BadInput: `factor` is negative, not a finite number, or gives more than `MAX_NOISY_ROWS` rows.
    """
    is_number = isinstance(factor, (int, float)) and not isinstance(factor, bool)
    if not (is_number and 0 <= factor < math.inf):
        raise BadInput(f"mult={factor}: must be a finite number >= 0")
    if factor * n_clean > MAX_NOISY_ROWS:
        raise BadInput(
            f"mult={factor}: must be at most {MAX_NOISY_ROWS / n_clean:g} for {n_clean} clean rows"
        )
    return round(factor * n_clean)


def rows_of_class(train: Examples, n_classes: int, noisy_class: int) -> Tensor:
    """Return the ids of the rows of `noisy_class`, ascending.

    Raises:
        BadInput: there is no such class, or it has no rows.
    """
    check_integer(
        "noise.noisy_class",
        noisy_class,
        low=0,
        high=n_classes - 1,
        why=f"as the data have {n_classes} classes",
    )
    rows = torch.nonzero(train.labels == noisy_class).flatten()
    if len(rows) == 0:
        raise BadInput(f"noise.noisy_class={noisy_class}: the data has no training row of it")
    return rows


def extend(train: Examples, images: Tensor, source: Tensor, labels: Tensor) -> NoisyPool:
    """Return the pool of the clean rows of `train` with noisy rows appended.

    Args:
        train: n clean examples; row i shows image i.
        images: (m, ...) new distinct images, possibly none, of the shape and dtype of those of `train`.
        source: (k,) int64, the image of each new row: i < n is clean image i, n + j is `images[j]`.
        labels: (k,) int64, the label of each new row.

    Raises:
        BadInput: the new images do not have the shape of those of `train`.
    """
    if len(images) and images.shape[1:] != train.images.shape[1:]:
        raise BadInput(
            f"noise: its images are {tuple(images.shape[1:])}, "
            f"those of the data {tuple(train.images.shape[1:])}"
        )
    n, images_M = len(train), train.images
    if len(images):
        added = images.to(train.images.dtype)
        images_M = stacked([*images_M.split(at_once(images_M)), added], n + len(added))
    return NoisyPool(
        images_M=images_M,
        source_N=torch.cat([torch.arange(n), source]),
        labels_N=torch.cat([train.labels, labels]),
        is_noisy_N=torch.arange(n + len(source)) >= n,
    )


def relabel(pool: NoisyPool, rows: Tensor, labels: Tensor) -> NoisyPool:
    """Return `pool` with new `labels` for `rows`, which count as noisy."""
    return replace(
        pool,
        labels_N=pool.labels_N.index_copy(0, rows, labels),
        is_noisy_N=pool.is_noisy_N.index_fill(0, rows, True),
    )


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
    return NoisyPool(
        images_M=gathered(pool.images_M, order_M),
        source_N=new_number_M[pool.source_N][order_N],
        labels_N=pool.labels_N[order_N],
        is_noisy_N=pool.is_noisy_N[order_N],
    )
