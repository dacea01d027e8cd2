"""Test of the rows of a pool: labels, right labels and noise flags that agree with each other and the training set."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from hetal.noise import NoisyPool
from hetal.noise.pool import NO_LABEL
from hetal.record.schema import REJECT
from hetal.task import Examples


def right_labels(pool: NoisyPool, train: Examples) -> Tensor:
    """Return the right labels of the rows of a pool that was made from `train`, (N,) int64; -1 where there is none."""
    if pool.true_N is not None:
        return pool.true_N.long()
    label_N = train.labels[pool.source_N.clamp(max=len(train) - 1)]
    of_others_N = torch.where(pool.is_noisy_N, NO_LABEL, pool.labels_N)
    return torch.where(pool.source_N < len(train), label_N, of_others_N)


def label_violations(pool: NoisyPool, train: Examples, n_classes: int) -> Iterator[str]:
    """Yield rows whose labels, right labels and noise flags contradict each other, and images that no row shows."""
    is_own_N = pool.source_N < len(train)
    label_N = train.labels[pool.source_N.clamp(max=len(train) - 1)]
    right_N = right_labels(pool, train)
    is_clean_N = ~pool.is_noisy_N
    for row in _first(is_own_N & (right_N != label_N) & (right_N != NO_LABEL)):
        yield (
            f"row {row} shows an image of the training set, whose label is {label_N[row]}, and true_N says "
            f"{right_N[row]}; it must be the label there, or -1"
        )
    sold_N = pool.labels_N
    for row in _first(is_clean_N & is_own_N & (sold_N != label_N)):
        yield (
            f"row {row} shows an image of the training set, whose label is {label_N[row]}, and sells {sold_N[row]}, "
            "but is_noisy_N says that it is clean"
        )
    for row in _first(is_clean_N & ~is_own_N & (right_N == NO_LABEL)):
        yield (
            f"row {row} shows an image that was added, and true_N says that it has no right label, but is_noisy_N says "
            "that it is clean"
        )
    for row in _first(is_clean_N & ~is_own_N & (right_N != NO_LABEL) & (right_N != sold_N)):
        yield f"row {row} sells {sold_N[row]}, true_N says {right_N[row]}, but is_noisy_N says that it is clean"
    is_shown_M = torch.zeros(len(pool.images_M), dtype=torch.bool).index_fill(0, pool.source_N, True)
    for image in _first(~is_shown_M & (torch.arange(len(is_shown_M)) >= len(train))):
        yield f"image {image} was added, and no row shows it"
    yield from _outside_violations(pool, label_N, right_N, is_own_N, n_classes)


def _outside_violations(
    pool: NoisyPool, label_N: Tensor, right_N: Tensor, is_own_N: Tensor, n_classes: int
) -> Iterator[str]:
    """Yield what is wrong with the classes that the noise takes out of the task."""
    if not all(isinstance(c, int) and 0 <= c < n_classes for c in pool.outside):
        yield f"outside is {pool.outside}; it must hold classes, in 0..{n_classes - 1}"
        return
    if n_classes - len(set(pool.outside)) < 2:
        yield f"outside holds {len(set(pool.outside))} of {n_classes} classes; at least 2 must be left"
    outside = torch.tensor(pool.outside, dtype=torch.int64)
    foreign_N = torch.isin(right_N, outside) | (is_own_N & torch.isin(label_N, outside))
    for row in _first(foreign_N & (pool.labels_N != REJECT)):
        yield f"row {row} is of a class outside the task, but sells {pool.labels_N[row]}; its label must be -1"
    for row in _first(torch.isin(pool.labels_N, outside) & ~foreign_N):
        yield f"row {row} sells {pool.labels_N[row]}, a class outside the task"


def _first(is_wrong_N: Tensor) -> list[int]:
    """Return the first wrong row, or nothing."""
    return torch.nonzero(is_wrong_N).flatten()[:1].tolist()
