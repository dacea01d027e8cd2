"""The contract of a query strategy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from hetal.pool import Pool
from hetal.train.fitted import Fitted


class QueryStrategy(ABC):
    """Chooses which rows of the pool to buy next.

    A strategy's constructor takes hyperparameters only. What `query` is given holds no hidden label and no
    noise flag. Every query is checked, see `hetal.guard.query`, and `hetal.testing.check_strategy` tries a strategy on
    small pools.

    A strategy that remembers something from one query to the next defines `state_dict` and `load_state_dict`: their
    content is kept with every round, so that a run that was killed continues as if nothing had happened.
    """

    reads_snapshot: bool = False
    """Whether training has to keep the pair of networks that `Fitted.snapshot` returns."""

    may_stop: bool = False
    """Whether `query` may return fewer rows than asked for, even none: the run then ends, once these are trained on."""

    def check(self, network: nn.Module) -> None:
        """Refuse, before any training, a network that this strategy cannot work with.

        Raises:
            BadInput: what is missing.
        """
        return

    @abstractmethod
    def query(self, fitted: Fitted, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
        """Return (n,) int64 distinct unlabelled ids; with `may_stop`, n or fewer.

        Args:
            fitted: outputs of this round's networks on the distinct images of `pool`.
            pool: at least n of its rows are unlabelled. It is to be read, not written to.
            n: rows to buy.
            rng: CPU generator, the only source of randomness to use.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return what the next query depends on beside its arguments: tensors, numbers, strings, and lists and dicts of
        these. Nothing, unless a strategy defines it.
        """
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` returned `state`.

        Args:
            state: equal to what was returned; its tensors are on the CPU.
        """
        return


def fill_up(ids: Tensor, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
    """Return `ids` and, where they are fewer than n, unlabelled ids at random from what is left: (n,) int64."""
    left = pool.unlabelled_ids()
    left = left[~torch.isin(left, ids)]
    left = left[torch.randperm(len(left), generator=rng).to(left.device)]
    return torch.cat([ids, left[: n - len(ids)]])
