"""Redundant pools: several copies of every row under its right label, each with pixel noise of its own.

No label is noise. A batch of the k copies of one informative row is worth little more than one of them, which is what
strategies that score rows one by one do not see.

Source: Repeated MNIST in Kirsch et al., "BatchBALD: Efficient and Diverse Batch Acquisition for Deep Bayesian Active
Learning", NeurIPS 2019 (arXiv 1906.08158): k = 3, with Gaussian noise of deviation 0.1 after standardising, which is
sigma = 7.9 of 255 grey levels. Departures: one of the k copies, the row itself, is without noise; values are clipped.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from hetal.errors import BadInput
from hetal.noise.alterations import altered, check_sigma
from hetal.noise.pool import NoisyPool
from hetal.noise.rows import MAX_NOISY_ROWS, appended, check_integer, extend
from hetal.task import Examples


def redundant_noise(
    train: Examples, n_classes: int, rng: torch.Generator, *, copies: int, sigma: float
) -> NoisyPool:
    """Add `copies - 1` copies of every row, under its label; they are clean.

    Args:
        train: the clean rows.
        n_classes: not used; every noise setting is called with it.
        rng: CPU generator.
        copies: k, of every row, the row itself included; 1 adds nothing.
        sigma: deviation of the pixel noise, see `hetal.noise.alterations`; with 0, copies show the image of their row.

    Raises:
        BadInput: a setting is out of range.
    """
    check_sigma(sigma)
    check_integer("noise.copies", copies, low=1)
    n = len(train)
    if (k := n * (copies - 1)) > MAX_NOISY_ROWS:
        raise BadInput(f"noise.copies={copies}: must be at most {1 + MAX_NOISY_ROWS // n} for {n} clean rows")
    shown, labels = torch.arange(n).repeat(copies - 1), train.labels.repeat(copies - 1)
    pool = extend(train, images=train.images[:0], source=shown, labels=labels, is_noisy=False, true=labels)
    if k == 0 or sigma == 0:
        return pool
    return replace(
        pool,
        images_M=appended(train.images, altered(train.images, shown, rng, sigma=sigma), k),
        source_N=torch.arange(n + k),
    )
