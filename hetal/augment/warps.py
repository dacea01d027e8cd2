"""Warps of RandAugment (Cubuk et al., 2020), with one magnitude per image.

A warp sets pixel (x, y) to the input's pixel (floor(ax + by + c), floor(dx + ey + f)), like Pillow's affine transform,
with coefficients in 16.16 fixed point, so that every device reads the same pixel. Pixels from outside an image are 0.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

ONE = 1 << 16  # 1.0 in 16.16 fixed point

# Their magnitudes are in degrees, in slope, and in shares of the side.
WARPS = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")


def warp_matrices(op_B: Tensor, magnitude_B: Tensor, height: int, width: int) -> Tensor:
    """Return (..., 6) int32 coefficients a..f of `warp`, in 16.16 fixed point.

    Rotation is counter-clockwise about the centre; shears keep the first row or column in place.

    Args:
        op_B: (...) indices into `WARPS`; any other number is the identity.
        magnitude_B: (...) float64.
        height, width: of the images.
    """
    degrees, shear_x, shear_y, move_x, move_y = (
        torch.where(op_B == k, magnitude_B, 0.0) for k in range(len(WARPS))
    )
    cos, sin = torch.cos(torch.deg2rad(degrees)), torch.sin(torch.deg2rad(degrees))
    a, b, d, e = cos, shear_x - sin, shear_y + sin, cos
    c = move_x * width + ((1 - cos) * width + sin * height) / 2
    f = move_y * height + ((1 - cos) * height - sin * width) / 2
    # The centre of pixel (x, y) is at (x + 1/2, y + 1/2).
    rows = torch.stack([a, b, c + (a + b) / 2, d, e, f + (d + e) / 2], dim=-1)
    return (rows * ONE + 0.5).floor().int()


def pick(images_B: Tensor, y_B: Tensor, x_B: Tensor) -> Tensor:
    """Return images made of the input's pixels at rows `y_B` and columns `x_B`, or 0 outside.

    Args:
        images_B: (B, C, H, W) uint8.
        y_B, x_B: integers that broadcast to (B, H, W).
    """
    height, width = images_B.shape[-2:]
    # A border of zeros stands for all pixels outside, which is cheaper than masking.
    ringed_B = F.pad(images_B, (1, 1, 1, 1)).flatten(2)
    row_B, col_B = y_B.clamp(-1, height) + 1, x_B.clamp(-1, width) + 1
    index_B = (row_B.long() * (width + 2) + col_B).flatten(1).unsqueeze(1)
    return ringed_B.gather(2, index_B.expand(-1, images_B.shape[1], -1)).view_as(images_B)


def warp(images_B: Tensor, matrix_B6: Tensor) -> Tensor:
    """Return images whose pixel (x, y) is the input's (floor(ax + by + c), floor(dx + ey + f)), or 0 outside.

    Args:
        images_B: (B, C, H, W) uint8, sides under 8192.
        matrix_B6: (B, 6) int32, a..f in 16.16 fixed point.
    """
    y, x = axes(images_B)
    a, b, c, d, e, f = matrix_B6.view(-1, 6, 1, 1).unbind(1)
    return pick(images_B, (d * x + (e * y + f)) >> 16, (a * x + (b * y + c)) >> 16)


def axes(images_B: Tensor) -> tuple[Tensor, Tensor]:
    """Return the row numbers (H, 1) and column numbers (W,) of images, int32."""
    height, width = images_B.shape[-2:]
    y = torch.arange(height, dtype=torch.int32, device=images_B.device)
    return y.view(-1, 1), torch.arange(width, dtype=torch.int32, device=images_B.device)
