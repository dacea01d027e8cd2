"""Checked queries: a strategy chooses rows to buy, and a mistake in it is refused before it reaches the record.

A strategy may be the user's own. What it returns, what it writes to and what it stores is checked right after the
query, before anything is bought or written.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hetal.algs import QueryStrategy
from hetal.errors import BadInput, describe_error
from hetal.guard.changes import Checksums, attributes_of, digest, state_digests, versions
from hetal.machine.process import unchanged
from hetal.noise.pool import describe, is_dense
from hetal.pool import Pool
from hetal.record.checkpoint import packed, unpacked
from hetal.rng import seeded, stream
from hetal.train.fitted import Fitted

# Types that a strategy's state may consist of, in lists and dicts.
STATE_TYPES = (Tensor, nn.Parameter, bool, int, float, str, bytes, type(None))


class CheckedStrategy:
    """A strategy with all checks around its queries, and its state carried from round to round.

    Args:
        strategy: as its constructor made it.
        name: of the strategy, as the user chose it.

    Raises:
        BadInput: the strategy defines only one of `state_dict` and `load_state_dict`.
    """

    def __init__(self, strategy: QueryStrategy, name: str) -> None:
        self._strategy = strategy
        self._name = name
        self._keeps_state = keeps_state(strategy, name)
        self._fresh = copy_or_none(strategy)

    def resume(self, read_state: Callable[[], dict[str, Any] | None]) -> None:
        """Load the state that the last query left, where the strategy keeps one and there is one.

        Args:
            read_state: returns it, or None; not called for a strategy that keeps none, of which none is on record.

        Raises:
            BadInput: it cannot be loaded.
        """
        if self._keeps_state and (state := read_state()) is not None:
            load_state(self._strategy, state, self._name)

    def query(self, fitted: Fitted, pool: Pool, n: int, seed: int, t: int) -> Tensor:
        """Return the ids that the strategy chooses in round `t`, see `acquire`."""
        rng, globals_rng = stream(seed, "query", t), stream(seed, "query globals", t)
        return acquire(self._strategy, fitted, pool, n, rng, globals_rng, self._name)

    def state(self) -> dict[str, Any] | None:
        """Return the state of the strategy, or None if it keeps none, see `state_of`."""
        return state_of(self._strategy, self._name, self._fresh)


def acquire(
    strategy: QueryStrategy,
    fitted: Fitted,
    pool: Pool,
    n: int,
    rng: torch.Generator,
    globals_rng: torch.Generator,
    name: str,
) -> Tensor:
    """Query `strategy` for `n` rows and return their ids: (n,) int64 on the CPU; fewer if it stops early.

    Args:
        strategy: queried once.
        fitted: networks of this round.
        pool: with at least `n` unlabelled rows.
        n: rows to buy.
        rng: generator for the strategy.
        globals_rng: seeds the global generators, in case the strategy draws from them.
        name: of the strategy, as the user chose it.

    Raises:
        BadInput: names the strategy, what it returned and what was asked for; or what it changed.
    """
    with (
        unchanged(f"alg={name}: query"),
        read_only(fitted, pool, name),
        no_hidden_state(strategy, name),
        seeded(globals_rng, pool.device),
    ):
        ids = strategy.query(fitted, pool, n, rng)
    return check_ids(ids, pool, n, strategy.may_stop, name)


def check_ids(ids: object, pool: Pool, n: int, may_stop: bool, name: str) -> Tensor:
    """Check the ids that a query returned, and return them on the CPU.

    Args:
        ids: what the query returned.
        pool: that was queried.
        n: number of rows asked for.
        may_stop: whether fewer are allowed.
        name: of the strategy.

    Raises:
        BadInput: `ids` are not (n,) int64 distinct unlabelled ids.
    """
    wanted = f"{'up to ' if may_stop else ''}{n} distinct unlabelled ids, a tensor of int64"

    def refuse(what: str) -> BadInput:
        return BadInput(f"alg={name}: query returned {what}; asked for were {wanted}")

    if not is_dense(ids) or ids.dtype != torch.int64 or ids.dim() != 1:
        raise refuse(describe(ids))
    ids = ids.detach().cpu()
    if len(ids) > n or (len(ids) < n and not may_stop):
        raise refuse(f"{len(ids)} ids")
    if len(invalid := ids[(ids < 0) | (ids >= len(pool))]):
        raise refuse(f"id {int(invalid[0])} of a pool whose ids are 0..{len(pool) - 1}")
    values, counts = ids.unique(return_counts=True)
    if len(repeated := values[counts > 1]):
        raise refuse(f"id {int(repeated[0])} more than once")
    if len(labelled := ids[torch.isin(ids, pool.labelled_ids().cpu())]):
        raise refuse(f"id {int(labelled[0])}, which is labelled already")
    return ids


@contextmanager
def read_only(fitted: Fitted, pool: Pool, name: str) -> Iterator[None]:
    """Check that the query inside the `with` block changes nothing of the pool and the networks.

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
            f"alg={name}: query changed {changed[0]}, which it may only read; clone() or deepcopy() makes a copy to "
            "write to"
        )


