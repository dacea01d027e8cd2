"""k-means++ seeding, exact in distribution, with a handful of passes over the points instead of one a pick.

Arthur & Vassilvitskii (SODA 2007): with D_i^2 the squared distance of point i to its nearest picked centre, and
w_i its multiplicity, the next centre is

    i  with probability  w_i D_i^2 / sum_j w_j D_j^2.

Ash et al. (BADGE, ICLR 2020, arXiv 1906.03671) start from the point of largest norm instead of a random one.

The textbook updates all D^2 after each pick. Here they go stale, which leaves upper bounds U_i >= D_i^2, since
picks only bring the nearest centre nearer. A candidate drawn with probability w_i U_i / sum_j w_j U_j, and
accepted with probability D_i^2 / U_i, is a draw from the law above; one that is not accepted is forgotten. Only
candidates need their true distance: a few matrix products of candidates, not of all points. A pass over all
points renews the bounds when rejections have become dearer than that. Few passes are needed, since the distances
of most pools shrink slowly: typically two or three for a thousand picks.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hetal.acquisition.copies import checked_copies, draw_copies
from hetal.acquisition.inputs import AnyArray, Array, as_tensor, checked_generator
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
from hetal.acquisition.shares import place_in, whole_shares
from hetal.machine.transfer import to_device, to_host

# What a rejected candidate costs besides its distances to the picks, and what a pass costs each point besides its
# distances to new picks, in distances. They set when bounds are renewed: how fast it goes, never the law.
_CANDIDATE_COST = 8000
_PASS_COST = 32


def kmeans_plusplus(
    points: Array | OuterProduct[Array],
    n: int,
    generator: torch.Generator,
    *,
    weights: AnyArray | None = None,
    first: Literal["largest", "sampled"] = "largest",
    batch: int = 512,
) -> Array:
    """Pick `n` points by k-means++ seeding, in the order they are drawn.

    A picked point and all that coincide with it have distance 0 and are not drawn again while others are left.
    When nothing else is left, the rest is drawn uniformly without replacement from the copies that are left,
    so that an index may then come up as often as its weight says (once, without weights).

    The law is exact: bounds are float32, but every pick is decided in float64. The draws do not depend on
    `batch`, but for candidates within rounding of the edge of acceptance.

    Args:
        points: features (M, D), a tensor or numpy array, or outer products. On any device; may be backed by a file.
        n: how many to pick.
        generator: where all randomness comes from; its device need not be that of the points. How far it is
            advanced depends on `batch`.
        weights: (M,) whole numbers, how many copies of each point there are; 0 bars a point. None is 1 each.
        first: "largest" starts from the largest norm, ties by lowest index; "sampled" from a random copy.
        batch: most candidates whose distances are computed together; chosen indices cross to the host once per batch.

    Returns:
        (n,) int64 indices into `points`, on their device, or a numpy array as they are.

    Raises:
        ValueError: `n` is negative or exceeds the total weight; points are not finite; weights are negative or
            not whole; `first` is neither of the two.
    """
    copies = None if weights is None else as_tensor(weights, "weights")
    rng = checked_generator(generator)
    return as_given(points, _kmeans_plusplus(as_points(points), n, rng, copies, first, batch))


@torch.no_grad()
def _kmeans_plusplus(
    points: Points, n: int, generator: torch.Generator, weights: Tensor | None, first: str, batch: int
) -> Tensor:
    if first not in ("largest", "sampled"):
        raise ValueError(f"first={first!r}: must be 'largest' or 'sampled'")
    copies_M = checked_copies(len(points), weights, points.device)
    norm_M = finite_sq_norms(points)
    total = int(copies_M.sum())
    if not 0 <= n <= total:
        raise ValueError(f"n={n}: must be in 0..{total}, the number of points counted with weights")
    if n == 0:
        return copies_M.new_empty(0)
    if first == "sampled":
        picks = draw_copies(copies_M, 1, generator)
    else:
        picks = _largest(points, norm_M.masked_fill(copies_M == 0, -1))

    bound_M = torch.full_like(norm_M, torch.inf, dtype=torch.float64)
    n_folded = 0
    draws = torch.empty(0, 2, dtype=torch.float64, device=generator.device)
    while len(picks) < n:
        torch.minimum(bound_M, upper_bounds(points, norm_M, points[picks[n_folded:]]), out=bound_M)
        mass_M = copies_M * bound_M
        share_M, unit = whole_shares(mass_M)
        if not bool(unit):
            copies_M -= torch.bincount(picks, minlength=len(points))
            return torch.cat([picks, draw_copies(copies_M, n - len(picks), generator)])
        # What candidates are drawn by: no less than the bounds, of which the shares are rounded up.
        drawn_by_M = share_M * unit / copies_M.clamp(min=1)
        ends_M = share_M.cumsum(0)
        n_folded = len(picks)
        schedule = _Schedule(len(points), n, n_folded)
        while len(picks) < n and not schedule.is_stale:
            size = min(batch, 2 * (n - len(picks)) + 16)
            missing = (max(size - len(draws), 0), 2)
            fresh = torch.rand(missing, dtype=torch.float64, generator=generator, device=generator.device)
            draws = torch.cat([draws, fresh])
            place, edge = to_device(points.device, draws[:size])[0].unbind(1)
            ids = torch.searchsorted(ends_M, place_in(ends_M[-1], place), right=True)
            candidates = points[ids].double()
            computed = to_host(
                edge * drawn_by_M[ids], nearest(candidates, points[picks]), pairwise(candidates, candidates)
            )
            edge_B, distance_B, between_BB = (tensor.numpy() for tensor in computed)
            accepted, n_walked = _walk(edge_B, distance_B, between_BB, schedule)
            draws = draws[n_walked:]
            coinciding = torch.from_numpy(distance_B[:n_walked] == 0).nonzero().squeeze(1)
            accepted_at, coinciding_at = to_device(points.device, torch.tensor(accepted).long(), coinciding)
            picks = torch.cat([picks, ids[accepted_at]])
            # Keeps a point that float32 sets apart from its centre, and float64 does not, from coming again.
            bound_M.index_fill_(0, ids[coinciding_at], 0)
    return picks


class _Schedule:
    """Decides, from what has been accepted and rejected alone, when bounds are worth a pass over all points.

    They are when rejections since the last pass have cost as much; or sooner, once there are four times as many
    picks, if at that rate the picks to come would waste more. So even if passes do not help, they cost no more
    than rejections did, or than the textbook's update for every pick.
    """

    def __init__(self, n_points: int, n: int, n_picks: int) -> None:
        self.n_points, self.n, self.n_folded, self.n_picks = n_points, n, n_picks, n_picks
        self.wasted = 0
        self.is_stale = False

    def count(self, is_accepted: bool) -> None:
        """Take note of one candidate."""
        if is_accepted:
            self.n_picks += 1
            return
        self.wasted += self.n_picks + _CANDIDATE_COST
        n_new = self.n_picks - self.n_folded
        pass_cost = self.n_points * (n_new + _PASS_COST)
        has_grown = self.n_picks >= 4 * self.n_folded
        to_come = self.wasted * (self.n - self.n_picks) / max(n_new, 1)
        self.is_stale = self.wasted > pass_cost or (has_grown and to_come > pass_cost)


def _walk(
    edge_B: NDArray[np.float64],
    distance_B: NDArray[np.float64],
    between_BB: NDArray[np.float64],
    schedule: _Schedule,
) -> tuple[list[int], int]:
    """Accept or reject candidates in the order drawn, for as long as the schedule says.

    Args:
        edge_B: a uniform draw times the bound each candidate was drawn by; the true distance must exceed it.
        distance_B: squared distance of each candidate to the picks so far; lowered here as picks are added.
        between_BB: squared distances between candidates.
        schedule: told of every decision.

    Returns:
        Positions accepted, and how many candidates were looked at.
    """
    accepted: list[int] = []
    for k in range(len(edge_B)):
        is_accepted = bool(edge_B[k] < distance_B[k])
        schedule.count(is_accepted)
        if is_accepted:
            accepted.append(k)
            np.minimum(distance_B, between_BB[k], out=distance_B)
        if schedule.is_stale or schedule.n_picks == schedule.n:
            return accepted, k + 1
    return accepted, len(edge_B)


def _largest(points: Points, norm_M: Tensor) -> Tensor:
    """Return the index (1,) of the largest norm, decided in float64 among those that rounding cannot tell apart."""
    near = (norm_M >= norm_M.max() * (1 - 2 * points.rounding())).nonzero().squeeze(1)
    return near[torch.cat([points[some].double().sq_norms() for some in near.split(4096)]).argmax()][None]
