"""The contract of a query strategy."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from hetal.fitted import Fitted
from hetal.pool import Pool


class QueryStrategy(ABC):
    """Chooses which rows of the pool to buy next.

    A strategy's constructor takes hyperparameters only. What `query` is given holds no hidden label and no
    noise flag.
    """

    reads_snapshot: bool = False
    """Whether training has to keep the pair of networks that `Fitted.snapshot` returns."""

    def check(self, network: nn.Module) -> None:
        """Refuse, before any training, a network that this strategy cannot work with.

        Raises:
            BadInput: what is missing.
        """
        return

    @abstractmethod
    def query(self, fitted: Fitted, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
        """Return (n,) int64 distinct unlabelled ids.

        Args:
            fitted: outputs of this round's networks on the distinct images of `pool`.
            pool: at least n of its rows are unlabelled.
            n: rows to buy.
            rng: CPU generator, the only source of randomness allowed.
        """


def fill_up(ids: Tensor, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
    """Return `ids` and, where they are fewer than n, unlabelled ids at random from what is left: (n,) int64."""
    left = pool.unlabelled_ids()
    left = left[~torch.isin(left, ids)]
    # Not the lowest: rows are in the order of the data, and noise comes last.
    left = left[torch.randperm(len(left), generator=rng).to(left.device)]
    return torch.cat([ids, left[: n - len(ids)]])
