"""Weak augmentation: a random crop after padding, and a random horizontal flip.

The usual augmentation of small images (He et al., 2016, arXiv:1512.03385): padding by 1/8 is 4 pixels of 32. FixMatch's
weak augmentation is the same with reflected borders, where these are 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hetal.augment.base import Augmentation
from hetal.augment.crops import random_crop_flip


@dataclass(frozen=True)
class Weak(Augmentation):
    """Crop and flip of uint8 images.

    Attributes:
        padding: zeros around an image before the random crop, as a share of its side, in 0..0.5.
        flip: probability of a horizontal flip.
    """

    padding: float
    flip: float

    def check(self, image_shape: tuple[int, ...], dtype: torch.dtype, setting: str) -> None:
        """Refuse what cannot be augmented; see `Augmentation.check`."""
        super().check(image_shape, dtype, setting)
        self._check_numbers(setting, {"padding": 0.5, "flip": 1})

    def __call__(self, images_B: Tensor, rng: torch.Generator) -> Tensor:
        """Return augmented copies; see `Augmentation`.

        Raises:
            BadInput: as `check`.
        """
        self.check(tuple(images_B.shape[1:]), images_B.dtype, "augment")
        draws_3B = torch.rand((3, len(images_B)), generator=rng, dtype=torch.float64)
        return random_crop_flip(images_B, draws_3B, self.padding, self.flip)
