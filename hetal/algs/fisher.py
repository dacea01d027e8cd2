"""Fisher: buy what would leave a linear classifier on the features least uncertain, every image counted once.

hetal's own, after BAIT (Ash et al., NeurIPS 2021, arXiv 2106.09675). With p the class probabilities and h the features,
a label of x is taken to carry the information w(x) h(x) h(x)', where

    w(x) = 1 - sum_c p_c(x)^2

is the trace of a softmax layer's Fisher information in its logits. What is labelled leaves the last layer with the
covariance A = (ridge I + sum_labelled w h h')^-1, and the pick is, again and again, the row whose label takes most
from what is left of sum_pool w h' A h. See `hetal.acquisition.design`.

It departs from BAIT in three ways. Each information matrix, C * D wide, is replaced by its trace in C, so that a query
is cheap; picks are not reconsidered; and every distinct image counts once in all sums, however many rows show it, and
is bought once. The last is what noise cannot abuse. A thousand copies of one image are one thing to know, solid
colours lie along one direction, and what contradicts itself is asked about until its direction is known, where
an uncertainty or a gradient stays large for ever.
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
from hetal.train.fitted import Fitted


class Fisher(QueryStrategy):
    """Buys by greedy optimal design on features, weighed by the information in their labels.

    Args:
        weight: maps probabilities (M, C) to the information in a label of each image, (M,), 0 or more.
        ridge: what is known of every direction before any label, in labels of weight 1 of a feature of mean size.
        count_rows: count every row, labelled or not, instead of every image, as BAIT does.

    Raises:
        BadInput: `ridge` is under `LEAST_RIDGE` or not finite.
    """

    def __init__(self, weight: Callable[[Tensor], Tensor], ridge: float, count_rows: bool) -> None:
        if not LEAST_RIDGE <= ridge < float("inf"):
            raise BadInput(f"alg.ridge={ridge}: must be at least {LEAST_RIDGE:g}, and finite")
        self.weight = weight
        self.ridge = ridge
        self.count_rows = count_rows

    def query(self, fitted: Fitted, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
        """Return n ids, the most informative first; once every image is labelled, ids at random from what is left."""
        known = pool.source_N[pool.labelled_ids()]
        images, _ = pool.distinct()
        new = images[~torch.isin(images, known)]
        # Shuffled, since ties go to the first.
        new = new[torch.randperm(len(new), generator=rng).to(new.device)]
        picks = greedy_design(
            fitted.features_MD,
            self.weight(fitted.probs_MC),
            min(n, len(new)),
            known=known if self.count_rows else known.unique(),
            candidates=new,
            ridge=self.ridge,
            copies=torch.bincount(pool.source_N, minlength=len(pool.images_M)) if self.count_rows else None,
        )
        return fill_up(pool.rows_showing(picks, rng), pool, n, rng)


def unweighted(probs_MC: Tensor) -> Tensor:
    """Return the ablation in which every label is worth the same: (M, C) to ones (M,)."""
    return torch.ones_like(probs_MC[:, 0])
