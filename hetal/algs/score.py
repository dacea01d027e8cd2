"""Score strategies: score each image by a formula of its probabilities or logits, and buy the highest scores."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hetal.algs.scored import Scored
from hetal.pool import Pool
from hetal.train.fitted import Fitted


class Score(Scored):
    """Buys the rows with the highest scores; ties, such as copies of one image, are broken at random.

    Args:
        score: maps probabilities (M, C) to scores (M,); the largest are bought first. See `hetal.acquisition.scores`.
    """

    def __init__(self, score: Callable[[Tensor], Tensor]) -> None:
        self.score = score

    def scores(self, fitted: Fitted, pool: Pool, rng: torch.Generator) -> Tensor:
        """Return the score of every distinct image, (M,)."""
        return self.score(self.read(fitted))

    def least(self, fitted: Fitted) -> float:
        """Return the score of a certain prediction: 0 of confidence and entropy, -1 of margin."""
        certain_CC = torch.eye(fitted.probs_MC.shape[1], device=fitted.probs_MC.device)
        return float(self.score(certain_CC).amin())

    def read(self, fitted: Fitted) -> Tensor:
        """Return what is scored, (M, C)."""
        return fitted.probs_MC


class LogitScore(Score):
    """Buys the rows with the highest scores of logits.

    Args:
        score: maps logits (M, C) to scores (M,); the largest are bought first.
    """

    has_least = False

    def read(self, fitted: Fitted) -> Tensor:
        """Return what is scored, (M, C)."""
        return fitted.logits_MC
