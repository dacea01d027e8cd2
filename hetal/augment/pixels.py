"""Operations on pixel values of RandAugment (Cubuk et al., 2020), with one magnitude per image.

Each equals Pillow's (`ImageEnhance`, `ImageOps`) bit for bit, for whole batches and in integer arithmetic: the factor
of a blend is truncated to a multiple of 2^-16. One departure: autocontrast divides exactly, where Pillow's
floating-point quotient can be one grey level too low.

All take uint8 images (B, C, H, W) with one or three channels and magnitudes (B,) float32, and return uint8 images of
that shape: new ones, or the same tensor if there is nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

ONE = 1 << 16  # 1.0 in 16.16 fixed point


def blend(degenerate_B: Tensor, images_B: Tensor, factor_B: Tensor) -> Tensor:
    """Return degenerate + factor (image - degenerate), rounded down; uint8.

    Args:
        degenerate_B: integers in 0..255, of a shape that broadcasts with `images_B`.
        images_B: (B, C, H, W) uint8, C channels.
        factor_B: (B,) in [0, 1].
    """
    fixed_B = (factor_B * ONE).int().view(-1, 1, 1, 1)
    return (degenerate_B * (ONE - fixed_B) + images_B * fixed_B).bitwise_right_shift_(16).to(torch.uint8)


def luma(images_B: Tensor) -> Tensor:
    """Return the grey version, (B, 1, H, W) integers in 0..255: ITU-R 601-2, as Pillow rounds it."""
    if images_B.shape[1] == 1:
        return images_B
    red, green, blue = images_B.int().unbind(1)
    return ((red * 19595 + green * 38470 + blue * 7471 + ONE // 2) >> 16).unsqueeze(1)


def identity(images_B: Tensor, _: Tensor) -> Tensor:
    """Return the images unchanged."""
    return images_B


def brightness(images_B: Tensor, factor_B: Tensor) -> Tensor:
    """Blend with black."""
    return blend(torch.zeros_like(images_B[:1, :1, :1, :1]), images_B, factor_B)


def contrast(images_B: Tensor, factor_B: Tensor) -> Tensor:
    """Blend with the image's mean luma, rounded."""
    grey_B = luma(images_B)
    n = grey_B[0].numel()
    mean_B = (2 * grey_B.sum((1, 2, 3), keepdim=True) + n) // (2 * n)
    return blend(mean_B.int(), images_B, factor_B)


def colour(images_B: Tensor, factor_B: Tensor) -> Tensor:
    """Blend with the luma; images with one channel are unchanged."""
    return images_B if images_B.shape[1] == 1 else blend(luma(images_B), images_B, factor_B)


def sharpness(images_B: Tensor, factor_B: Tensor) -> Tensor:
    """Blend with the image smoothed by (1 1 1; 1 5 1; 1 1 1) / 13, except its border."""
    smooth_B = images_B.int()
    rows_B = smooth_B[..., :-2, :] + smooth_B[..., 1:-1, :] + smooth_B[..., 2:, :]
    total_B = rows_B[..., :-2] + rows_B[..., 1:-1] + rows_B[..., 2:] + 4 * smooth_B[..., 1:-1, 1:-1]
    smooth_B[..., 1:-1, 1:-1] = (total_B + 6) // 13
    return blend(smooth_B, images_B, factor_B)


def posterize(images_B: Tensor, bits_B: Tensor) -> Tensor:
    """Keep the highest `bits` bits of every value, with `bits` rounded down."""
    dropped_B = torch.bitwise_left_shift(torch.ones_like(bits_B, dtype=torch.int32), 8 - bits_B.int())
    return images_B & (256 - dropped_B).to(torch.uint8).view(-1, 1, 1, 1)


def solarize(images_B: Tensor, threshold_B: Tensor) -> Tensor:
    """Invert the values at or above `threshold`, a share of 256, rounded down."""
    inverted = images_B >= (threshold_B * 256).int().view(-1, 1, 1, 1)
    return images_B ^ (inverted.to(torch.uint8) * 255)


def autocontrast(images_B: Tensor, _: Tensor) -> Tensor:
    """Stretch every channel to 0..255, rounded down; a constant channel is unchanged."""
    low_B, high_B = images_B.amin((2, 3), keepdim=True), images_B.amax((2, 3), keepdim=True)
    varies = high_B > low_B
    span_B = torch.where(varies, high_B - low_B, 255)
    return ((images_B - low_B * varies).int() * 255).floor_divide_(span_B).to(torch.uint8)


def equalize(images_B: Tensor, _: Tensor) -> Tensor:
    """Equalise every channel's histogram, as Pillow does; a channel with too few values is unchanged."""
    value = images_B.flatten(2).long()
    count = value.new_zeros((*value.shape[:2], 256)).scatter_add_(2, value, torch.ones_like(value))
    below = count.cumsum(2) - count
    # Pixels below the highest value present, divided among the other 255 steps.
    step = below.gather(2, value.amax(2, keepdim=True)) // 255
    table = ((below + step // 2) // step.clamp(min=1)).clamp_(max=255)
    table = torch.where(step > 0, table, torch.arange(256, device=table.device)).to(torch.uint8)
    return table.gather(2, value).view_as(images_B)


PIXEL_OPS: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
    identity,
    autocontrast,
    equalize,
    brightness,
    contrast,
    colour,
    sharpness,
    posterize,
    solarize,
)
