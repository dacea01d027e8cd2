"""Random choice: the baseline, which most strategies do not reach on a heteroskedastic pool."""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.algs.base import QueryStrategy
from hetal.pool import Pool
from hetal.rng import permutation
from hetal.train.fitted import Fitted


class Random(QueryStrategy):
    """Buys rows uniformly at random."""

    needs_network = False

    def query(self, fitted: Fitted, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
        """Return n ids drawn without replacement."""
        ids = pool.unlabelled_ids()
        return ids[permutation(len(ids), rng, ids.device)[:n]]
