"""Bounds of what noise costs: a strategy that is shown the clean rows of the pool only. It sees hidden labels."""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.algs.base import fill_up
from hetal.algs.bound import Bound
from hetal.algs.wrapper import Wrapper
from hetal.pool import Pool
from hetal.train.fitted import Fitted


class CleanOnly(Wrapper, Bound):
    """Buys what another strategy buys of a pool without the noisy rows that are not labelled yet.

    Args:
        of: the strategy. It still sees all rows that are labelled, noisy ones of the start set included.
    """

    def query(self, fitted: Fitted, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
        """Return n ids; once no clean row is left, random others."""
        ids = pool.unlabelled_ids()
        clean = ids[~self._is_noisy_N.to(ids.device)[ids]]
        seen = torch.cat([pool.bought_ids(), clean])
        n_clean = min(n, len(clean))
        picks = self.ask(fitted, pool, seen, n_clean, rng) if n_clean else ids[:0]
        return picks if len(picks) < n_clean else fill_up(picks, pool, n, rng)
