"""What a corruption returns: distinct images, and rows that show them under labels that may be noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hetal.errors import BadInput
from hetal.task import Examples


@dataclass(frozen=True)
class NoisyPool:
    """Rows of clean and noisy examples.

    Attributes:
        images_M: the distinct images; (M, C, H, W) or (M, D).
        source_N: (N,) int64, the image that each row shows.
        labels_N: (N,) int64, the label a query of the row buys.
        is_noisy_N: (N,) bool, true where the label is noise.
    """

    images_M: Tensor
    source_N: Tensor
    labels_N: Tensor
    is_noisy_N: Tensor

    def __len__(self) -> int:
        return len(self.source_N)


def n_noisy_rows(n_clean: int, factor: float) -> int:
    """Return the number of noisy rows to add: `factor * n_clean`, to the nearest row.

    Raises:
        BadInput: `factor` is negative or not finite.
    """
    if not (math.isfinite(factor) and factor >= 0):
        raise BadInput(f"mult.factor={factor}: must be a finite number >= 0")
    return round(factor * n_clean)


def extend(train: Examples, images: Tensor, source: Tensor, labels: Tensor) -> NoisyPool:
    """Append noisy rows to the clean rows of `train`.

    Args:
        train: n clean examples; row i shows image i.
        images: (m, ...) new distinct images, possibly none, shaped and typed like those of `train`.
        source: (k,) int64, the image of each new row: i < n is clean image i, n + j is `images[j]`.
        labels: (k,) int64, the label of each new row.

    Raises:
        BadInput: the new images do not look like those of `train`.
    """
    if len(images) and images.shape[1:] != train.images.shape[1:]:
        raise BadInput(
            f"noise: its images are {tuple(images.shape[1:])}, those of the data {tuple(train.images.shape[1:])}"
        )
    n = len(train)
    return NoisyPool(
        images_M=torch.cat([train.images, images.to(train.images.dtype)]) if len(images) else train.images,
        source_N=torch.cat([torch.arange(n), source]),
        labels_N=torch.cat([train.labels, labels]),
        is_noisy_N=torch.arange(n + len(source)) >= n,
    )
