"""Optimal design: the points whose labels would leave a linear model least uncertain, one after the other.

A linear model of points x_i with prior precision ridge * I, which has seen the labels of some, has the covariance

    A = (ridge I + sum_known w_i x_i x_i')^-1,

where w_i is the information in a label of x_i (for a classifier, `hetal.acquisition.gini`). What it leaves uncertain
is V = sum_j c_j w_j x_j' A x_j over all points, each counted c_j times. By Sherman & Morrison's formula a label of x_i
takes from that

    w_i x_i' A S A x_i / (1 + w_i x_i' A x_i),  S = sum_j c_j w_j x_j x_j',

and the greedy design takes the point that takes most, again and again: V-optimality (Fedorov, Theory of Optimal
Experiments, 1972), the aim of active learning since Cohn, Ghahramani & Jordan (JAIR 1996). It is BAIT's design too (Ash
et al., NeurIPS 2021, arXiv 2106.09675), whose information matrices of a softmax layer are C * D wide; its binary form
(Huseljic et al., ECML 2024, arXiv 2404.08981) has those here, w_i x_i x_i', D wide. See `hetal.acquisition.bait`.

Few points are held in float64. Many are read as they are, in blocks that are converted one by one, so that they may be
backed by a file.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from hetal.acquisition.double import Double
from hetal.acquisition.inputs import AnyArray, Array, as_tensor, like
from hetal.acquisition.inverses import Inverses

# Below it, rounding decides some picks: float64 cannot hold what is uncertain before the first labels and after them.
LEAST_RIDGE = 1e-6


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
        points_MD: features, in any unit: they are scaled to mean squared norm 1, of those that count.
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
    design = LinearDesign(points_MD, weight_M, known, candidates, ridge, copies)
    return design.pick(n).to(points_MD.device)


class LinearDesign(Inverses):
    """What labels of candidates would take from the uncertainty of a linear model, as labels are added and removed.

    Args:
        points_MD, weight_M, known, candidates, ridge, copies: as of `greedy_design`.

    Attributes:
        w_P: (P,) float64, weights of the candidates.

    Raises:
        ValueError: as `greedy_design`.
    """

    def __init__(
        self,
        points_MD: Tensor,
        weight_M: Tensor,
        known: Tensor,
        candidates: Tensor,
        ridge: float,
        copies: Tensor | None,
    ) -> None:
        x_MD = scaled_points(points_MD, ridge, copies)
        on = x_MD.device
        w_M = weight_M.to(on).double()
        known, self._candidates = known.to(on), candidates.to(on)
        if not bool((w_M >= 0).all() and w_M.isfinite().all()):
            raise ValueError("points and weights must be finite, and weights 0 or more")
        self._x_MD, self._x_PD = x_MD, x_MD.take(self._candidates)
        self.w_P = w_M[self._candidates]
        self._goal_DD = x_MD.information(w_M if copies is None else w_M * copies.to(on))
        self._information_DD = ridge * torch.eye(points_MD.shape[1], dtype=torch.float64, device=on)
        self._information_DD += x_MD.take(known).information(w_M[known])
        self._n_moves = 0

    @property
    def device(self) -> torch.device:
        """Device that it computes on."""
        return self._x_MD.device

    def only(self, rows: Tensor) -> LinearDesign:
        """Return this design with some of the candidates, by position. Labels change here alone from now on."""
        few = copy.copy(self)
        few._n_moves = 0
        few._candidates, few.w_P = self._candidates[rows], self.w_P[rows]
        few._x_PD = self._x_MD.take(few._candidates)
        return few

    def _refresh_if_due(self) -> None:
        """Compute afresh what updates have rounded away: A, and x'Ax and x'ASAx of the candidates.

        The first labels take nearly all of what is uncertain, and what is left is a small difference of large numbers.
        """
        if self._n_moves % max(len(self._goal_DD), 1) and self._n_moves not in (4, 16, 64):
            return
        self._covariance_DD = self._noted(*torch.linalg.inv_ex(self._information_DD))
        self._variance_P, self._reach_P = self._x_PD.variance_and_reach(self._covariance_DD, self._goal_DD)

    def gains(self) -> Tensor:
        """Return what a label of each candidate would take from V, (P,)."""
        self._refresh_if_due()
        return self.w_P * self._reach_P / (1 + self.w_P * self._variance_P)

    def losses(self) -> Tensor:
        """Return what V would rise by if a label of each candidate, known by now, were taken back, (P,)."""
        self._refresh_if_due()
        return self.w_P * self._reach_P / (1 - self.w_P * self._variance_P)

    def pick(
        self,
        n: int,
        worth: Callable[[Tensor], Tensor] = lambda gains_P: gains_P,
        told: Callable[[Tensor], object] = lambda pick: None,
    ) -> Tensor:
        """Add labels of `n` candidates, each the most worth at its turn, and return their numbers, (n,) int64.

        Of equals, the first is picked.

        Args:
            n: at most P.
            worth: of what a label of each candidate would take from V, (P,), what the candidate is worth.
            told: called with every pick, its position (1,) int64.
        """
        barred_P = torch.zeros_like(self.w_P)
        picks = torch.empty(n, dtype=torch.int64, device=self.device)
        for k in range(n):
            pick = (worth(self.gains()) + barred_P).argmax(0, keepdim=True)
            picks[k : k + 1] = pick
            barred_P.index_fill_(0, pick, -torch.inf)
            self.move(pick)
            told(pick)
        self.check()
        return self._candidates[picks]

    def move(self, pick: Tensor, sign: int = 1) -> None:
        """Add the label of a candidate, or take it back.

        Args:
            pick: (1,) int64, its position. Nothing here is read back to the host, as an index that is a scalar on a
                GPU would be.
            sign: 1, or -1 to take it back.
        """
        # The rank-one update of A, and of what is kept of it.
        x_D, w_1 = self._x_PD[pick].squeeze(0), sign * self.w_P.index_select(0, pick)
        a_D = self._covariance_DD @ x_D
        goal_D = self._goal_DD @ a_D
        share = w_1 / (1 + w_1 * self._variance_P.index_select(0, pick))
        directions_D2 = torch.stack([a_D, self._covariance_DD @ goal_D], dim=1)
        along_P, across_P = self._x_PD.along(directions_D2).unbind(1)
        self._reach_P += share * along_P * (share * (a_D @ goal_D) * along_P - 2 * across_P)
        self._variance_P -= share * along_P.square()
        self._covariance_DD -= share * torch.outer(a_D, a_D)
        self._information_DD += w_1 * torch.outer(x_D, x_D)
        self._n_moves += 1


def scaled_points(points_MD: Tensor, ridge: float, copies: Tensor | None) -> Double:
    """Return points in float64, scaled so that the mean squared norm is 1, of those that count at all.

    Raises:
        ValueError: `ridge` is under `LEAST_RIDGE` or not finite; points are not finite.
    """
    if not LEAST_RIDGE <= ridge < float("inf"):
        raise ValueError(f"ridge={ridge}: must be at least {LEAST_RIDGE:g}, and finite")
    if points_MD.device.type == "mps":  # Apple's GPUs have no float64
        points_MD = points_MD.cpu()
    sq_norm_M = torch.cat([block.square().sum(1) for _, block in Double(points_MD).blocks()])
    if not bool(sq_norm_M.isfinite().all()):
        raise ValueError("points and weights must be finite, and weights 0 or more")
    if copies is not None and bool((copies > 0).any()):
        sq_norm_M = sq_norm_M[copies.to(sq_norm_M.device) > 0]
    return Double(points_MD, sq_norm_M.mean().sqrt().clamp(min=torch.finfo(torch.float64).tiny))
