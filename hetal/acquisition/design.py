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
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.acquisition.inputs import AnyArray, Array, as_tensor, like

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
    x_MD, w_M = points_MD.to(on).double(), weight_M.to(on).double()
    known, candidates = known.to(on), candidates.to(on)
    counted_M = w_M if copies is None else w_M * copies.to(on)
    if not bool(x_MD.isfinite().all() and w_M.isfinite().all() and (w_M >= 0).all()):
        raise ValueError("points and weights must be finite, and weights 0 or more")
    x_MD = x_MD / x_MD.square().sum(1).mean().sqrt().clamp(min=torch.finfo(torch.float64).tiny)
    x_PD, w_P = x_MD[candidates], w_M[candidates]

    goal_DD = x_MD.T @ (counted_M[:, None] * x_MD)
    information_DD = ridge * torch.eye(x_MD.shape[1], dtype=torch.float64, device=on)
    information_DD += x_MD[known].T @ (w_M[known, None] * x_MD[known])
    barred_P = torch.zeros_like(w_P)
    picks = torch.empty(n, dtype=torch.int64, device=on)
    for k in range(n):
        if _is_due(k, x_MD.shape[1]):
            covariance_DD = torch.linalg.inv(information_DD)
            spread_PD = x_PD @ covariance_DD
            variance_P = (spread_PD * x_PD).sum(1)
            reach_P = (spread_PD @ goal_DD * spread_PD).sum(1)
        pick = (w_P * reach_P / (1 + w_P * variance_P) + barred_P).argmax(0, keepdim=True)
        picks[k : k + 1] = pick
        barred_P.index_fill_(0, pick, -torch.inf)
        # The rank-one update of A, and of what is kept of it: variance = x'Ax and reach = x'ASAx. Nothing here is
        # read back to the host, as an index that is a scalar on a GPU would be.
        x_D, w_1 = x_PD.index_select(0, pick).squeeze(0), w_P.index_select(0, pick)
        a_D = covariance_DD @ x_D
        goal_D = goal_DD @ a_D
        share = w_1 / (1 + w_1 * variance_P.index_select(0, pick))
        both_P2 = x_PD @ torch.stack([a_D, covariance_DD @ goal_D], dim=1)
        along_P, across_P = both_P2.unbind(1)
        reach_P += share * along_P * (share * (a_D @ goal_D) * along_P - 2 * across_P)
        variance_P -= share * along_P.square()
        covariance_DD -= share * torch.outer(a_D, a_D)
        information_DD += w_1 * torch.outer(x_D, x_D)
    return candidates[picks].to(device)


def _is_due(k: int, width: int) -> bool:
    """Tell whether, before pick `k`, what updates have rounded away is computed afresh.

    The first picks take nearly all of what is uncertain, and what is left is a small difference of large numbers.
    """
    return k % width == 0 or k in (4, 16, 64)
