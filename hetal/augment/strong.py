"""Strong augmentation for fine-tuning on pseudo-labels: random operations, crop, flip, cutout.

Cubuk, Zoph, Shlens, Le (2020), RandAugment, arXiv:1909.13719; its list and ranges as in Sohn et al. (2020),
FixMatch, arXiv:2001.07685, table 12; DeVries, Taylor (2017), Cutout, arXiv:1708.04552. Per image

    x <- op_k(x; m_k), k = 1..n_ops,   op_k ~ Uniform(list),   m_k ~ Uniform(range of op_k)
    x <- cutout(flip(crop(pad(x))))

The operations are Pillow's, which the papers used, for whole batches and in integer arithmetic, so that every device
gives the same bits. Departures: every drawn operation is applied, in the ranges of the table (FixMatch's code skips
each with probability 1/2, and its factors exceed 1); pixels from outside an image are 0 (there, grey after a warp and
reflected in the crop); crop and flip follow the operations (there, they come first).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hetal.augment.pixels import PIXEL_OPS
from hetal.augment.warps import WARPS, crop_flip_cut, warp, warp_matrices
from hetal.errors import BadInput

_LOW = torch.tensor([low for _, low, _ in PIXEL_OPS] + [-m for m in WARPS.values()], dtype=torch.float64)
_HIGH = torch.tensor([high for _, _, high in PIXEL_OPS] + list(WARPS.values()), dtype=torch.float64)


def operate(images_B: Tensor, sizes: list[int], magnitude_B: Tensor, matrix_B6: Tensor) -> Tensor:
    """Apply one operation to each image of a batch.

    Args:
        images_B: (B, C, H, W) uint8, sorted by operation.
        sizes: number of images for each of `PIXEL_OPS`, then of `WARPS`.
        magnitude_B: (B,) float32.
        matrix_B6: (B, 6) int32, `warp_matrices` of them.
    """
    n_warped = sum(sizes[len(PIXEL_OPS) :])
    groups = [*sizes[: len(PIXEL_OPS)], n_warped]
    *parts, warped_B = zip(
        images_B.split_with_sizes(groups), magnitude_B.split_with_sizes(groups), strict=True
    )
    done = [apply(*part) for (apply, _, _), part in zip(PIXEL_OPS, parts, strict=True) if len(part[0])]
    return torch.cat([*done, warp(warped_B[0], matrix_B6[len(images_B) - n_warped :])])


@dataclass(frozen=True)
class Strong:
    """Strong augmentation of uint8 images, with separate random draws for each image.

    Attributes:
        n_ops: operations per image, drawn with replacement.
        padding: zeros around an image before the random crop, as a share of its side, in 0..0.5.
        flip: probability of a horizontal flip.
        cutout: side of the grey rectangle, as a share of the image's side; its centre is a uniform random pixel.

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
        """Refuse, before any training, images that cannot be augmented.

        Args:
            image_shape: shape of one image, such as (3, 32, 32).
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
            images_B: (B, C, H, W) uint8, on any device; not changed.
            rng: CPU generator, the only source of randomness, so that the result does not depend on the device.

        Raises:
            BadInput: as `check`.
        """
        self.check(tuple(images_B.shape[1:]), images_B.dtype)
        n, height, width = len(images_B), *images_B.shape[-2:]
        draws = torch.rand((2 * self.n_ops + 5, n), generator=rng, dtype=torch.float64)
        if n == 0:
            return images_B.clone()
        # Drawn, sorted and counted on the CPU, to avoid synchronising with a GPU.
        op_KB, order_KB = (draws[: self.n_ops] * len(_LOW)).long().sort(dim=1, stable=True)
        magnitude_KB = _LOW[op_KB] + (_HIGH - _LOW)[op_KB] * draws[self.n_ops : -5].gather(1, order_KB)
        sizes_K = [torch.bincount(op_B, minlength=len(_LOW)).tolist() for op_B in op_KB]
        matrix_KB6 = warp_matrices(op_KB - len(PIXEL_OPS), magnitude_KB, height, width)
        # Images are reordered directly from the order of one operation to that of the next, and back at the end.
        position_KB = torch.cat([torch.arange(n).expand(1, -1), order_KB.argsort(dim=1)])
        take_KB = torch.cat([position_KB[:-1].gather(1, order_KB), position_KB[-1:]])
        *takes, back_B = take_KB.to(images_B.device).unbind()
        parameters = (t.to(images_B.device).unbind() for t in (magnitude_KB.float(), matrix_KB6))
        for sizes, take_B, magnitude_B, matrix_B6 in zip(sizes_K, takes, *parameters, strict=True):
            images_B = operate(images_B.index_select(0, take_B), sizes, magnitude_B, matrix_B6)
        hole = round(self.cutout * height), round(self.cutout * width)
        plan_B5 = self._plan(draws[-5:], height, width, hole).to(images_B.device)
        return crop_flip_cut(images_B.index_select(0, back_B), plan_B5, hole)

    def _plan(self, draws_5B: Tensor, height: int, width: int, hole: tuple[int, int]) -> Tensor:
        """Return the plan of `crop_flip_cut` from five uniform draws per image."""
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
