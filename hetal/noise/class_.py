"""Class noise: one class has uniform random labels, and the pool holds many copies of a few of its images.

Source: Khosla et al., "Understanding and Improving Neural Active Learning on Heteroskedastic
Distributions", ECAI 2023.
"""

from __future__ import annotations

import torch

from hetal.noise.pool import NoisyPool
from hetal.noise.rows import check_integer, extend, n_noisy_rows, relabel, rows_of_class, uniform
from hetal.task import Examples


def class_noise(
    train: Examples,
    n_classes: int,
    rng: torch.Generator,
    *,
    factor: float,
    noisy_class: int,
    n_templates: int,
) -> NoisyPool:
    """Relabel one class uniformly at random, and add copies of its first images, also with uniform random labels.

    Every row of `noisy_class` gets a uniform random label and counts as noisy, whatever the factor, 0 included. Each of
    the `factor * len(train)` new rows shows the image of one of the first `n_templates` rows of that class, drawn with
    replacement; no image is added.

    Args:
        train: the clean rows.
        n_classes: labels are drawn from 0..n_classes-1.
        rng: CPU generator.
        factor: added rows per row of `train`, 0 or more, not necessarily whole.
        noisy_class: the class that is relabelled.
        n_templates: number of its rows that are copied; all if it has fewer.

    Raises:
        BadInput: `factor`, `noisy_class` or `n_templates` is out of range.
    """
    k = n_noisy_rows(len(train), factor)
    check_integer("noise.n_templates", n_templates, low=1)
    rows = rows_of_class(train, n_classes, noisy_class)
    # Drawn before the copies, so that the labels are the same for every factor.
    labels = torch.randint(n_classes, (len(rows),), generator=rng)
    templates = rows[:n_templates]
    pool = extend(
        train,
        images=train.images[:0],
        source=templates[torch.randint(len(templates), (k,), generator=rng)],
        labels=torch.randint(n_classes, (k,), generator=rng),
        draw=uniform(n_classes),
    )
    return relabel(pool, rows, labels)
