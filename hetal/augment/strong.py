"""Strong augmentation of FixMatch: random operations, crop, flip, cutout.

RandAugment (`hetal.augment.randaugment`) with the list and ranges of Sohn et al. (2020), FixMatch, arXiv:2001.07685,
table 12. Per image

    x <- cutout(flip(crop(pad(operations(x)))))

Departures: every drawn operation is applied, in the ranges of the table (FixMatch's code skips each with probability
1/2, and its factors exceed 1); pixels from outside an image are 0 (there, grey after a warp and reflected in the crop);
crop and flip follow the operations (there, they come first).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hetal.augment.base import Augmentation
from hetal.augment.crops import random_crop_flip, rectangles
from hetal.augment.randaugment import bounds_of, random_operations
from hetal.machine.transfer import to_device

GREY = 127

# Degrees, slopes, shares of the side, factors, bits, a share of 256.
FIXMATCH = bounds_of(
    rotate=(-30, 30),
    shear_x=(-0.3, 0.3),
    shear_y=(-0.3, 0.3),
    translate_x=(-0.3, 0.3),
    translate_y=(-0.3, 0.3),
    brightness=(0.05, 0.95),
    contrast=(0.05, 0.95),
    colour=(0.05, 0.95),
    sharpness=(0.05, 0.95),
    posterize=(4, 8),
    solarize=(0, 1),
)


@dataclass(frozen=True)
class Strong(Augmentation):
    """Strong augmentation of uint8 images, as in FixMatch.

    Attributes:
        n_ops: operations per image, drawn with replacement.
        padding: zeros around an image before the random crop, as a share of its side, in 0..0.5.
        flip: probability of a horizontal flip.
        cutout: side of the grey rectangle, as a share of the image's side; its centre is a uniform random pixel.
    """

    n_ops: int
    padding: float
    flip: float
    cutout: float

    def check(self, image_shape: tuple[int, ...], dtype: torch.dtype, setting: str) -> None:
        """Refuse what cannot be augmented; see `Augmentation.check`."""
        super().check(image_shape, dtype, setting)
        self._check_numbers(setting, {"padding": 0.5, "flip": 1, "cutout": 1})

    def __call__(self, images_B: Tensor, rng: torch.Generator) -> Tensor:
        """Return augmented copies; see `Augmentation`.

        Raises:
            BadInput: as `check`.
        """
        self.check(tuple(images_B.shape[1:]), images_B.dtype, "augment")
        n, height, width = len(images_B), *images_B.shape[-2:]
        draws = torch.rand((2 * self.n_ops + 5, n), generator=rng, dtype=torch.float64)
        if n == 0:
            return images_B.clone()
        images_B = random_operations(images_B, draws[:-5], FIXMATCH)
        images_B = random_crop_flip(images_B, draws[-5:-2], self.padding, self.flip)
        row_B, col_B = draws[-2:]
        hole = round(self.cutout * height), round(self.cutout * width)
        plan = [
            (row_B * height).int() - hole[0] // 2,
            (col_B * width).int() - hole[1] // 2,
            *(torch.full((n,), side, dtype=torch.int32) for side in hole),
        ]
        hole_B = rectangles(images_B, *to_device(images_B.device, torch.stack(plan, dim=1)))
        return images_B.mul_(1 - hole_B).add_(hole_B * GREY)
