"""One query: a strategy is asked which rows to buy, and nothing of a mistake in it reaches the record.

A strategy may be the user's own. What it returns, what it writes to and what it remembers is checked right after the
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

# Types that a strategy's state may be made of, in lists and dicts.
KEPT = (Tensor, nn.Parameter, bool, int, float, str, bytes, type(None))


class CheckedStrategy:
    """A strategy that is asked under all checks, and whose state is carried from round to round.

    Args:
        strategy: as its constructor made it.
        name: of it, as the user chose it.

    Raises:
        BadInput: it defines one of `state_dict` and `load_state_dict` and not the other.
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
        """Return the ids that the strategy asks for in round `t`, see `acquire`."""
        rng, globals_rng = stream(seed, "query", t), stream(seed, "query globals", t)
        return acquire(self._strategy, fitted, pool, n, rng, globals_rng, self._name)

    def state(self) -> dict[str, Any] | None:
        """Return the state of the strategy, or None where it keeps none, see `state_of`."""
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
    """Ask `strategy` for `n` rows and return their ids: (n,) int64 on the CPU; fewer where it stops early.

    Args:
        strategy: asked once.
        fitted: this round's networks.
        pool: at least `n` of its rows are unlabelled.
        n: rows to buy.
        rng: what the strategy draws from.
        globals_rng: seeds the global generators, for what draws from them all the same.
        name: of the strategy, as the user chose it.

    Raises:
        BadInput: names the strategy, what came and what was asked for; or what it changed.
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
    """Return what a query returned, on the CPU, if it is what was asked for.

    Args:
        ids: whatever came.
        pool: what was asked about.
        n: rows asked for.
        may_stop: fewer are allowed.
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
    if len(wrong := ids[(ids < 0) | (ids >= len(pool))]):
        raise refuse(f"id {int(wrong[0])} of a pool whose ids are 0..{len(pool) - 1}")
    values, counts = ids.unique(return_counts=True)
    if len(again := values[counts > 1]):
        raise refuse(f"id {int(again[0])} more than once")
    if len(known := ids[torch.isin(ids, pool.labelled_ids().cpu())]):
        raise refuse(f"id {int(known[0])}, which is labelled already")
    return ids


@contextmanager
def read_only(fitted: Fitted, pool: Pool, name: str) -> Iterator[None]:
    """See to it that what is done inside writes to none of the tensors that a strategy may only read.

    Raises:
        BadInput: names the strategy and the first tensor that it changed.
    """
    before = {**pool.tensors(), **fitted.tensors()}
    was, content = versions(before), Checksums.of(before)
    structure = {**_attribute_ids("pool", pool), **fitted.structure()}
    yield
    after = {**pool.tensors(), **fitted.tensors()}
    changed = [key for key in before if after.get(key) is not before[key]]
    changed += [key for key, version in versions(before).items() if version != was[key]]
    now = {**_attribute_ids("pool", pool), **fitted.structure()}
    changed += sorted(key for key in structure.keys() | now.keys() if structure.get(key) != now.get(key))
    if changed := changed or content.changed(before):
        raise BadInput(
            f"alg={name}: query changed {changed[0]}, which it may only read; clone() or deepcopy() makes a copy to "
            "write to"
        )


def _attribute_ids(name: str, thing: object) -> dict[str, int]:
    """Return which objects the attributes of `thing` are."""
    return {f"{name}.{key}": id(value) for key, value in vars(thing).items()}


@contextmanager
def no_hidden_state(strategy: QueryStrategy, name: str) -> Iterator[None]:
    """See to it that what is done inside changes nothing that a killed run would not have when it continues.

    Raises:
        BadInput: names the strategy and the attributes that changed, where it does not keep its state.
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
    """Tell whether a strategy has a state to keep with every round.

    Raises:
        BadInput: it defines one of `state_dict` and `load_state_dict` and not the other, or `may_stop` is no bool.
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
    """Return the state of a strategy, or None where it keeps none.

    Args:
        strategy: after a query.
        name: of it.
        fresh: a copy from before the first query; its own copy loads the state, and must then be as `strategy` is.

    Raises:
        BadInput: the state holds what cannot be kept, see `QueryStrategy.state_dict`; or it is not all that the
            strategy remembers.
    """
    if not keeps_state(strategy, name):
        return None
    state = strategy.state_dict()
    if not isinstance(state, dict):
        raise BadInput(f"alg={name}: state_dict() returned {describe(state)}; it must be a dict")
    for path, value in _leaves(state, "state_dict()"):
        # By type: numpy's numbers are Python's too, and are not read back.
        if type(value) not in KEPT:
            raise BadInput(
                f"alg={name}: {path} is {describe(value)}; only tensors, numbers, strings, and lists and dicts of "
                "these are kept with a record"
            )
    if fresh is not None:
        again = load_state(copy.deepcopy(fresh), unpacked(packed(state)), name)
        mine, its = (
            {key: digest(value) for key, value in attributes_of(of).items()} for of in (strategy, again)
        )
        if lost := sorted(key for key in mine.keys() | its.keys() if mine.get(key) != its.get(key)):
            raise BadInput(
                f"alg={name}: self.{', self.'.join(lost)} is not as it was once state_dict() is loaded again; a "
                "run that was killed would go on in another way"
            )
    return state


def load_state(strategy: QueryStrategy, state: dict[str, Any], name: str) -> QueryStrategy:
    """Let a strategy load its state, and return it.

    Raises:
        BadInput: it cannot.
    """
    try:
        strategy.load_state_dict(state)
    except Exception as error:  # whatever a mistake in it raises
        raise BadInput(f"alg={name}: load_state_dict fails: {describe_error(error)}") from error
    return strategy


def copy_or_none(strategy: QueryStrategy) -> QueryStrategy | None:
    """Return a copy of a strategy; None where something that it holds cannot be copied."""
    try:
        return copy.deepcopy(strategy)
    except Exception:  # whatever a class raises that is not made to be copied
        return None


def _leaves(value: Any, path: str) -> Iterator[tuple[str, object]]:
    """Yield what a state holds, by the way to it."""
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
