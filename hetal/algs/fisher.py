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
from hetal.algs.designed import Designed
from hetal.pool import Pool
from hetal.train.fitted import Fitted


class Fisher(Designed):
    """Buys by greedy optimal design on features, weighted by the information in a label.

    Args:
        weight: maps probabilities (M, C) to the information in a label of each image, (M,), 0 or more.
        count_rows: count every row, labelled or not, instead of every image, as BAIT does.
        ridge, max_candidates: see `hetal.algs.designed.Designed`.

    Raises:
        BadInput: one of them is out of range.
    """

    def __init__(
        self, weight: Callable[[Tensor], Tensor], ridge: float, count_rows: bool, max_candidates: int | None
    ) -> None:
        super().__init__(ridge, max_candidates)
        self.weight = weight
        self.count_rows = count_rows

    def pick(self, fitted: Fitted, pool: Pool, candidates: Tensor, n: int) -> Tensor:
        """Return n images, the most informative first; see `Designed`."""
        labelled, rows_M = pool.source_N[pool.labelled_ids()], pool.copies()
        return greedy_design(
            fitted.features_MD,
            self.weight(fitted.probs_MC),
            n,
            known=labelled if self.count_rows else labelled.unique(),
            candidates=candidates,
            ridge=self.ridge,
            copies=rows_M if self.count_rows else rows_M.clamp(max=1),
        )


def unweighted(probs_MC: Tensor) -> Tensor:
    """Return equal weights, an ablation: (M, C) to ones (M,)."""
    return torch.ones_like(probs_MC[:, 0])
