"""Points whose labels tell much, that are far from all bought, and that the classifier is undecided about: a product.

The next pick is, of all candidates x, with features h and class probabilities p,

    argmax_x  g(x) d(x) u(x)
    g(x) = w h' A S A h / (1 + w h' A h)   what a label takes from V = sum_j c_j w_j h_j' A h_j, see `greedy_design`
    d(x) = min over bought and picked z of |h(x) - h(z)|,   as in greedy k-centre, see `k_center`
    u(x) = 1 - (p_(1) - p_(2)),   the two largest probabilities, see `margin`

with w = 1 - sum_c p_c^2 and A of the labelled and picked points. It descends from BAIT (Ash et al., NeurIPS 2021, arXiv
2106.09675) and its binary form (Huseljic et al., ECML 2024, arXiv 2404.08981), whose g it is but for w, from core-set
(Sener & Savarese, ICLR 2018, arXiv 1708.00489) and from margin sampling (Scheffer, Decomain & Wrobel, IDA 2001); the
product is hetal's own. A product has no scales to balance, and any factor can veto: V is a sum over all points, in
which near copies weigh as much as any others and pull g towards them, but one that has a bought point beside it has
hardly any d.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.acquisition.design import LinearDesign
from hetal.acquisition.double import Double
from hetal.acquisition.inputs import AnyArray, Array, as_tensor, like
from hetal.acquisition.points import as_points, nearest
from hetal.acquisition.scores import gini, margin

# Points whose distances to all bought are computed at once.
_AT_ONCE = 1024


def triple(
    points_MD: Array,
    probs_MC: AnyArray,
    n: int,
    *,
    known: AnyArray,
    candidates: AnyArray,
    ridge: float,
    copies: AnyArray | None = None,
    bought: AnyArray | None = None,
) -> Array:
    """Pick `n` candidates, each the one of the largest product.

    Each pick takes 5 D operations for each candidate, and the first distances D for each candidate and bought point.

    Args:
        points_MD: features, in any unit.
        probs_MC: class probabilities, of two classes at least.
        n: how many to pick.
        known: (L,) int64 indices of the points whose labels are known.
        candidates: (P,) int64 distinct indices of the points to pick from; of equals the first, but for rounding.
        ridge: prior precision, as of `greedy_design`.
        copies: (M,) how often each point counts in V, 0 or more; None is once each.
        bought: (K,) int64 indices of the points that distances are to, beside picks; None is those known. Without any,
            d is 1 for the first pick.

    Returns:
        (n,) int64 distinct indices into `points_MD`, in the order they are picked; a numpy array as they are.

    Raises:
        ValueError: `n` is negative or exceeds P; `ridge` is too small; points are not finite; `probs_MC` holds no
            probabilities.
    """
    points, chosen = as_tensor(points_MD, "points_MD"), as_tensor(candidates, "candidates")
    if not 0 <= n <= len(chosen):
        raise ValueError(f"n={n}: must be in 0..{len(chosen)}, the number of candidates")
    probs, labelled = as_tensor(probs_MC, "probs_MC"), as_tensor(known, "known")
    counted = None if copies is None else as_tensor(copies, "copies")
    design = LinearDesign(points, gini(probs), labelled, chosen, ridge, counted)
    distances = Distances(points, chosen, labelled if bought is None else as_tensor(bought, "bought"))
    undecided_P = (1 + margin(probs)).to(design.device).double().clamp(min=0)[chosen.to(design.device)]

    def worth(gains_P: Tensor) -> Tensor:
        return gains_P.clamp(min=0) * distances.to_nearest() * undecided_P

    return like(points_MD, design.pick(n, worth, distances.add).to(points.device))


class Distances:
    """Distances of candidates to the nearest point that is bought or picked, as more are picked.

    Args:
        points_MD: features.
        candidates: (P,) int64 indices.
        bought: (K,) int64 indices.
    """

    @torch.no_grad()
    def __init__(self, points_MD: Tensor, candidates: Tensor, bought: Tensor) -> None:
        points = as_points(points_MD)
        x_PD, centers = points.take(candidates), points[bought.to(points.device)]
        self._x_PD = Double(points.factors[0]).take(candidates.to(points.device))
        self._sq_norm_P = torch.cat([x.square().sum(1) for _, x in self._x_PD.blocks()])
        self._rounding = (points.shape[0] + 4) * torch.finfo(torch.float64).eps
        self._sq_P = torch.cat([nearest(x, centers) for _, x in x_PD.blocks(_AT_ONCE)] or [self._sq_norm_P])

    def to_nearest(self) -> Tensor:
        """Return the distances, (P,) float64; 0 where points coincide, and 1 as long as there is no other point."""
        return self._sq_P.sqrt().masked_fill_(self._sq_P.isinf(), 1)

    def add(self, pick: Tensor) -> None:
        """Pick a candidate, by its position (1,) int64; nothing here is read back to the host."""
        scale_P = self._sq_norm_P + self._sq_norm_P[pick]
        sq_P = scale_P - 2 * self._x_PD.along(self._x_PD[pick].T).squeeze(1)
        self._sq_P = self._sq_P.minimum(sq_P.masked_fill_(sq_P <= self._rounding * scale_P, 0))
