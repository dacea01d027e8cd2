"""Core-set: buy the rows that best cover the pool in feature space (Sener & Savarese, ICLR 2018, arXiv 1708.00489).

The paper's greedy k-centre: pick, one after another, the row farthest from all labelled and picked rows. Ties go to
the lowest id. Where nothing is labelled yet, the first is a random image.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.acquisition import OuterProduct, k_center
from hetal.algs.base import Features, QueryStrategy, check_features, features_of, fill_up
from hetal.pool import Pool
from hetal.train.fitted import Fitted


class CoreSet(QueryStrategy):
    """Buys by greedy k-centre on features, with all labelled rows as initial centres.

    Args:
        features: "trained", the network's penultimate ones; "given", those of the data, so that it may choose the start
            set; or "both".

    Raises:
        BadInput: `features` is none of the three.
    """

    def __init__(self, features: Features) -> None:
        check_features(features)
        self.features = features
        self.needs_network = features != "given"

    def query(self, fitted: Fitted, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
        """Return n ids, farthest first; once every row coincides with a centre, random ids of the others."""
        features_MD = features_of(fitted, self.features)
        images, _ = pool.distinct()
        first = images[:0]
        centers = pool.source_N[pool.bought_ids()].unique()
        if not len(centers):
            first = centers = images[torch.randint(len(images), (1,), generator=rng).to(images.device)]
        picks = k_center(
            OuterProduct(features_MD).take(images),
            min(n - len(first), len(images)),
            centers=features_MD[centers],
            fill=False,
        )
        return fill_up(pool.lowest_rows_showing(torch.cat([first, images[picks]])), pool, n, rng)
