"""Strategies that buy each distinct image once, by what labels leave uncertain of a linear model of the features."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from hetal.acquisition.design import LEAST_RIDGE
from hetal.algs.base import QueryStrategy, fill_up
from hetal.errors import BadInput
from hetal.pool import Pool
from hetal.rng import permutation
from hetal.train.fitted import Fitted


class Designed(QueryStrategy):
    """Base class: candidates are images of which no row was bought, and a row is bought of each that is picked.

    Args:
        ridge: prior information on every direction, in labels of weight 1 of a feature vector of mean norm.
        max_candidates: choose among so many random images (n, if that is more), for what all of the pool leave
            uncertain; None among all. A query takes time in proportion to them.

    Raises:
        BadInput: `ridge` is below `LEAST_RIDGE` or not finite, or `max_candidates` is below 1.
    """

    def __init__(self, ridge: float, max_candidates: int | None) -> None:
        if not LEAST_RIDGE <= ridge < float("inf"):
            raise BadInput(f"alg.ridge={ridge}: must be at least {LEAST_RIDGE:g}, and finite")
        if max_candidates is not None and max_candidates < 1:
            raise BadInput(f"alg.max_candidates={max_candidates}: must be at least 1, or null")
        self.ridge = ridge
        self.max_candidates = max_candidates

    @abstractmethod
    def pick(self, fitted: Fitted, pool: Pool, candidates: Tensor, n: int) -> Tensor:
        """Return n of the candidates, in the order they are picked.

        Args:
            fitted: outputs for every image.
            pool: that is queried.
            candidates: (P,) int64 image numbers, in a random order, since ties go to the first.
            n: at most P.
        """

    def query(self, fitted: Fitted, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
        """Return n ids, in the order they are picked; once every image is bought, random ids of the others."""
        images, _ = pool.distinct()
        new = images[~torch.isin(images, pool.source_N[pool.bought_ids()])]
        new = new[permutation(len(new), rng, new.device)]
        if self.max_candidates is not None:
            new = new[: max(self.max_candidates, n)]
        picks = self.pick(fitted, pool, new, min(n, len(new)))
        return fill_up(pool.rows_showing(picks, rng), pool, n, rng)
