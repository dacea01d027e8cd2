"""Core-set: buy the rows that best cover the pool in feature space (Sener & Savarese, ICLR 2018, arXiv 1708.00489).

The paper's greedy k-centre: pick, one after another, the row farthest from all labelled and picked rows. Ties go to
the lowest id.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.acquisition import OuterProduct, k_center
from hetal.algs.base import QueryStrategy, fill_up
from hetal.pool import Pool
from hetal.train.fitted import Fitted


class CoreSet(QueryStrategy):
    """Buys by greedy k-centre on penultimate features, with all labelled rows as initial centres."""

    def query(self, fitted: Fitted, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
        """Return n ids, farthest first; once every row coincides with a centre, random ids of the others."""
        features_MD = fitted.features_MD
        images, _ = pool.distinct()
        centers = features_MD[pool.source_N[pool.bought_ids()].unique()]
        picks = k_center(
            OuterProduct(features_MD).take(images), min(n, len(images)), centers=centers, fill=False
        )
        return fill_up(pool.lowest_rows_showing(images[picks]), pool, n, rng)
