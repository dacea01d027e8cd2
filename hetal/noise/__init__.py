"""Noise settings, one a file: corruptions of a clean training set, called as `noise(train, n_classes, rng, ...)`."""

from hetal.noise.blank import blank_noise
from hetal.noise.class_ import class_noise
from hetal.noise.clean import no_noise
from hetal.noise.copies import copied_class_noise
from hetal.noise.diverse import diverse_noise
from hetal.noise.pool import NoisyPool

__all__ = ["NoisyPool", "blank_noise", "class_noise", "copied_class_noise", "diverse_noise", "no_noise"]
