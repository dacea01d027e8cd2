"""Long tails: classes of exponentially falling size, in the pool only.

Source: Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019 (arXiv 1901.05555). With C
classes and imbalance rho, class c keeps

    n_c = n_max rho^(-c / (C - 1))

of its rows, rounded down as in the authors' code, where n_max is the size of a class. The test set stays balanced.
Departures: rows are drawn at random, where the code takes the first ones; a class keeps at least one; and where classes
differ in size, n_max is that of the largest, and one that has fewer than n_c keeps all. Classes are in the order of the
data, as there, so class 0 is the largest.
"""

from __future__ import annotations

import math

import torch

from hetal.errors import BadInput
from hetal.noise.pool import NoisyPool
from hetal.task import Examples


def long_tail_noise(train: Examples, n_classes: int, rng: torch.Generator, *, rho: float) -> NoisyPool:
    """Leave out rows until the sizes of the classes fall exponentially; all that is left is clean.

    With one seed, a larger `rho` keeps some of the rows that a smaller one keeps.

    Args:
        train: the clean rows.
        n_classes: number of classes, C.
        rng: CPU generator.
        rho: size of the largest class divided by that of the smallest, at least 1; 1 leaves balanced data as they are.

    Raises:
        BadInput: `rho` is out of range.
    """
    is_number = isinstance(rho, (int, float)) and not isinstance(rho, bool)
    if not (is_number and 1 <= rho < math.inf):
        raise BadInput(f"noise.rho={rho}: must be a finite number >= 1")
    count_C = torch.bincount(train.labels, minlength=n_classes)
    n_max = int(count_C.max())
    # A little more, as 500 * 10^-1 is 49.99... in floating point, perhaps.
    wanted = [math.floor(n_max * rho ** (-c / (n_classes - 1)) + 1e-6) for c in range(n_classes)]
    keep_C = torch.tensor(wanted).clamp(min=1).minimum(count_C)
    shuffled = torch.randperm(len(train), generator=rng)
    by_class = shuffled[train.labels[shuffled].argsort(stable=True)]
    classes = train.labels[by_class]
    place = torch.arange(len(train)) - (count_C.cumsum(0) - count_C)[classes]
    kept = by_class[place < keep_C[classes]].sort().values
    return NoisyPool(
        images_M=train.images,
        source_N=kept,
        labels_N=train.labels[kept],
        is_noisy_N=torch.zeros(len(kept), dtype=torch.bool),
    )
