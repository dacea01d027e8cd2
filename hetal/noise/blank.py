"""Blank noise: all-zero images under uniform labels.

Source: Khosla et al., "Understanding and Improving Neural Active Learning on Heteroskedastic
Distributions", ECAI 2023.
"""

from __future__ import annotations

import torch

from hetal.noise.pool import NoisyPool
from hetal.noise.rows import extend, n_noisy_rows, uniform
from hetal.task import Examples, extremes


def blank_noise(
    train: Examples,
    n_classes: int,
    rng: torch.Generator,
    *,
    factor: float,
) -> NoisyPool:
    """Add `factor * len(train)` rows that all show one image of zeros, with uniform random labels.

    In vectors, a feature whose range does not include zero has its value nearest to zero instead. Otherwise the noisy
    rows would be outliers (zero among years, say), which alone would identify them.

    Args:
        train: the clean rows; their labels are kept.
        n_classes: labels are drawn from 0..n_classes-1.
        rng: CPU generator.
        factor: noisy rows per clean row, 0 or more, not necessarily whole; with 0 the pool is clean.

    Raises:
        BadInput: `factor` is negative, not a number, or far too large.
    """
    k = n_noisy_rows(len(train), factor)
    blank = torch.zeros_like(train.images[: min(k, 1)])
    if train.images.dim() == 2:
        blank = blank.clamp(*extremes(train.images))
    return extend(
        train,
        images=blank,
        source=torch.full((k,), len(train)),
        labels=torch.randint(n_classes, (k,), generator=rng),
        draw=uniform(n_classes),
    )
