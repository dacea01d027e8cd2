"""Small training sets to test a noise on: images and vectors of every type, with few and many classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hetal.task import Examples


@dataclass(frozen=True)
class SmallTrainingSet:
    """A small training set.

    Attributes:
        train: clean examples with all columns that hetal's own data sets can have: "human_worst", "votes", "features",
            "cost".
        n_classes: number of classes, each with a row.
        is_ordinary: whether it has many distinct images, and many rows of every class.
    """

    train: Examples
    n_classes: int
    is_ordinary: bool = False


def _labels(counts: Sequence[int], rng: torch.Generator) -> Tensor:
    """Return labels with so many rows of each class, in random order."""
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return labels[torch.randperm(len(labels), generator=rng)]


def columns_of(labels: Tensor, n_classes: int, rng: torch.Generator) -> Mapping[str, Tensor]:
    """Return every column that `hetal.task.Examples` knows, for rows of these labels; votes are for them mostly."""
    n = len(labels)
    other = torch.randint(n_classes, (n,), generator=rng)
    votes = torch.randint(3, (n, n_classes), generator=rng).float()
    return {
        "human_worst": torch.where(torch.rand(n, generator=rng) < 0.4, other, labels),
        "votes": votes.scatter_add(1, labels[:, None], torch.full((n, 1), 5.0)),
        "features": torch.randn(n, 4, generator=rng),
        "cost": torch.rand(n, generator=rng),
    }


def _set(
    counts: Sequence[int],
    shape: tuple[int, ...],
    dtype: torch.dtype,
    rng: torch.Generator,
    ordinary: bool = False,
) -> SmallTrainingSet:
    """Return random images, or vectors whose features differ in scale, with `counts[c]` rows of class c."""
    labels = _labels(counts, rng)
    n = len(labels)
    if dtype == torch.uint8:
        images = torch.randint(256, (n, *shape), generator=rng)
    elif len(shape) == 3:
        images = torch.rand(n, *shape, generator=rng)
    else:
        images = torch.randn(n, *shape, generator=rng) * torch.logspace(-2, 3, shape[0]) + 2
    columns = columns_of(labels, len(counts), rng)
    return SmallTrainingSet(Examples(images.to(dtype), labels, columns), len(counts), ordinary)


def _identical(rng: torch.Generator) -> SmallTrainingSet:
    small = _set([10] * 3, (1, 4, 4), torch.uint8, rng)
    images = small.train.images[:1].expand(30, 1, 4, 4).clone()
    return SmallTrainingSet(Examples(images, small.train.labels, small.train.columns), 3)


TRAINING_SETS: dict[str, Callable[[torch.Generator], SmallTrainingSet]] = {
    "uint8 images": lambda rng: _set([16] * 10, (3, 4, 4), torch.uint8, rng, ordinary=True),
    "float32 images": lambda rng: _set([20] * 3, (1, 4, 4), torch.float32, rng),
    "float32 vectors": lambda rng: _set([40] * 4, (6,), torch.float32, rng, ordinary=True),
    "float16 vectors": lambda rng: _set([20] * 3, (6,), torch.float16, rng),
    "uint8 vectors": lambda rng: _set([20] * 3, (6,), torch.uint8, rng),
    "two classes": lambda rng: _set([20] * 2, (1, 4, 4), torch.uint8, rng),
    "many classes": lambda rng: _set([3] * 47, (1, 4, 4), torch.uint8, rng),
    "imbalanced classes": lambda rng: _set([60, 15, 4, 1], (1, 4, 4), torch.uint8, rng),
    "one row a class": lambda rng: _set([1] * 10, (1, 4, 4), torch.uint8, rng),
    "identical images": _identical,
}
