"""RandAugment: random operations from a list of 14, each with a random magnitude, for whole batches.

Cubuk, Zoph, Shlens, Le (2020), arXiv:1909.13719. Per image

    x <- op_k(x; m_k), k = 1..n,   op_k ~ Uniform(list),   m_k ~ Uniform(range of op_k)

The operations are Pillow's, which papers used, in integer arithmetic, so that every device gives the same bits.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.augment.pixels import PIXEL_OPS
from hetal.augment.warps import WARPS, warp, warp_matrices
from hetal.machine.transfer import to_device

OPERATIONS = (*(op.__name__ for op in PIXEL_OPS), *WARPS)


def bounds_of(**ranges: tuple[float, float]) -> Tensor:
    """Return the smallest and the largest magnitude of each of `OPERATIONS`, (14, 2) float64; 0 where none is given."""
    return torch.tensor([ranges.get(name, (0.0, 0.0)) for name in OPERATIONS], dtype=torch.float64)


def random_operations(images_B: Tensor, draws_KB: Tensor, bounds: Tensor) -> Tensor:
    """Return copies of images, each after n operations drawn with replacement.

    Args:
        images_B: (B, C, H, W) uint8, at least one.
        draws_KB: (2n, B) float64 in [0, 1), on the CPU: the n operations, then their magnitudes.
        bounds: `bounds_of` the operations.
    """
    n, (height, width), low, high = len(images_B), images_B.shape[-2:], *bounds.unbind(1)
    n_ops = len(draws_KB) // 2
    # Drawn, sorted and counted on the CPU, to avoid synchronising with a GPU.
    op_KB, order_KB = (draws_KB[:n_ops] * len(low)).long().sort(dim=1, stable=True)
    magnitude_KB = low[op_KB] + (high - low)[op_KB] * draws_KB[n_ops:].gather(1, order_KB)
    sizes_K = [torch.bincount(op_B, minlength=len(low)).tolist() for op_B in op_KB]
    matrix_KB6 = warp_matrices(op_KB - len(PIXEL_OPS), magnitude_KB, height, width)
    # Images are reordered directly from the order of one operation to that of the next, and back at the end.
    position_KB = torch.cat([torch.arange(n).expand(1, -1), order_KB.argsort(dim=1)])
    take_KB = torch.cat([position_KB[:-1].gather(1, order_KB), position_KB[-1:]])
    take_KB, magnitude_KB, matrix_KB6 = to_device(images_B.device, take_KB, magnitude_KB.float(), matrix_KB6)
    *takes, back_B = take_KB.unbind()
    for sizes, take_B, magnitude_B, matrix_B6 in zip(sizes_K, takes, magnitude_KB, matrix_KB6, strict=True):
        images_B = operate(images_B.index_select(0, take_B), sizes, magnitude_B, matrix_B6)
    return images_B.index_select(0, back_B)


def operate(images_B: Tensor, sizes: list[int], magnitude_B: Tensor, matrix_B6: Tensor) -> Tensor:
    """Apply one operation to each image of a batch.

    Args:
        images_B: (B, C, H, W) uint8, sorted by operation.
        sizes: number of images for each of `OPERATIONS`.
        magnitude_B: (B,) float32.
        matrix_B6: (B, 6) int32, `warp_matrices` of them.
    """
    n_warped = sum(sizes[len(PIXEL_OPS) :])
    groups = [*sizes[: len(PIXEL_OPS)], n_warped]
    *parts, warped_B = zip(
        images_B.split_with_sizes(groups), magnitude_B.split_with_sizes(groups), strict=True
    )
    done = [apply(*part) for apply, part in zip(PIXEL_OPS, parts, strict=True) if len(part[0])]
    return torch.cat([*done, warp(warped_B[0], matrix_B6[len(images_B) - n_warped :])])
