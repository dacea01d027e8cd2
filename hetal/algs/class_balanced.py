"""Class balanced: buy equally many rows of each predicted class, at random within a class.

A plain baseline of what balancing alone gives; Bengar, van de Weijer, Fuentes & Raducanu (WACV 2022, arXiv 2110.04543)
combine it with other strategies and with the labels bought so far. Cost: one forward pass.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.acquisition import balanced
from hetal.algs.base import QueryStrategy
from hetal.pool import Pool
from hetal.train.fitted import Fitted


class ClassBalanced(QueryStrategy):
    """Buys equally many rows of each predicted class; where one has too few, the others share what is missing."""

    def query(self, fitted: Fitted, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
        """Return n ids."""
        ids = pool.unlabelled_ids()
        return ids[balanced(fitted.probs_MC.argmax(1)[pool.source_N[ids]], n, rng)]
