"""Strong augmentation, for fine-tuning on pseudo-labels: random operations, crop, flip, cutout.

Cubuk, Zoph, Shlens, Le (2020), RandAugment, arXiv:1909.13719; its list and ranges as in Sohn et al. (2020),
FixMatch, arXiv:2001.07685, table 12; DeVries, Taylor (2017), Cutout, arXiv:1708.04552. Per image

    x <- op_k(x; m_k), k = 1..n_ops,   op_k ~ Uniform(list),   m_k ~ Uniform(range of op_k)
    x <- cutout(flip(crop(pad(x))))

The operations are Pillow's, in which the papers are run, but for whole batches, on any device, and in integers:
a factor is a multiple of 2^-16 and a warp has 16.16 fixed-point coefficients, as in Pillow. So every device gives
the same bits. Departures: what comes from outside an image is 0 (FixMatch: grey after a warp, reflection in the
crop); crop and flip follow the operations; autocontrast divides exactly, where Pillow's floating-point quotient
can fall one grey level short. Colour leaves one-channel images alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from hetal.errors import BadInput

ONE = 1 << 16  # 1.0 in 16.16 fixed point
GREY = 127  # FixMatch's cutout


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
    red, green, blue = images_B.int().split(1, dim=1)
    return (red * 19595).add_(green, alpha=38470).add_(blue, alpha=7471).add_(ONE // 2).bitwise_right_shift_(16)


def identity(images_B: Tensor, _: Tensor) -> Tensor:
    """Return the images."""
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
    """Blend with the luma; one channel has no colour to lose."""
    return images_B if images_B.shape[1] == 1 else blend(luma(images_B), images_B, factor_B)


def sharpness(images_B: Tensor, factor_B: Tensor) -> Tensor:
    """Blend with the image smoothed by (1 1 1; 1 5 1; 1 1 1) / 13, its border left as it is."""
    smooth_B = images_B.int()
    rows_B = smooth_B[..., :-2, :] + smooth_B[..., 1:-1, :] + smooth_B[..., 2:, :]
    total_B = rows_B[..., :-2] + rows_B[..., 1:-1] + rows_B[..., 2:] + 4 * smooth_B[..., 1:-1, 1:-1]
    smooth_B[..., 1:-1, 1:-1] = (total_B + 6) // 13
    return blend(smooth_B, images_B, factor_B)


def posterize(images_B: Tensor, bits_B: Tensor) -> Tensor:
    """Keep the highest `bits` bits, rounded down, of every value."""
    dropped_B = torch.bitwise_left_shift(torch.ones_like(bits_B, dtype=torch.int32), 8 - bits_B.int())
    return images_B & (256 - dropped_B).to(torch.uint8).view(-1, 1, 1, 1)


def solarize(images_B: Tensor, threshold_B: Tensor) -> Tensor:
    """Invert the values at or above `threshold`, a share of 256, rounded down."""
    inverted = images_B >= (threshold_B * 256).int().view(-1, 1, 1, 1)
    return torch.where(inverted, 255 - images_B, images_B)


def autocontrast(images_B: Tensor, _: Tensor) -> Tensor:
    """Stretch every channel to 0..255, rounded down; a constant channel stays."""
    low_B, high_B = images_B.amin((2, 3), keepdim=True), images_B.amax((2, 3), keepdim=True)
    span_B = (high_B - low_B).int()
    stretched_B = (images_B - low_B).int().mul_(255).floor_divide_(span_B.clamp(min=1))
    return torch.where(span_B > 0, stretched_B.to(torch.uint8), images_B)


def equalize(images_B: Tensor, _: Tensor) -> Tensor:
    """Flatten every channel's histogram, as Pillow does; one with too few values to spread stays."""
    value = images_B.flatten(2).long()
    count = value.new_zeros((*value.shape[:2], 256)).scatter_add_(2, value, torch.ones_like(value))
    below = count.cumsum(2) - count
    # Pixels below the highest value present: what the other 255 steps share.
    step = below.gather(2, value.amax(2, keepdim=True)) // 255
    table = ((below + step // 2) // step.clamp(min=1)).clamp_(max=255)
    flat = torch.where(step > 0, table.gather(2, value), value)
    return flat.to(torch.uint8).view_as(images_B)


# The operations of FixMatch and their ranges; a warp's range is in degrees, slope or share of the side.
PIXEL_OPS: tuple[tuple[Callable[[Tensor, Tensor], Tensor], float, float], ...] = (
    (identity, 0, 0),
    (autocontrast, 0, 0),
    (equalize, 0, 0),
    (brightness, 0.05, 0.95),
    (contrast, 0.05, 0.95),
    (colour, 0.05, 0.95),
    (sharpness, 0.05, 0.95),
    (posterize, 4, 8),
    (solarize, 0, 1),
)
WARPS = {"rotate": 30.0, "shear_x": 0.3, "shear_y": 0.3, "translate_x": 0.3, "translate_y": 0.3}
_LOW = torch.tensor([low for _, low, _ in PIXEL_OPS] + [-m for m in WARPS.values()], dtype=torch.float64)
_HIGH = torch.tensor([high for _, _, high in PIXEL_OPS] + list(WARPS.values()), dtype=torch.float64)


def warp_matrices(op_B: Tensor, magnitude_B: Tensor, height: int, width: int) -> Tensor:
    """Return (..., 6) int32 coefficients a..f for `warp`, in 16.16 fixed point, of the operations that are warps.

    Rotation is counter-clockwise about the centre; shears leave the first row or column in place.

    Args:
        op_B: (...) positions in `PIXEL_OPS` followed by `WARPS`.
        magnitude_B: (...) float64.
        height, width: of the images.
    """
    degrees, shear_x, shear_y, move_x, move_y = (
        torch.where(op_B == len(PIXEL_OPS) + k, magnitude_B, 0.0) for k in range(len(WARPS))
    )
    cos, sin = torch.cos(torch.deg2rad(degrees)), torch.sin(torch.deg2rad(degrees))
    a, b, d, e = cos, shear_x - sin, shear_y + sin, cos
    c = move_x * width + ((1 - cos) * width + sin * height) / 2
    f = move_y * height + ((1 - cos) * height - sin * width) / 2
    # Pixel (x, y) has its centre at (x + 1/2, y + 1/2).
    rows = torch.stack([a, b, c + (a + b) / 2, d, e, f + (d + e) / 2], dim=-1)
    return (rows * ONE + 0.5).floor().int()


def pick(images_B: Tensor, y_B: Tensor, x_B: Tensor) -> Tensor:
    """Return images made of the input's pixels at rows `y_B` and columns `x_B`, or 0 outside.

    Args:
        images_B: (B, C, H, W) uint8.
        y_B, x_B: integers that broadcast to (B, H, W).
    """
    height, width = images_B.shape[-2:]
    # One ring of zeros stands for all that is outside: cheaper than masking.
    ringed_B = F.pad(images_B, (1, 1, 1, 1)).flatten(2)
    index_B = (y_B.clamp(-1, height) + 1).long() * (width + 2) + (x_B.clamp(-1, width) + 1)
    return ringed_B.gather(2, index_B.flatten(1).unsqueeze(1).expand(-1, images_B.shape[1], -1)).view_as(images_B)


def warp(images_B: Tensor, matrix_B6: Tensor) -> Tensor:
    """Return images whose pixel (x, y) is the input's (floor(ax + by + c), floor(dx + ey + f)), or 0 outside.

    Args:
        images_B: (B, C, H, W) uint8, sides under 8192.
        matrix_B6: (B, 6) int32, a..f in 16.16 fixed point.
    """
    y, x = _axes(images_B)
    a, b, c, d, e, f = matrix_B6.view(-1, 6, 1, 1).unbind(1)
    return pick(images_B, (d * x + (e * y + f)) >> 16, (a * x + (b * y + c)) >> 16)


def crop_flip_cut(images_B: Tensor, plan_B5: Tensor, hole: tuple[int, int]) -> Tensor:
    """Return images shifted with zeros, then flipped, then with a grey rectangle that the border clips.

    Args:
        images_B: (B, C, H, W) uint8.
        plan_B5: (B, 5) int32: rows and columns to shift up and left, 1 to flip or 0, row and column of the
            rectangle's first pixel.
        hole: height and width of the rectangle.
    """
    y, x = _axes(images_B)
    up, left, flip, top, start = plan_B5.view(-1, 5, 1, 1).unbind(1)
    picked_B = pick(images_B, y + up, torch.where(flip == 1, x.flip(0), x) + left)
    rows, cols = (y >= top) & (y < top + hole[0]), (x >= start) & (x < start + hole[1])
    # Products of uint8 are many times faster than a masked fill.
    hole_B = (rows.to(torch.uint8) * cols.to(torch.uint8)).unsqueeze(1)
    return picked_B.mul_(1 - hole_B).add_(hole_B * GREY)


def _axes(images_B: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows (H, 1) and columns (W,) of images, int32."""
    height, width = images_B.shape[-2:]
    y = torch.arange(height, dtype=torch.int32, device=images_B.device)
    return y.view(-1, 1), torch.arange(width, dtype=torch.int32, device=images_B.device)


def operate(images_B: Tensor, sizes: list[int], magnitude_B: Tensor, matrix_B6: Tensor) -> Tensor:
    """Apply one operation to each image.

    Args:
        images_B: (B, C, H, W) uint8, sorted by operation.
        sizes: how many images each of `PIXEL_OPS`, then of `WARPS`, is for.
        magnitude_B: (B,) float32.
        matrix_B6: (B, 6) int32, `warp_matrices` of them.
    """
    n_warped = sum(sizes[len(PIXEL_OPS) :])
    groups = [*sizes[: len(PIXEL_OPS)], n_warped]
    *parts, warped_B = zip(images_B.split(groups), magnitude_B.split(groups), strict=True)
    done = [apply(*part) for (apply, _, _), part in zip(PIXEL_OPS, parts, strict=True) if len(part[0])]
    return torch.cat([*done, warp(warped_B[0], matrix_B6[len(images_B) - n_warped :])])


@dataclass(frozen=True)
class Strong:
    """Strong augmentation of uint8 images, each image with draws of its own.

    Attributes:
        n_ops: operations per image, drawn with replacement.
        padding: zeros around an image before the random crop, as a share of its side, in 0..0.5.
        flip: probability of a horizontal flip.
        cutout: side of the grey rectangle, as a share of the image's; its centre is any pixel.

    Raises:
        BadInput: a hyperparameter is out of its range.
    """

    n_ops: int
    padding: float
    flip: float
    cutout: float

    def __post_init__(self) -> None:
        if not isinstance(self.n_ops, int) or self.n_ops < 0:
            raise BadInput(f"finetune.augment.n_ops={self.n_ops}: must be a whole number, at least 0")
        for name, most in (("padding", 0.5), ("flip", 1), ("cutout", 1)):
            if not 0 <= getattr(self, name) <= most:
                raise BadInput(f"finetune.augment.{name}={getattr(self, name)}: must be in 0..{most}")

    def check(self, image_shape: tuple[int, ...], dtype: torch.dtype) -> None:
        """Refuse, before any training, images that have no such augmentation.

        Args:
            image_shape: of one image, such as (3, 32, 32).
            dtype: of the images.

        Raises:
            BadInput: the images are not uint8 of shape (1, H, W) or (3, H, W).
        """
        if dtype != torch.uint8 or len(image_shape) != 3 or image_shape[0] not in (1, 3) or 0 in image_shape:
            raise BadInput(
                f"finetune.augment: strong augmentation takes uint8 images of shape (1, H, W) or (3, H, W), "
                f"not {dtype} of shape {image_shape}; set finetune.augment=null to fine-tune without it"
            )

    def __call__(self, images_B: Tensor, rng: torch.Generator) -> Tensor:
        """Return augmented copies: (B, C, H, W) uint8, on the images' device.

        Args:
            images_B: (B, C, H, W) uint8, any device; not changed.
            rng: CPU generator, the only source of randomness; the same one gives the same images on any device.

        Raises:
            BadInput: as `check`.
        """
        self.check(tuple(images_B.shape[1:]), images_B.dtype)
        n, height, width = len(images_B), *images_B.shape[-2:]
        draws = torch.rand((2 * self.n_ops + 5, n), generator=rng, dtype=torch.float64)
        if n == 0:
            return images_B.clone()
        # Drawn, sorted and counted on the CPU, so that a GPU is never waited for.
        op_KB, order_KB = (draws[: self.n_ops] * len(_LOW)).long().sort(dim=1, stable=True)
        magnitude_KB = _LOW[op_KB] + (_HIGH - _LOW)[op_KB] * draws[self.n_ops : -5].gather(1, order_KB)
        sizes_K = [torch.bincount(op_B, minlength=len(_LOW)).tolist() for op_B in op_KB]
        matrix_KB6 = warp_matrices(op_KB, magnitude_KB, height, width)
        # Images stay sorted by their last operation: each slot reorders them for its own, the end puts them back.
        place_KB = torch.cat([torch.arange(n).expand(1, -1), order_KB.argsort(dim=1)])
        take_KB = torch.cat([place_KB[:-1].gather(1, order_KB), place_KB[-1:]])
        *takes, back_B = take_KB.to(images_B.device).unbind()
        slots = (t.to(images_B.device).unbind() for t in (magnitude_KB.float(), matrix_KB6))
        for sizes, take_B, magnitude_B, matrix_B6 in zip(sizes_K, takes, *slots, strict=True):
            images_B = operate(images_B.index_select(0, take_B), sizes, magnitude_B, matrix_B6)
        hole = round(self.cutout * height), round(self.cutout * width)
        plan_B5 = self._plan(draws[-5:], height, width, hole).to(images_B.device)
        return crop_flip_cut(images_B.index_select(0, back_B), plan_B5, hole)

    def _plan(self, draws_5B: Tensor, height: int, width: int, hole: tuple[int, int]) -> Tensor:
        """Return `crop_flip_cut`'s plan from five uniform draws an image."""
        up_B, left_B, flip_B, row_B, col_B = draws_5B
        pad_y, pad_x = int(self.padding * height), int(self.padding * width)
        plan = [
            (up_B * (2 * pad_y + 1)).int() - pad_y,
            (left_B * (2 * pad_x + 1)).int() - pad_x,
            (flip_B < self.flip).int(),
            (row_B * height).int() - hole[0] // 2,
            (col_B * width).int() - hole[1] // 2,
        ]
        return torch.stack(plan, dim=1)
