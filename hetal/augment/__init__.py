"""Augmentation of training images: weak, strong as in FixMatch, and as published with LHD."""

from hetal.augment.base import Augmentation
from hetal.augment.published import Published
from hetal.augment.strong import Strong
from hetal.augment.weak import Weak

__all__ = ["Augmentation", "Published", "Strong", "Weak"]
