"""Class noise: one class means nothing, and copies of a few of its images flood the pool.

Source: Khosla et al., "Understanding and Improving Neural Active Learning on Heteroskedastic
Distributions", ECAI 2023.
"""

from __future__ import annotations

import torch

from hetal.noise.pool import NoisyPool, check_integer, extend, n_noisy_rows, relabel, rows_of_class
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
    """Relabel one class uniformly, and add copies of its first images, also under uniform labels.

    Every row of `noisy_class` gets a uniform label and counts as noisy, at any factor, 0 included. The
    `factor * len(train)` new rows each copy one of the first `n_templates` rows of that class, drawn with
    replacement; they show the images that are there already, so none is added.

    Args:
        train: the clean rows.
        n_classes: labels are drawn from 0..n_classes-1.
        rng: CPU generator.
        factor: added rows per row of `train`, a fraction or more.
        noisy_class: the class that loses its meaning.
        n_templates: rows of it that are copied; all, where it has fewer.

    Raises:
        BadInput: `factor`, `noisy_class` or `n_templates` is out of range.
    """
    k = n_noisy_rows(len(train), factor)
    check_integer("noise.n_templates", n_templates, low=1)
    rows = rows_of_class(train, n_classes, noisy_class)
    # Drawn before the copies, so that it is the same at every factor.
    labels = torch.randint(n_classes, (len(rows),), generator=rng)
    templates = rows[:n_templates]
    pool = extend(
        train,
        images=train.images[:0],
        source=templates[torch.randint(len(templates), (k,), generator=rng)],
        labels=torch.randint(n_classes, (k,), generator=rng),
    )
    return relabel(pool, rows, labels)
