"""Power, softmax and soft-rank acquisition: draw rows by their scores instead of buying the best.

Kirsch, Farquhar, Atighehchian, Jesson, Branchaud-Charron & Gal (TMLR 2023, arXiv 2106.12059). With s the score of a row
and G ~ Gumbel(0, 1) drawn for each, the B rows with the largest

    power      beta log s + G
    softmax_   beta s + G
    soft_rank  -beta log rank + G,   rank 1 for the largest s

are bought, which draws them one after another with probabilities proportional to s^beta, exp(beta s) and rank^-beta:
the best scores of one moment change with every label, and rows of almost the same score are alike. Cost: that of the
scores.

Power takes 0 for a row that tells nothing. Where another score does, as -1 of hetal's `margin`, it is taken off first:
the power of margin is that of 1 - (p(1) - p(2)), as in the authors' code, and no setting of `margin` changes. Scores
without a least value, such as `confidence_logit`, are refused by `Power` and taken by the others. Every row is an item,
so that an image shown k times is drawn k times as often. Rows of score 0 are drawn once no others are left; the
authors' code takes logarithms of what rounding may have made negative.
"""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor

from hetal.acquisition import top_scores
from hetal.acquisition.stochastic import power_scores, soft_rank_scores, softmax_scores
from hetal.algs.base import QueryStrategy
from hetal.algs.scored import Scored
from hetal.algs.wrapper import Wrapper
from hetal.errors import BadInput
from hetal.pool import Pool
from hetal.train.fitted import Fitted

# By how much rounding may take a score below its least value, relative to the largest.
_ROUNDING = 1e-5


class _Stochastic(Wrapper):
    """Buys rows drawn by the scores of another strategy.

    Args:
        of: a strategy that gives scores.
        beta: how much scores count: towards 0 rows are drawn uniformly; None, or infinity, buys the best, as `of` does.

    Raises:
        BadInput: `of` gives no scores, or `beta` is not above 0.
    """

    of: Scored

    def __init__(self, of: QueryStrategy, beta: float | None) -> None:
        if not isinstance(of, Scored):
            raise BadInput(
                f"alg.of: {type(of).__name__} gives no score to every image; power, softmax_ and soft_rank draw by the "
                "scores of a strategy that does, such as margin, entropy, bald or epig"
            )
        if beta is not None and not beta > 0:
            raise BadInput(f"alg.beta={beta}: must be above 0, or null for the highest scores")
        super().__init__(of)
        self.beta = math.inf if beta is None else beta

    def query(self, fitted: Fitted, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
        """Return n ids drawn without replacement."""
        ids = pool.unlabelled_ids()
        score_N = self.of.scores(fitted, pool, rng)[pool.source_N[ids]]
        return ids[top_scores(self.noisy(score_N, fitted, rng), n, rng)]

    @abstractmethod
    def noisy(self, score_N: Tensor, fitted: Fitted, rng: torch.Generator) -> Tensor:
        """Return by what the rows are ranked, from the score of each: (N,) to (N,)."""


class Power(_Stochastic):
    """Draws rows with probability proportional to a power of their score above its least value.

    Args:
        of: a strategy that gives scores, which have a least value.
        beta: the power; None, or infinity, buys the best.

    Raises:
        BadInput: `of` gives no such scores, or `beta` is not above 0.
    """

    def __init__(self, of: QueryStrategy, beta: float | None) -> None:
        super().__init__(of, beta)
        if not self.of.has_least:
            raise BadInput(
                f"alg.of: the scores of {type(of).__name__} have no least value, which power takes for 0; "
                "alg=softmax_ and alg=soft_rank take any score"
            )

    def noisy(self, score_N: Tensor, fitted: Fitted, rng: torch.Generator) -> Tensor:
        """Return beta log s + G.

        Raises:
            BadInput: a score is below what a row is given that tells nothing.
        """
        least = self.of.least(fitted)
        above_N = score_N.double() - least
        if bool((above_N < -_ROUNDING * max(abs(least), float(above_N.abs().amax()))).any()):
            raise BadInput(
                f"alg.of: {type(self.of).__name__} gives a score of {float(score_N.amin()):.4g}, below {least:.4g}, "
                "that of a row that tells nothing, which power takes for 0; alg=softmax_ and alg=soft_rank take any "
                "score"
            )
        return power_scores(above_N.clamp(min=0), self.beta, rng)


class Softmax(_Stochastic):
    """Draws rows with probability proportional to the exponential of beta times their score."""

    def noisy(self, score_N: Tensor, fitted: Fitted, rng: torch.Generator) -> Tensor:
        """Return beta s + G."""
        return softmax_scores(score_N, self.beta, rng)


class SoftRank(_Stochastic):
    """Draws rows with probability proportional to a negative power of the rank of their score."""

    def noisy(self, score_N: Tensor, fitted: Fitted, rng: torch.Generator) -> Tensor:
        """Return -beta log rank + G."""
        return soft_rank_scores(score_N, self.beta, rng)