def _attribute_ids(name: str, thing: object) -> dict[str, int]:
    """Return the ids of the objects that are the attributes of `thing`."""
    return {f"{name}.{key}": id(value) for key, value in vars(thing).items()}


@contextmanager
def no_hidden_state(strategy: QueryStrategy, name: str) -> Iterator[None]:
    """Check that the query inside the `with` block changes no state that a killed run would lose.

    Raises:
        BadInput: names the strategy and the attributes that changed, if it keeps no state.
    """
    if keeps_state(strategy, name):
        yield
        return
    before = state_digests(strategy)
    yield
    after = state_digests(strategy)
    if changed := sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key)):
        raise BadInput(
            f"alg={name}: query changed {', '.join(changed)}, which a run that was killed would have lost; what a "
            "strategy remembers must be in its state_dict() and load_state_dict()"
        )


def keeps_state(strategy: QueryStrategy, name: str) -> bool:
    """Return whether a strategy has a state to save with every round.

    Raises:
        BadInput: it defines only one of `state_dict` and `load_state_dict`, or `may_stop` is not a bool.
    """
    if not isinstance(strategy.may_stop, bool):
        raise BadInput(f"alg={name}: may_stop is {strategy.may_stop!r}; it must be True or False")
    kind = type(strategy)
    saves = kind.state_dict is not QueryStrategy.state_dict
    if saves != (kind.load_state_dict is not QueryStrategy.load_state_dict):
        raise BadInput(
            f"alg={name}: defines one of state_dict and load_state_dict; a strategy with a state needs both"
        )
    return saves


def state_of(strategy: QueryStrategy, name: str, fresh: QueryStrategy | None) -> dict[str, Any] | None:
    """Return the checked state of a strategy, or None if it keeps none.

    Args:
        strategy: after a query.
        name: of the strategy.
        fresh: a copy from before the first query; a copy of it that has loaded the state must equal `strategy`.

    Raises:
        BadInput: the state holds what cannot be saved, see `QueryStrategy.state_dict`; or it is incomplete.
    """
    if not keeps_state(strategy, name):
        return None
    state = strategy.state_dict()
    if not isinstance(state, dict):
        raise BadInput(f"alg={name}: state_dict() returned {describe(state)}; it must be a dict")
    for path, value in _leaves(state, "state_dict()"):
        # By exact type: numpy's float64 is a float too, but cannot be loaded again.
        if type(value) not in STATE_TYPES:
            raise BadInput(
                f"alg={name}: {path} is {describe(value)}; only tensors, numbers, strings, and lists and dicts of "
                "these are kept with a record"
            )
    if fresh is not None:
        reloaded = load_state(copy.deepcopy(fresh), unpacked(packed(state)), name)
        before, after = (
            {key: digest(value) for key, value in attributes_of(one).items()} for one in (strategy, reloaded)
        )
        if lost := sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key)):
            raise BadInput(
                f"alg={name}: self.{', self.'.join(lost)} is not as it was once state_dict() is loaded again; a "
                "run that was killed would go on in another way"
            )
    return state


def load_state(strategy: QueryStrategy, state: dict[str, Any], name: str) -> QueryStrategy:
    """Load a state into a strategy, and return the strategy.

    Raises:
        BadInput: `load_state_dict` fails.
    """
    try:
        strategy.load_state_dict(state)
    except Exception as error:  # the user's code may raise anything
        raise BadInput(f"alg={name}: load_state_dict fails: {describe_error(error)}") from error
    return strategy


def copy_or_none(strategy: QueryStrategy) -> QueryStrategy | None:
    """Return a copy of a strategy; None if something that it holds cannot be copied."""
    try:
        return copy.deepcopy(strategy)
    except Exception:  # whatever a class raises that cannot be copied
        return None


def _leaves(value: Any, path: str) -> Iterator[tuple[str, object]]:
    """Yield the leaves of a state with their paths, and invalid keys."""
    if type(value) in (dict, OrderedDict):
        for key, inner in value.items():
            if type(key) not in (str, int):
                yield f"a key of {path}", key
            yield from _leaves(inner, f"{path}[{key!r}]")
    elif type(value) in (list, tuple):
        for i, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{i}]")
    else:
        yield path, value
