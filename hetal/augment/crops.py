"""Random crop, horizontal flip and the rectangles of cutout, for batches of images, from given uniform draws.

Crop and flip are those of He et al. (2016), arXiv:1512.03385; cutout is that of DeVries, Taylor (2017),
arXiv:1708.04552.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.augment.warps import axes, pick
from hetal.machine.transfer import to_device


def random_crop_flip(images_B: Tensor, draws_3B: Tensor, padding: float, flip: float) -> Tensor:
    """Return images cropped to their size after padding with zeros, then flipped.

    Args:
        images_B: (B, C, H, W) uint8.
        draws_3B: (3, B) float64 in [0, 1), on the CPU: row and column of the crop, flip.
        padding: zeros on each side, as a share of the side, rounded down to whole pixels.
        flip: probability of a horizontal flip.
    """
    up_B, left_B, flip_B = draws_3B
    pad_y, pad_x = (int(padding * side) for side in images_B.shape[-2:])
    plan = [
        (up_B * (2 * pad_y + 1)).int() - pad_y,
        (left_B * (2 * pad_x + 1)).int() - pad_x,
        (flip_B < flip).int(),
    ]
    return crop_flip(images_B, *to_device(images_B.device, torch.stack(plan, dim=1)))


def crop_flip(images_B: Tensor, plan_B3: Tensor) -> Tensor:
    """Return images shifted with zero padding, then flipped.

    Args:
        images_B: (B, C, H, W) uint8.
        plan_B3: (B, 3) int32: rows and columns to shift up and left, 1 to flip or 0.
    """
    y, x = axes(images_B)
    up, left, flip = plan_B3.view(-1, 3, 1, 1).unbind(1)
    return pick(images_B, y + up, torch.where(flip == 1, x.flip(0), x) + left)


def random_flip(images_B: Tensor, draws_B: Tensor, flip: float) -> Tensor:
    """Return images, of which those with a draw (B,) in [0, 1) under `flip` are flipped horizontally."""
    (flipped_B,) = to_device(images_B.device, draws_B < flip)
    return torch.where(flipped_B.view(-1, 1, 1, 1), images_B.flip(3), images_B)


def rectangles(images_B: Tensor, plan_B4: Tensor) -> Tensor:
    """Return (B, 1, H, W) uint8 masks, 1 in a rectangle, clipped at the image's border.

    Args:
        images_B: (B, C, H, W).
        plan_B4: (B, 4) int32: row and column of the first pixel, height and width, which may be 0.
    """
    y, x = axes(images_B)
    top, left, height, width = plan_B4.view(-1, 4, 1, 1).unbind(1)
    rows, cols = (y >= top) & (y < top + height), (x >= left) & (x < left + width)
    # Products of uint8 are many times faster than a masked fill.
    return (rows.to(torch.uint8) * cols.to(torch.uint8)).unsqueeze(1)
