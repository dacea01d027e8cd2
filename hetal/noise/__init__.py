"""Corruptions of a clean pool, one a file, each `corrupt(train, n_classes, rng, ...) -> NoisyPool`."""

from hetal.noise.pool import NoisyPool

__all__ = ["NoisyPool"]
