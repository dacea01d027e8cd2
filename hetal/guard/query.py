"""Checked queries: a strategy chooses rows to buy, and a mistake in it is refused before it reaches the record.

A strategy may be the user's own. What it returns, what it writes to and what it stores is checked right after each
call, before anything is bought or written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from hetal.algs import QueryStrategy
from hetal.algs.wrapper import defines
from hetal.errors import BadInput
from hetal.guard.changes import Checksums, versions
from hetal.guard.ids import check_ids
from hetal.guard.state import copy_or_none, keeps_state, load_state, no_hidden_state, state_of
from hetal.machine.process import unchanged
from hetal.pool import Pool
from hetal.rng import seeded, stream
from hetal.train.fitted import Fitted


class CheckedStrategy:
    """A strategy with all checks around its calls, and its state carried from round to round.

    Args:
        strategy: as its constructor made it; a bound has seen what is hidden.
        who: names it in messages, such as "alg=badge".

    Raises:
        BadInput: the strategy defines only one of `state_dict` and `load_state_dict`.
    """

    def __init__(self, strategy: QueryStrategy, who: str) -> None:
        self._strategy = strategy
        self._who = who
        self._keeps_state = keeps_state(strategy, who)
        self._fresh = copy_or_none(strategy)

    def resume(self, read_state: Callable[[], dict[str, Any] | None]) -> None:
        """Load the state that the last query left, where the strategy keeps one and there is one.

        Args:
            read_state: returns it, or None; not called for a strategy that keeps none, of which none is on record.

        Raises:
            BadInput: it cannot be loaded.
        """
        if self._keeps_state and (state := read_state()) is not None:
            load_state(self._strategy, state, self._who)

    def query(self, fitted: Fitted, pool: Pool, n: int, seed: int, t: int) -> Tensor:
        """Return the ids that the strategy chooses in round `t`, see `acquire`."""
        rng, globals_rng = stream(seed, "query", t), stream(seed, "query globals", t)
        return acquire(self._strategy, fitted, pool, n, rng, globals_rng, self._who)

    def state(self) -> dict[str, Any] | None:
        """Return the state of the strategy, or None if it keeps none, see `state_of`."""
        return state_of(self._strategy, self._who, self._fresh)

    def after_epoch(self, pool: Pool, seed: int, t: int) -> EpochHook | None:
        """Return what calls the strategy's `after_epoch` in round `t`; None where it has none."""
        if not defines(self._strategy, "after_epoch"):
            return None
        return EpochHook(self._strategy, self._who, self._fresh, pool, seed, t)


class EpochHook:
    """A strategy's `after_epoch` with all checks around it, and its state within a round.

    Args:
        strategy: called after every epoch.
        who: names it in messages.
        fresh: a copy from before the first call, or None.
        pool: that is trained on.
        seed: of the run.
        t: the round.
    """

    def __init__(
        self, strategy: QueryStrategy, who: str, fresh: QueryStrategy | None, pool: Pool, seed: int, t: int
    ) -> None:
        self._strategy = strategy
        self._who = who
        self._fresh = fresh
        self._pool = pool
        self._seed = seed
        self._t = t

    def __call__(self, epoch: int, fitted: Fitted) -> None:
        """Call the strategy; the global generators are seeded for it by the epoch, and restored.

        Raises:
            BadInput: names the strategy and what it changed.
        """
        with guarded(
            self._strategy,
            "after_epoch",
            fitted,
            self._pool,
            stream(self._seed, f"after epoch {epoch}", self._t),
            self._who,
        ):
            self._strategy.after_epoch(epoch, fitted, self._pool)

    def state_dict(self) -> dict[str, Any] | None:
        """Return the state of the strategy, or None if it keeps none, see `state_of`."""
        return state_of(self._strategy, self._who, self._fresh)

    def load_state_dict(self, state: dict[str, Any] | None) -> None:
        """Restore what `state_dict` returned."""
        if state is not None:
            load_state(self._strategy, state, self._who)


def acquire(
    strategy: QueryStrategy,
    fitted: Fitted,
    pool: Pool,
    n: int,
    rng: torch.Generator,
    globals_rng: torch.Generator,
    who: str,
) -> Tensor:
    """Query `strategy` for `n` rows and return their ids: (n,) int64 on the CPU; fewer if it stops early.

    Args:
        strategy: queried once.
        fitted: networks of this round.
        pool: with at least `n` unlabelled rows.
        n: rows to buy.
        rng: generator for the strategy.
        globals_rng: seeds the global generators, in case the strategy draws from them.
        who: names the strategy in messages, such as "alg=badge".

    Raises:
        BadInput: names the strategy, what it returned and what was asked for; or what it changed.
    """
    with guarded(strategy, "query", fitted, pool, globals_rng, who):
        ids = strategy.query(fitted, pool, n, rng)
    return check_ids(ids, pool, n, strategy.may_stop, who)


@contextmanager
def guarded(
    strategy: QueryStrategy,
    what: str,
    fitted: Fitted,
    pool: Pool,
    globals_rng: torch.Generator,
    who: str,
) -> Iterator[None]:
    """Check that the call of a strategy's method `what` inside the `with` block only reads; seed what it may draw from.

    Raises:
        BadInput: names the strategy, the method, and what it changed.
    """
    with (
        unchanged(f"{who}: {what}"),
        read_only(fitted, pool, f"{who}: {what}"),
        no_hidden_state(strategy, who, what),
        seeded(globals_rng, pool.device),
    ):
        yield


@contextmanager
def read_only(fitted: Fitted, pool: Pool, caller: str) -> Iterator[None]:
    """Check that the call inside the `with` block changes nothing of the pool and the networks.

    Raises:
        BadInput: names the strategy and the first tensor or part that it changed.
    """
    before = {**pool.tensors(), **fitted.tensors()}
    versions_before, checksums = versions(before), Checksums.of(before)
    structure_before = {**_attribute_ids("pool", pool), **fitted.structure()}
    yield
    after = {**pool.tensors(), **fitted.tensors()}
    changed = [key for key in before if after.get(key) is not before[key]]
    changed += [key for key, version in versions(before).items() if version != versions_before[key]]
    structure_after = {**_attribute_ids("pool", pool), **fitted.structure()}
    changed += sorted(
        key
        for key in structure_before.keys() | structure_after.keys()
        if structure_before.get(key) != structure_after.get(key)
    )
    if changed := changed or checksums.changed(before):
        raise BadInput(
            f"{caller} changed {changed[0]}, which it may only read; clone() or deepcopy() makes a copy to "
            "write to"
        )


def _attribute_ids(name: str, thing: object) -> dict[str, int]:
    """Return the ids of the objects that are the attributes of `thing`."""
    return {f"{name}.{key}": id(value) for key, value in vars(thing).items()}
