"""Base class and contract of query strategies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from hetal.pool import Pool
from hetal.train.fitted import Fitted


class QueryStrategy(ABC):
    """Chooses which rows of the pool to buy next.

    The constructor takes hyperparameters only. The arguments of `query` contain no hidden labels and no noise flags.
    Every query is checked, see `hetal.guard.query`; `hetal.testing.check_strategy` tests a strategy on small pools.

    A strategy that keeps state between queries defines `state_dict` and `load_state_dict`: the state is saved with
    every round, so that a killed run continues as if it had not been interrupted.
    """

    reads_snapshot: bool = False
    """Whether training must keep the pair of networks that `Fitted.snapshot` returns."""

    may_stop: bool = False
    """Whether `query` may return fewer rows than asked for, even none; the run then ends after training on them."""

    single_network: bool = False
    """Whether this strategy needs one network, and not an ensemble; it is then refused with `model.members` above 1."""

    def check(self, network: nn.Module) -> None:
        """Refuse, before any training, a network that this strategy cannot use.

        Raises:
            BadInput: says what is missing.
        """
        return

    @abstractmethod
    def query(self, fitted: Fitted, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
        """Return (n,) int64 distinct unlabelled ids; with `may_stop`, n or fewer.

        Args:
            fitted: outputs of this round's networks on the distinct images of `pool`.
            pool: with at least n unlabelled rows; read-only.
            n: number of rows to buy.
            rng: CPU generator, the only source of randomness to use.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return the state that the next query depends on, besides its arguments; {} unless overridden.

        It may consist of tensors, numbers, strings, and lists and dicts of these.
        """
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state that `state_dict` returned.

        Args:
            state: equal to what `state_dict` returned, with tensors on the CPU.
        """
        return


def fill_up(ids: Tensor, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
    """Return `ids`, filled up to n with random other unlabelled ids: (n,) int64."""
    left = pool.unlabelled_ids()
    left = left[~torch.isin(left, ids)]
    left = left[torch.randperm(len(left), generator=rng).to(left.device)]
    return torch.cat([ids, left[: n - len(ids)]])
