"""Fisher: BAIT's greedy design in a D-wide form, each distinct image counted once.

With p the class probabilities and h the features, a label of x is assumed to carry the information w(x) h(x) h(x)',
where

    w(x) = 1 - sum_c p_c(x)^2

is the trace of a softmax layer's Fisher information in its logits. The labelled rows give the last layer the covariance
A = (ridge I + sum_labelled w h h')^-1; picked, one after another, is the row whose label reduces sum_pool w h' A h
most. See `hetal.acquisition.design`.

The design is known: it is that of BAIT (Ash et al., NeurIPS 2021, arXiv 2106.09675) with an information D wide in place
of C * D, and close to BAIT's binary form (Huseljic et al., ECML 2024, arXiv 2404.08981), `bait_binary`, where
w = q (1 - q) with q the largest probability. For two classes the one weight is twice the other, so that with twice the
ridge both pick alike, and w h h' is all that the whole layer's information holds. Fisher never takes a pick back.

hetal's own is one thing: every distinct image counts once in all sums, however many rows show it, and is bought once.
That makes it robust to noise that comes in exact copies: a thousand copies of one image count as one, and contradictory
labels are bought only until their direction is known, whereas their uncertainty or gradient would stay large for ever.
`alg=once` shows any strategy such a pool.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hetal.acquisition import greedy_design
from hetal.acquisition.design import LEAST_RIDGE
from hetal.algs.base import QueryStrategy, fill_up
from hetal.errors import BadInput
from hetal.pool import Pool
from hetal.rng import permutation
from hetal.train.fitted import Fitted


class Fisher(QueryStrategy):
    """Buys by greedy optimal design on features, weighted by the information in a label.

    Args:
        weight: maps probabilities (M, C) to the information in a label of each image, (M,), 0 or more.
        ridge: prior information on every direction, in labels of weight 1 of a feature vector of mean norm.
        count_rows: count every row, labelled or not, instead of every image, as BAIT does.
        max_candidates: choose among so many random images (n, if that is more), for what all of the pool leave
            uncertain; None among all. A pick takes time in proportion to them.

    Raises:
        BadInput: `ridge` is below `LEAST_RIDGE` or not finite, or `max_candidates` is below 1.
    """

    def __init__(
        self, weight: Callable[[Tensor], Tensor], ridge: float, count_rows: bool, max_candidates: int | None
    ) -> None:
        if not LEAST_RIDGE <= ridge < float("inf"):
            raise BadInput(f"alg.ridge={ridge}: must be at least {LEAST_RIDGE:g}, and finite")
        if max_candidates is not None and max_candidates < 1:
            raise BadInput(f"alg.max_candidates={max_candidates}: must be at least 1, or null")
        self.weight = weight
        self.ridge = ridge
        self.count_rows = count_rows
        self.max_candidates = max_candidates

    def query(self, fitted: Fitted, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
        """Return n ids, the most informative first; once every image is labelled, random ids of the others."""
        labelled = pool.source_N[pool.labelled_ids()]
        images, _ = pool.distinct()
        new = images[~torch.isin(images, pool.source_N[pool.bought_ids()])]
        # Shuffled, since ties go to the first candidate.
        new = new[permutation(len(new), rng, new.device)]
        if self.max_candidates is not None:
            new = new[: max(self.max_candidates, n)]
        rows_M = pool.copies()
        picks = greedy_design(
            fitted.features_MD,
            self.weight(fitted.probs_MC),
            min(n, len(new)),
            known=labelled if self.count_rows else labelled.unique(),
            candidates=new,
            ridge=self.ridge,
            copies=rows_M if self.count_rows else rows_M.clamp(max=1),
        )
        return fill_up(pool.rows_showing(picks, rng), pool, n, rng)


def unweighted(probs_MC: Tensor) -> Tensor:
    """Return equal weights, an ablation: (M, C) to ones (M,)."""
    return torch.ones_like(probs_MC[:, 0])
