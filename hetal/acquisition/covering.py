"""Greedy k-centre: again and again the point farthest from all centres, with the sequential algorithm's picks.

Gonzalez (Theor. Comput. Sci. 1985), as used for active learning by Sener & Savarese (ICLR 2018, arXiv 1708.00489):
with D_i^2 the squared distance of point i to its nearest centre, labelled or picked, the next centre is

    argmax_i D_i^2,  ties to the lowest index.

The sequential algorithm updates all D^2 after each pick. Here they go stale, which leaves upper bounds, since
picks only bring the nearest centre nearer. The true distance is computed for the leaders, the points with the
largest bounds; a leader whose true distance is at least the bound of all other points is the farthest of all.
Bounds of the others are renewed when evaluating leaders has cost as much as a pass over all points.

Leaders are compared in float64, cut to 36 bits, so that copies of one point tie whatever the order in which a
matrix product sums: two different points count as tied where their squared distances agree to 1 part in 10^10.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hetal.acquisition.inputs import AnyArray, Array
from hetal.acquisition.lazy import Rest, cut, leaders_of
from hetal.acquisition.points import (
    OuterProduct,
    Points,
    as_given,
    as_points,
    finite_sq_norms,
    nearest,
    pairwise,
    upper_bounds,
)
from hetal.machine.transfer import to_device, to_host

# What a pass over all points costs each of them besides its distances to new picks, in distances. It sets when
# bounds are renewed, and so how fast, never what is picked.
_PASS_COST = 32


def k_center(
    points: Array | OuterProduct[Array],
    n: int,
    *,
    centers: AnyArray | Points | None = None,
    fill: bool = True,
    batch: int = 1024,
) -> Array:
    """Pick `n` points by greedy k-centre, in the order they are picked.

    Args:
        points: features (M, D), a tensor or numpy array, or outer products. On any device; may be backed by a file.
        n: how many to pick.
        centers: what is covered already, such as the labelled points: features (L, D), or outer products.
            Without any, the first pick is index 0, since Gonzalez starts anywhere and the paper always has some.
        fill: once every point coincides with a centre, go on with the lowest indices not picked. False stops
            there instead: then only points at a positive distance are returned (and index 0, without centres).
        batch: most leaders whose distances are computed together; they cross to the host once per batch. It changes
            the speed only.

    Returns:
        (n,) int64 indices into `points`, each at most once, on their device, or a numpy array as they are; fewer with
        `fill=False` where fewer points are at a positive distance.

    Raises:
        ValueError: `n` is negative or exceeds M; points or centres are not finite; their shapes do not match.
    """
    covered = None if centers is None else as_points(centers, "centers")
    return as_given(points, _k_center(as_points(points), n, covered, fill, batch))


@torch.no_grad()
def _k_center(points: Points, n: int, centers: Points | None, fill: bool, batch: int) -> Tensor:
    if not 0 <= n <= len(points):
        raise ValueError(f"n={n}: must be in 0..{len(points)}, the number of points")
    norm_M = finite_sq_norms(points)
    picks = torch.empty(0, dtype=torch.int64, device=points.device)
    if n == 0:
        return picks
    if centers is None or len(centers) == 0:
        given, picks = points[:1], picks.new_zeros(1)
    else:
        given = _matched(centers, points)

    n_folded = len(picks)
    bound_M = upper_bounds(points, norm_M, given)
    is_compared_M = np.zeros(len(points), dtype=bool)
    spent = 0
    while len(picks) < n:
        if spent > len(points) * (len(picks) - n_folded + _PASS_COST):
            torch.minimum(bound_M, upper_bounds(points, norm_M, points[picks[n_folded:]]), out=bound_M)
            n_folded, spent = len(picks), 0
        leaders, rest_2 = leaders_of(bound_M, min(batch, 2 * (n - len(picks)) + 16))
        ids, rest_2 = to_host(leaders, rest_2)
        ids_B, rest = ids.numpy(), Rest(*rest_2.tolist())
        new = torch.from_numpy(~is_compared_M[ids_B]).nonzero().squeeze(1)
        if len(new):
            new = leaders[to_device(points.device, new)[0]]
            bound_M[new] = bound_M[new].minimum(cut(nearest(points[new], given)))
            is_compared_M[ids_B] = True
        leading = points[leaders]
        distance = bound_M[leaders].minimum(cut(nearest(leading, points[picks])))
        distance, between = to_host(distance, cut(pairwise(leading, leading)))
        chosen = _walk(distance.numpy(), between.numpy(), ids_B, rest, n - len(picks))
        distance, chosen_at = to_device(points.device, distance, torch.tensor(chosen).long())
        bound_M[leaders] = distance
        picks = torch.cat([picks, leaders[chosen_at]])
        spent += len(leaders) * (len(leaders) + len(picks))
        if not chosen and rest.bound == 0:
            break
    if fill:
        is_left_M = torch.ones_like(bound_M, dtype=torch.bool).index_fill_(0, picks, False)
        picks = torch.cat([picks, is_left_M.nonzero().squeeze(1)[: n - len(picks)]])
    return picks


def _walk(
    distance_B: NDArray[np.float64],
    between_BB: NDArray[np.float64],
    ids_B: NDArray[np.int64],
    rest: Rest,
    n: int,
) -> list[int]:
    """Pick the farthest leader for as long as it is certain to be the farthest of all points.

    Args:
        distance_B: squared distances of the leaders to all centres; lowered here as picks are added.
        between_BB: squared distances between leaders.
        ids_B: the leaders' indices, ascending.
        rest: what no other point exceeds.
        n: picks wanted, at most.

    Returns:
        Positions of the picks among the leaders.
    """
    chosen: list[int] = []
    while len(chosen) < n:
        farthest = int(distance_B.argmax())
        reach = distance_B[farthest]
        if reach == 0 or rest.may_exceed(float(reach), int(ids_B[farthest])):
            break
        chosen.append(farthest)
        np.minimum(distance_B, between_BB[farthest], out=distance_B)
    return chosen


def _matched(centers: Points, points: Points) -> Points:
    """Return the centres in the points' precision, checked."""
    if points.shape != centers.shape:
        raise ValueError(
            f"points of width {points.shape} cannot be compared with centers of width {centers.shape}"
        )
    finite_sq_norms(centers, "centers")
    return OuterProduct(*(factor.to(points.dtype) for factor in centers[:].factors))
