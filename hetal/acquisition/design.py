"""Optimal design: the points whose labels would leave a linear model least uncertain, one after the other.

A linear model of points x_i with prior precision ridge * I, which has seen the labels of some, has the covariance

    A = (ridge I + sum_known w_i x_i x_i')^-1,

where w_i is the information in a label of x_i (for a classifier, `hetal.acquisition.gini`). What it leaves uncertain
is V = sum_j c_j w_j x_j' A x_j over all points, each counted c_j times. By Sherman & Morrison's formula a label of x_i
takes from that

    w_i x_i' A S A x_i / (1 + w_i x_i' A x_i),  S = sum_j c_j w_j x_j x_j',

and the greedy design takes the point that takes most, again and again: V-optimality (Fedorov, Theory of Optimal
Experiments, 1972), the aim of active learning since Cohn, Ghahramani & Jordan (JAIR 1996). BAIT (Ash et al., NeurIPS
2021, arXiv 2106.09675) does so with the information matrices of a softmax layer, C * D wide. Here each is replaced
by its trace in C, w_i, times x_i x_i', D wide, so that a pick costs a pass over the points.

Few points are held in float64. Many are read as they are, in blocks that are converted one by one, so that they may be
backed by a file.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from hetal.acquisition.inputs import AnyArray, Array, as_tensor, like

# Below it, rounding decides some picks: float64 cannot hold what is uncertain before the first labels and after them.
LEAST_RIDGE = 1e-6

# Points of up to this many numbers are held in float64, 512 MiB.
NUMBERS_HELD = 2**26

# Numbers of a block of more points, which then stays in cache.
NUMBERS_AT_ONCE = 2**19


def greedy_design(
    points_MD: Array,
    weight_M: AnyArray,
    n: int,
    *,
    known: AnyArray,
    candidates: AnyArray,
    ridge: float,
    copies: AnyArray | None = None,
) -> Array:
    """Pick `n` candidates, each the one that takes most from the uncertainty that is left about all points.

    Args:
        points_MD: features, in any unit: they are scaled so that their mean squared norm is 1.
        weight_M: (M,) information in a label of each point, 0 or more.
        n: how many to pick.
        known: (L,) int64 indices of the points whose labels are known; one named k times counts k times.
        candidates: (P,) int64 distinct indices of the points to pick from; of equals the first, but for rounding.
        ridge: prior precision, at least `LEAST_RIDGE`: what is known of every direction before any label, in labels
            of weight 1.
        copies: (M,) how often each point counts in V, 0 or more; None is once each.

    Returns:
        (n,) int64 distinct indices into `points_MD`, in the order they are picked; a numpy array as they are.

    Raises:
        ValueError: `n` is negative or exceeds P; `ridge` is under `LEAST_RIDGE`; points or weights are not finite, or a
            weight is negative.
    """
    picks = _greedy_design(
        as_tensor(points_MD, "points_MD"),
        as_tensor(weight_M, "weight_M"),
        n,
        as_tensor(known, "known"),
        as_tensor(candidates, "candidates"),
        ridge,
        None if copies is None else as_tensor(copies, "copies"),
    )
    return like(points_MD, picks)


@torch.no_grad()
def _greedy_design(
    points_MD: Tensor,
    weight_M: Tensor,
    n: int,
    known: Tensor,
    candidates: Tensor,
    ridge: float,
    copies: Tensor | None,
) -> Tensor:
    if not 0 <= n <= len(candidates):
        raise ValueError(f"n={n}: must be in 0..{len(candidates)}, the number of candidates")
    if not LEAST_RIDGE <= ridge < float("inf"):
        raise ValueError(f"ridge={ridge}: must be at least {LEAST_RIDGE:g}, and finite")
    device = points_MD.device
    on = torch.device("cpu") if device.type == "mps" else device  # Apple's GPUs have no float64
    points_MD, w_M = points_MD.to(on), weight_M.to(on).double()
    known, candidates = known.to(on), candidates.to(on)
    counted_M = w_M if copies is None else w_M * copies.to(on)
    sq_norm_M = torch.cat([block.square().sum(1) for _, block in _Double(points_MD).blocks()])
    if not bool(sq_norm_M.isfinite().all() and w_M.isfinite().all() and (w_M >= 0).all()):
        raise ValueError("points and weights must be finite, and weights 0 or more")
    x_MD = _Double(points_MD, sq_norm_M.mean().sqrt().clamp(min=torch.finfo(torch.float64).tiny))
    x_PD, w_P = x_MD.take(candidates), w_M[candidates]

    goal_DD = x_MD.information(counted_M)
    information_DD = ridge * torch.eye(points_MD.shape[1], dtype=torch.float64, device=on)
    information_DD += x_MD.take(known).information(w_M[known])
    barred_P = torch.zeros_like(w_P)
    picks = torch.empty(n, dtype=torch.int64, device=on)
    for k in range(n):
        if _is_due(k, points_MD.shape[1]):
            covariance_DD = torch.linalg.inv(information_DD)
            variance_P, reach_P = x_PD.variance_and_reach(covariance_DD, goal_DD)
        pick = (w_P * reach_P / (1 + w_P * variance_P) + barred_P).argmax(0, keepdim=True)
        picks[k : k + 1] = pick
        barred_P.index_fill_(0, pick, -torch.inf)
        # The rank-one update of A, and of what is kept of it: variance = x'Ax and reach = x'ASAx. Nothing here is
        # read back to the host, as an index that is a scalar on a GPU would be.
        x_D, w_1 = x_PD[pick].squeeze(0), w_P.index_select(0, pick)
        a_D = covariance_DD @ x_D
        goal_D = goal_DD @ a_D
        share = w_1 / (1 + w_1 * variance_P.index_select(0, pick))
        along_P, across_P = x_PD.along(torch.stack([a_D, covariance_DD @ goal_D], dim=1)).unbind(1)
        reach_P += share * along_P * (share * (a_D @ goal_D) * along_P - 2 * across_P)
        variance_P -= share * along_P.square()
        covariance_DD -= share * torch.outer(a_D, a_D)
        information_DD += w_1 * torch.outer(x_D, x_D)
    return candidates[picks].to(device)


class _Double:
    """Points in float64, divided by a scale: held where they are few, else converted block by block.

    Args:
        points_MD: as given.
        scale: a scalar; None is 1.
        rows: (P,) int64, which of them; None for all.
    """

    def __init__(self, points_MD: Tensor, scale: Tensor | None = None, rows: Tensor | None = None) -> None:
        self._points_MD, self._scale, self._rows = points_MD, scale, rows
        self._n, width = len(points_MD if rows is None else rows), max(points_MD.shape[1], 1)
        is_held = self._n * width <= NUMBERS_HELD
        self._size = max(self._n if is_held else NUMBERS_AT_ONCE // width, 1)
        self._held = self[slice(None)] if is_held else None

    def take(self, rows: Tensor) -> _Double:
        """Return the points with these numbers, of a set of all."""
        return _Double(self._points_MD, self._scale, rows)

    def __getitem__(self, at: Tensor | slice) -> Tensor:
        x = self._points_MD[at if self._rows is None else self._rows[at]].double()
        return x if self._scale is None else x / self._scale

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield consecutive points, and where they are."""
        for start in range(0, max(self._n, 1), self._size):
            at = slice(start, start + self._size)
            yield at, self[at] if self._held is None else self._held

    def information(self, weight_P: Tensor) -> Tensor:
        """Return sum_i w_i x_i x_i', (D, D)."""
        width = self._points_MD.shape[1]
        total_DD = torch.zeros(width, width, dtype=torch.float64, device=self._points_MD.device)
        for at, x in self.blocks():
            total_DD += x.T @ (weight_P[at, None] * x)
        return total_DD

    def along(self, directions_DK: Tensor) -> Tensor:
        """Return the scalar products (P, K) with directions."""
        return torch.cat([x @ directions_DK for _, x in self.blocks()])

    def variance_and_reach(self, covariance_DD: Tensor, goal_DD: Tensor) -> tuple[Tensor, Tensor]:
        """Return x'Ax and x'ASAx of each point, (P,) each."""
        found = []
        for _, x in self.blocks():
            spread = x @ covariance_DD
            found.append(((spread * x).sum(1), (spread @ goal_DD * spread).sum(1)))
        variances, reaches = zip(*found, strict=True)
        return torch.cat(variances), torch.cat(reaches)


def _is_due(k: int, width: int) -> bool:
    """Tell whether, before pick `k`, what updates have rounded away is computed afresh.

    The first picks take nearly all of what is uncertain, and what is left is a small difference of large numbers.
    """
    return k % width == 0 or k in (4, 16, 64)
