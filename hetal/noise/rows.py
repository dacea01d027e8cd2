"""What noise settings build pools from: rows that are added, rows with other labels, and checks of settings."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor

from hetal.errors import BadInput
from hetal.machine.scratch import at_once, stacked
from hetal.noise.pool import Draw, NoisyPool
from hetal.task import Examples

#: A larger factor is most likely a typing mistake; with this many rows, ids and labels alone take 17 GB.
MAX_NOISY_ROWS = 10**9

# Rows whose labels are drawn together, so that what draws them needs little memory.
ROWS_AT_ONCE = 2**20


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


def check_share(name: str, value: float) -> None:
    """Refuse a setting that is not a number in [0, 1].

    Raises:
        BadInput: naming the setting, its value and what is allowed.
    """
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (is_number and 0 <= value <= 1):
        raise BadInput(f"{name}={value}: must be a number in 0..1")


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


def extend(
    train: Examples,
    images: Tensor,
    source: Tensor,
    labels: Tensor,
    draw: Draw | None = None,
    is_noisy: bool = True,
    true: Tensor | None = None,
) -> NoisyPool:
    """Return the pool of the clean rows of `train` with rows appended.

    Args:
        train: n clean examples; row i shows image i.
        images: (m, ...) new distinct images, possibly none, of the shape and dtype of those of `train`.
        source: (k,) int64, the image of each new row: i < n is clean image i, n + j is `images[j]`.
        labels: (k,) int64, the label of each new row.
        draw: draws the labels of new rows anew; None where it is not known how.
        is_noisy: whether new rows are noise.
        true: (k,) integers, the right label of each new row, -1 where there is none; None: that of the clean image
            which it shows, and none of new images.

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
        images_M = appended(images_M, [images.to(images_M.dtype)], len(images))
    return NoisyPool(
        images_M=images_M,
        source_N=torch.cat([torch.arange(n), source]),
        labels_N=torch.cat([train.labels, labels]),
        is_noisy_N=(torch.arange(n + len(source)) >= n) & is_noisy,
        true_N=None if true is None else torch.cat([train.labels, true.to(torch.int64)]),
        draw=draw,
    )


def appended(images: Tensor, parts: Iterable[Tensor], n: int) -> Tensor:
    """Return `images`, followed by `n` more that come in parts; mapped from an unnamed file where they are large."""
    return stacked(itertools.chain(images.split(at_once(images)), parts), len(images) + n)


def relabel(pool: NoisyPool, rows: Tensor, labels: Tensor) -> NoisyPool:
    """Return `pool` with new `labels` for `rows`, which count as noisy."""
    return replace(
        pool,
        labels_N=pool.labels_N.index_copy(0, rows, labels),
        is_noisy_N=pool.is_noisy_N.index_fill(0, rows, True),
    )


def in_place(
    train: Examples,
    labels: Tensor,
    is_noisy: Tensor,
    draw: Draw | None = None,
    region: Tensor | None = None,
) -> NoisyPool:
    """Return the pool of the rows of `train` under other labels.

    Args:
        train: n clean examples; row i shows image i.
        labels: (n,) int64, of each row.
        is_noisy: (n,) bool.
        draw: draws the labels of any of these rows anew; None where it is not known how.
        region: (n,) integers, see `NoisyPool`.
    """
    return NoisyPool(
        images_M=train.images,
        source_N=torch.arange(len(train)),
        labels_N=labels,
        is_noisy_N=is_noisy,
        region_N=region,
        draw=draw,
        is_drawn_N=None if draw is None else torch.ones(len(train), dtype=torch.bool),
    )


def drawn_in_place(
    train: Examples, draw: Draw, rng: torch.Generator, region: Tensor | None = None
) -> NoisyPool:
    """Return the pool of the rows of `train` under labels that `draw` draws; rows whose label is wrong are noisy.

    Args:
        train: n clean examples; row i shows image i.
        draw: draws the labels of any of these rows.
        rng: CPU generator, which `draw` is called with.
        region: (n,) integers, see `NoisyPool`.
    """
    rows = torch.arange(len(train)).split(ROWS_AT_ONCE)
    labels = torch.cat([draw(some, rng) for some in rows])
    return in_place(train, labels, labels != train.labels, draw, region)


def uniform(n_classes: int) -> Draw:
    """Return what draws uniform labels, see `hetal.noise.pool.NoisyPool.draw`."""

    def draw(rows: Tensor, rng: torch.Generator) -> Tensor:
        return torch.randint(n_classes, (len(rows),), generator=rng)

    return draw


def categorical(weights: Tensor, uniform: Tensor) -> Tensor:
    """Draw one class per row, with probabilities proportional to weights, by inverting the distribution function.

    Args:
        weights: (n, C), 0 or more, each row with a positive sum.
        uniform: (n,) float64, uniform in [0, 1).

    Returns:
        (n,) int64; never a class of weight 0.
    """
    cumulative = weights.double().cumsum(1)
    total = cumulative[:, -1:]
    chosen = (cumulative <= uniform[:, None] * total).sum(1)
    return chosen.minimum((cumulative < total).sum(1))  # where the product is rounded up to the sum
