"""Score strategies: score each image by a formula of its probabilities or logits, and buy the highest scores."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hetal.acquisition import top_scores
from hetal.algs.base import QueryStrategy
from hetal.pool import Pool
from hetal.train.fitted import Fitted


class Score(QueryStrategy):
    """Buys the rows with the highest scores; ties, such as copies of one image, are broken at random.

    Args:
        score: maps probabilities (M, C) to scores (M,); the largest are bought first. See `hetal.acquisition.scores`.
    """

    def __init__(self, score: Callable[[Tensor], Tensor]) -> None:
        self.score = score

    def query(self, fitted: Fitted, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
        """Return the n ids with the highest scores."""
        ids = pool.unlabelled_ids()
        return ids[top_scores(self.score(self.read(fitted))[pool.source_N[ids]], n, rng)]

    def read(self, fitted: Fitted) -> Tensor:
        """Return what is scored, (M, C)."""
        return fitted.probs_MC


class LogitScore(Score):
    """Buys the rows with the highest scores of logits.

    Args:
        score: maps logits (M, C) to scores (M,); the largest are bought first.
    """

    def read(self, fitted: Fitted) -> Tensor:
        """Return what is scored, (M, C)."""
        return fitted.logits_MC
