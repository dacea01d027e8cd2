"""The augmentation of fine-tuning in the LHD paper's code, which is weaker than FixMatch's.

Khosla, Whye, Ash, Zhang, Kawaguchi, Lamb (ECAI 2023), arXiv:2211.00928. Per image, in this order: a horizontal flip,
then RandAugment's operations (`hetal.augment.randaugment`) in the ranges below, standardisation, then a square of 0,
the mean of the data:

    rows r - h .. r + h - 1, columns c - h .. c + h - 1,   h = floor(l/2)
    l ~ Uniform{1..H/2},   (r, c) ~ Uniform(pixels)

so that the side is even, and the square clipped at the border. The code's random crop is of the whole image, and so
changes nothing. Solarize inverts the values from ceil(256 u) on, u uniform in [0, 1), where `Strong` inverts from
floor(256 u) on. Departures are those of `hetal.augment.pixels`: factors are cut to multiples of 2^-16, and
autocontrast divides exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hetal.augment.base import Augmentation
from hetal.augment.crops import random_flip, rectangles
from hetal.augment.randaugment import bounds_of, random_operations
from hetal.machine.transfer import to_device

# Degrees, slopes, shares of the side, factors, bits, a share of 256.
LHD = bounds_of(
    rotate=(-30, 30),
    shear_x=(-0.1, 0.1),
    shear_y=(-0.1, 0.1),
    translate_x=(-0.1, 0.1),
    translate_y=(-0.1, 0.1),
    brightness=(0.05, 0.95),
    contrast=(0.05, 0.95),
    colour=(0.05, 0.95),
    sharpness=(0.05, 0.95),
    posterize=(4, 8),
    solarize=(1 / 256, 257 / 256),
)


@dataclass(frozen=True)
class Published(Augmentation):
    """Augmentation of uint8 images as the LHD paper's code fine-tunes on them.

    Attributes:
        n_ops: operations per image, drawn with replacement.
        flip: probability of a horizontal flip.
        cutout: largest side of the square set to 0, as a share of the image's height.
    """

    n_ops: int
    flip: float
    cutout: float

    def check(self, image_shape: tuple[int, ...], dtype: torch.dtype, setting: str) -> None:
        """Refuse what cannot be augmented; see `Augmentation.check`."""
        super().check(image_shape, dtype, setting)
        self._check_numbers(setting, {"flip": 1, "cutout": 1})

    def __call__(self, images_B: Tensor, rng: torch.Generator) -> Tensor:
        """Return copies after flip and operations; see `Augmentation`.

        Raises:
            BadInput: as `check`.
        """
        self.check(tuple(images_B.shape[1:]), images_B.dtype, "augment")
        draws = torch.rand((1 + 2 * self.n_ops, len(images_B)), generator=rng, dtype=torch.float64)
        if len(images_B) == 0:
            return images_B.clone()
        return random_operations(random_flip(images_B, draws[0], self.flip), draws[1:], LHD)

    def after(self, x_B: Tensor, rng: torch.Generator) -> Tensor:
        """Set one square of each standardised image to 0, in place; see `Augmentation`."""
        height, width = x_B.shape[-2:]
        side_B, row_B, col_B = torch.rand((3, len(x_B)), generator=rng, dtype=torch.float64)
        half_B = ((side_B * max(int(self.cutout * height), 1)).int() + 1) // 2
        top_B, left_B = (row_B * height).int() - half_B, (col_B * width).int() - half_B
        plan_B4 = torch.stack([top_B, left_B, 2 * half_B, 2 * half_B], dim=1)
        return x_B.mul_(1 - rectangles(x_B, *to_device(x_B.device, plan_B4)))
