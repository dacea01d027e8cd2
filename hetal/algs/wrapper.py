"""Strategies that change what another strategy sees, or how its scores are used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeGuard

import torch
from torch import Tensor, nn

from hetal.algs.base import DECLARED, QueryStrategy
from hetal.algs.bound import Bound
from hetal.errors import BadInput
from hetal.guard.ids import check_ids
from hetal.machine.transfer import to_device, to_host
from hetal.pool import Pool
from hetal.train.fitted import Fitted


class Wrapper(QueryStrategy):
    """A strategy made of another, whose declarations, checks and state are its own.

    What the class of the wrapper declares as True holds beside that; `needs_network` is that of what is wrapped.

    Args:
        of: what is wrapped. Where it looks at networks after epochs, it sees the pool as it is.
    """

    def __init__(self, of: QueryStrategy) -> None:
        self.of = of
        for name in DECLARED:
            own = name != "needs_network" and getattr(type(self), name)
            setattr(self, name, own or getattr(of, name))

    def check(self, network: nn.Module) -> None:
        """Refuse networks that what is wrapped refuses."""
        with _named():
            self.of.check(network)

    def check_outputs(self, fitted: Fitted) -> None:
        """Refuse outputs that what is wrapped refuses."""
        with _named():
            self.of.check_outputs(fitted)

    def see(self, labels_N: Tensor, is_noisy_N: Tensor) -> None:
        """Take what is hidden from strategies, as a bound does, and show it to what is wrapped if that is one."""
        self._labels_N, self._is_noisy_N = labels_N, is_noisy_N
        if is_bound(self.of):
            self.of.see(labels_N, is_noisy_N)

    def ask(self, fitted: Fitted, pool: Pool, ids: Tensor, n: int, rng: torch.Generator) -> Tensor:
        """Return n ids that what is wrapped chooses of a pool that consists of the rows `ids` only.

        Args:
            fitted: as passed to `query`.
            pool: as passed to `query`.
            ids: (K,) int64 distinct ids, those of labelled rows included that are to be seen.
            n: at most as many as `ids` has of unlabelled rows.
            rng: as passed to `query`.

        Returns:
            (n,) int64, ids of `pool`; fewer where what is wrapped may stop.

        Raises:
            BadInput: what is wrapped returns something else.
        """
        part = pool.only(ids)
        with self._seeing(ids), _named():
            picks = self.of.query(fitted, part, n, rng)
        picks = check_ids(picks, part, n, self.of.may_stop, f"alg.of: {type(self.of).__name__}")
        return ids[to_device(ids.device, picks)[0]]

    @contextmanager
    def _seeing(self, ids: Tensor) -> Iterator[None]:
        """Show a wrapped bound what is hidden of these rows only."""
        if not is_bound(self.of):
            yield
            return
        ids = to_host(ids)[0]
        self.of.see(self._labels_N[ids], self._is_noisy_N[ids])
        try:
            yield
        finally:
            self.of.see(self._labels_N, self._is_noisy_N)

    def after_epoch(self, epoch: int, fitted: Fitted, pool: Pool) -> None:
        """Let what is wrapped look at the networks."""
        self.of.after_epoch(epoch, fitted, pool)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of what is wrapped."""
        return self.of.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of what is wrapped."""
        self.of.load_state_dict(state)


@contextmanager
def _named() -> Iterator[None]:
    """Say alg.of where what is wrapped says alg."""
    try:
        yield
    except BadInput as error:
        if not re.match(r"alg[.=]", str(error)):
            raise
        raise BadInput(f"alg.of{str(error).removeprefix('alg')}") from None


def is_bound(strategy: QueryStrategy) -> TypeGuard[Bound | Wrapper]:
    """Tell whether a strategy sees hidden labels: a bound, or what is made of one."""
    return isinstance(strategy, Bound) or (isinstance(strategy, Wrapper) and is_bound(strategy.of))


def defines(strategy: QueryStrategy, method: Literal["after_epoch", "state_dict", "load_state_dict"]) -> bool:
    """Tell whether a strategy, or what it wraps, has a method of its own in place of one that does nothing."""
    own = getattr(type(strategy), method)
    if isinstance(strategy, Wrapper) and own is getattr(Wrapper, method):
        return defines(strategy.of, method)
    return own is not getattr(QueryStrategy, method)
