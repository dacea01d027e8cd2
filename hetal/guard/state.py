"""The state of strategies: what one declares, keeps and loads, and that nothing else is remembered.

What a strategy remembers in another place than its state would be lost when a run is killed, and the run would go on in
another way.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from hetal.algs import QueryStrategy
from hetal.algs.base import DECLARED
from hetal.algs.wrapper import defines
from hetal.errors import BadInput, describe_error
from hetal.guard.changes import attributes_of, digest, state_digests
from hetal.noise.pool import describe
from hetal.record.checkpoint import packed, unpacked

# Types that a strategy's state may consist of, in lists and dicts.
STATE_TYPES = (Tensor, nn.Parameter, bool, int, float, str, bytes, type(None))


@contextmanager
def no_hidden_state(strategy: QueryStrategy, who: str, what: str) -> Iterator[None]:
    """Check that the call inside the `with` block changes no state that a killed run would lose.

    Args:
        strategy: whose method is called.
        who: names it in messages, such as "alg=badge".
        what: names the method.

    Raises:
        BadInput: names the strategy and the attributes that changed, if it keeps no state.
    """
    if keeps_state(strategy, who):
        yield
        return
    before = state_digests(strategy)
    yield
    after = state_digests(strategy)
    if changed := sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key)):
        raise BadInput(
            f"{who}: {what} changed {', '.join(changed)}, which a run that was killed would have lost; what a "
            "strategy remembers must be in its state_dict() and load_state_dict()"
        )


def keeps_state(strategy: QueryStrategy, who: str) -> bool:
    """Return whether a strategy has a state to save with every round.

    Raises:
        BadInput: it defines only one of `state_dict` and `load_state_dict`, or an attribute that declares something,
            such as `may_stop`, is not a bool.
    """
    for name in DECLARED:
        if not isinstance(value := getattr(strategy, name), bool):
            raise BadInput(f"{who}: {name} is {value!r}; it must be True or False")
    saves = defines(strategy, "state_dict")
    if saves != defines(strategy, "load_state_dict"):
        raise BadInput(
            f"{who}: defines one of state_dict and load_state_dict; a strategy with a state needs both"
        )
    return saves


def state_of(strategy: QueryStrategy, who: str, fresh: QueryStrategy | None) -> dict[str, Any] | None:
    """Return the checked state of a strategy, or None if it keeps none.

    Args:
        strategy: after a call.
        who: names it in messages.
        fresh: a copy from before the first call; a copy of it that has loaded the state must equal `strategy`.

    Raises:
        BadInput: the state holds what cannot be saved, see `QueryStrategy.state_dict`; or it is incomplete.
    """
    if not keeps_state(strategy, who):
        return None
    state = strategy.state_dict()
    if not isinstance(state, dict):
        raise BadInput(f"{who}: state_dict() returned {describe(state)}; it must be a dict")
    for path, value in _leaves(state, "state_dict()"):
        # By exact type: numpy's float64 is a float too, but cannot be loaded again.
        if type(value) not in STATE_TYPES:
            raise BadInput(
                f"{who}: {path} is {describe(value)}; only tensors, numbers, strings, and lists and dicts of "
                "these are kept with a record"
            )
    if fresh is not None:
        reloaded = load_state(copy.deepcopy(fresh), unpacked(packed(state)), who)
        before, after = (
            {key: digest(value) for key, value in attributes_of(one).items()} for one in (strategy, reloaded)
        )
        if lost := sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key)):
            raise BadInput(
                f"{who}: self.{', self.'.join(lost)} is not as it was once state_dict() is loaded again; a "
                "run that was killed would go on in another way"
            )
    return state


def load_state(strategy: QueryStrategy, state: dict[str, Any], who: str) -> QueryStrategy:
    """Load a state into a strategy, and return the strategy.

    Raises:
        BadInput: `load_state_dict` fails.
    """
    try:
        strategy.load_state_dict(state)
    except Exception as error:  # the user's code may raise anything
        raise BadInput(f"{who}: load_state_dict fails: {describe_error(error)}") from error
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
