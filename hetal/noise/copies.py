"""Copied class noise: one class has uniform random labels, and the pool holds several copies of each of its rows.

Source: Figure 1 (Four-Moons) of Khosla et al., "Understanding and Improving Neural Active Learning on
Heteroskedastic Distributions", ECAI 2023. There `noisy_class=0` at `mult=x1.5` copies each of the 3,000
rows of class 0 six times. It differs from `class_noise` in that all rows of the class are copied, equally often,
and that a copy has the label of its row, as in the published script: querying another copy of a point gives the
same label again, right or wrong.
"""

from __future__ import annotations

import torch

from hetal.noise.pool import NoisyPool
from hetal.noise.rows import extend, n_noisy_rows, relabel, rows_of_class, uniform
from hetal.task import Examples


def copied_class_noise(
    train: Examples, n_classes: int, rng: torch.Generator, *, factor: float, noisy_class: int
) -> NoisyPool:
    """Relabel one class uniformly at random, and add copies of all its rows with their labels.

    Every row of `noisy_class` gets a uniform random label and counts as noisy, whatever the factor, 0 included. The
    `factor * len(train)` new rows are spread evenly over its rows; the remainder goes to rows drawn at random without
    replacement. No image is added.

    Args:
        train: the clean rows.
        n_classes: labels are drawn from 0..n_classes-1.
        rng: CPU generator.
        factor: added rows per row of `train`, 0 or more, not necessarily whole.
        noisy_class: the class that is relabelled.

    Raises:
        BadInput: `factor` or `noisy_class` is out of range.
    """
    k = n_noisy_rows(len(train), factor)
    rows = rows_of_class(train, n_classes, noisy_class)
    labels = torch.randint(n_classes, (len(rows),), generator=rng)
    copied = torch.randperm(len(rows), generator=rng)[torch.arange(k) % len(rows)]
    pool = extend(
        train,
        images=train.images[:0],
        source=rows[copied],
        labels=labels[copied],
        draw=uniform(n_classes),
    )
    return relabel(pool, rows, labels)
