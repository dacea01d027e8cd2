"""Strategies that are one formula: score each image from its class probabilities, buy the highest."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hetal.acquisition import top_scores
from hetal.algs.base import QueryStrategy
from hetal.pool import Pool
from hetal.train.fitted import Fitted


class Score(QueryStrategy):
    """Buys the rows with the highest scores; ties, copies of one image included, are broken at random.

    Args:
        score: maps probabilities (M, C) to scores (M,), larger for what is to be bought first. See
            `hetal.acquisition.scores`.
    """

    def __init__(self, score: Callable[[Tensor], Tensor]) -> None:
        self.score = score

    def query(self, fitted: Fitted, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
        """Return the n ids of highest score."""
        ids = pool.unlabelled_ids()
        return ids[top_scores(self.score(fitted.probs_MC)[pool.source_N[ids]], n, rng)]
