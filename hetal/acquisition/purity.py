"""The radius of balls that are pure: the largest at which most balls hold points of one cluster only.

Yehuda, Dekel, Hacohen & Weinshall (NeurIPS 2022, arXiv 2205.11320) choose the radius of their covering so, with k-means
clusters for the classes that nobody knows. With r_i the distance of point i to the nearest point of another cluster, a
ball of radius d about i, without its rim, is pure if r_i >= d, and

    delta = max {d : sum_i w_i [r_i >= d] >= alpha sum_i w_i}.

That is a quantile of r, found here exactly, in one pass over the pairs; the paper tries a grid of radii.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hetal.acquisition.ball_cover import SIDE
from hetal.acquisition.copies import checked_copies
from hetal.acquisition.inputs import AnyArray, as_tensor
from hetal.acquisition.points import as_points, finite_sq_norms


@torch.no_grad()
def pure_radius(
    points: AnyArray, labels: AnyArray, share: float, *, weights: AnyArray | None = None
) -> float:
    """Return the largest radius at which a share of all points has a ball that holds its own label only.

    Args:
        points: features (M, D), M at least 1.
        labels: (M,) int64, such as numbers of clusters.
        share: of the points, counted with weights, more than 0 and at most 1.
        weights: (M,) whole numbers, 1 or more: how many copies of each point there are. None is 1 each.

    Returns:
        The radius; infinity where more points than 1 - share have no other label to meet.

    Raises:
        ValueError: `share` is out of range, or points are not finite.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share={share}: must be more than 0, and at most 1")
    given = as_points(points)
    finite_sq_norms(given)
    x_MD, label_M = given[:].factors[0].double(), as_tensor(labels, "labels").to(given.device)
    copies_M = checked_copies(
        len(x_MD), None if weights is None else as_tensor(weights, "weights"), x_MD.device
    )
    distance_M, order = _nearest_other(x_MD - x_MD.mean(0), label_M).sort(descending=True)
    reached = copies_M[order].cumsum(0)
    # As many points as make up the share; a product such as 0.95 * 100 may come out above a whole number.
    first = int((reached < share * int(reached[-1]) * (1 - 1e-12)).sum())
    return math.sqrt(float(distance_M[first]))


def _nearest_other(x_MD: Tensor, label_M: Tensor) -> Tensor:
    """Return the squared distance of each point to the nearest of another label, (M,); infinity where all have one."""
    order = label_M.argsort(stable=True)
    x, label = x_MD[order], label_M[order]
    half = x.square().sum(1) / 2
    least = torch.full_like(half, torch.inf)
    side = SIDE.get(x.device.type, SIDE["cpu"])
    bounds = [(i, min(i + side, len(x))) for i in range(0, len(x), side)]
    ends = [(int(label[i]), int(label[j - 1])) for i, j in bounds]  # labels ascend
    for k, (a, (first, last)) in enumerate(zip(bounds, ends, strict=True)):
        rows = slice(*a)
        for b, (their_first, their_last) in zip(bounds[k:], ends[k:], strict=True):
            if first == their_last:
                continue
            columns = slice(*b)
            halved = torch.addmm(half[columns], x[rows], x[columns].T, alpha=-1).add_(half[rows, None])
            if their_first <= last:
                halved.masked_fill_(label[rows, None] == label[columns], torch.inf)
            least[rows] = least[rows].minimum(halved.amin(1))
            least[columns] = least[columns].minimum(halved.amin(0))
    return torch.empty_like(least).index_copy_(0, order, 2 * least.clamp(min=0))
