"""Base of strategies that give every image a score, and buy the rows of the highest scores."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from hetal.acquisition import top_scores
from hetal.algs.base import QueryStrategy
from hetal.pool import Pool
from hetal.train.fitted import Fitted


class Scored(QueryStrategy):
    """Buys the rows with the highest scores; ties, such as copies of one image, are broken at random.

    The wrappers `hetal.algs.Power`, `Softmax` and `SoftRank` take any strategy of this kind, and draw by its scores
    instead.
    """

    has_least: bool = True
    """Whether scores have a least value, that of a row that tells nothing, see `least`; `Power` needs one."""

    @abstractmethod
    def scores(self, fitted: Fitted, pool: Pool, rng: torch.Generator) -> Tensor:
        """Return the score of every distinct image, (M,); larger is bought first.

        Args:
            fitted: outputs of this round's networks.
            pool: read-only. Scores of images that no unlabelled row shows are not looked at.
            rng: CPU generator, the only source of randomness to use.
        """

    def least(self, fitted: Fitted) -> float:
        """Return the score of a row that tells nothing, which none is below; 0 unless overridden."""
        return 0.0

    def query(self, fitted: Fitted, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
        """Return the n ids with the highest scores."""
        ids = pool.unlabelled_ids()
        return ids[top_scores(self.scores(fitted, pool, rng)[pool.source_N[ids]], n, rng)]
