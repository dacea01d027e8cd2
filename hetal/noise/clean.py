"""No noise: the pool is the training set. It takes no factor, so it is one experiment whatever `mult` is."""

from __future__ import annotations

import torch

from hetal.noise.pool import NoisyPool, extend
from hetal.task import Examples


def no_noise(train: Examples, n_classes: int, rng: torch.Generator) -> NoisyPool:
    """Return the pool that is `train` itself, every row clean.

    `n_classes` and `rng` are there because every noise setting is called alike; nothing is drawn.
    """
    none = torch.empty(0, dtype=torch.int64)
    return extend(train, images=train.images[:0], source=none, labels=none)
