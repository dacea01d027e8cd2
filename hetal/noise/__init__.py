"""Corruptions of a clean pool, one a file, each called as `noise(train, n_classes, rng, ...) -> NoisyPool`."""

from hetal.noise.blank import blank_noise
from hetal.noise.class_ import class_noise
from hetal.noise.clean import no_noise
from hetal.noise.copies import copied_class_noise
from hetal.noise.diverse import diverse_noise
from hetal.noise.pool import NoisyPool

__all__ = ["NoisyPool", "blank_noise", "class_noise", "copied_class_noise", "diverse_noise", "no_noise"]
