"""Points that are no closer to each other than a radius: of any that are closer, the first.

A greedy net: points are gone through in their order, and each is kept unless it is closer than the radius to one kept
before it, or to one that is given. So every point is closer than the radius to a kept or given one, or is one of them,
and no two kept ones are that close (Gonzalez, Theor. Comput. Sci. 1985, for the radius that leaves k of them).
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.acquisition.inputs import AnyArray, Array
from hetal.acquisition.points import Points, as_given, as_points, finite_sq_norms, pairwise, upper_bounds

# Points that are decided one by one before all that follow are compared with those kept of them.
_AT_ONCE = 512


def separated(points: Array, radius: float, *, centers: AnyArray | None = None) -> Array:
    """Return the points that are kept, in their order.

    Args:
        points: features (M, D), a tensor or numpy array.
        radius: of Euclidean distance, above 0. Distances that float32 cannot tell from it may fall on either side.
        centers: (L, D), what nothing is to be close to, such as the labelled points.

    Returns:
        (K,) int64 ascending indices into `points`; a numpy array as they are.

    Raises:
        ValueError: `radius` is not above 0; points or centres are not finite; their widths differ.
    """
    if not 0 < radius < float("inf"):
        raise ValueError(f"radius={radius}: must be above 0, and finite")
    given = None if centers is None or len(centers) == 0 else as_points(centers, "centers")
    x = as_points(points)
    if given is not None and given.shape != x.shape:
        raise ValueError(f"centers must be {x.shape[0]} wide, as the points, not {given.shape[0]}")
    return as_given(points, _separated(x, radius**2, given))


@torch.no_grad()
def _separated(points: Points, sq_radius: float, centers: Points | None) -> Tensor:
    norm_M = finite_sq_norms(points)
    left = torch.arange(len(points), device=points.device)
    if centers is not None:
        finite_sq_norms(centers, "centers")
        left = left[upper_bounds(points, norm_M, centers) >= sq_radius]
    kept = []
    while len(left):
        block, left = left[:_AT_ONCE], left[_AT_ONCE:]
        is_close = (pairwise(points[block], points[block]) < sq_radius).cpu()
        is_kept = torch.ones(len(block), dtype=torch.bool)
        for i in range(len(block)):
            if is_kept[i]:
                is_kept[i + 1 :] &= ~is_close[i, i + 1 :]
        kept.append(block[is_kept.to(block.device)])
        if len(left):
            left = left[upper_bounds(points.take(left), norm_M[left], points[kept[-1]]) >= sq_radius]
    return torch.cat(kept) if kept else left
