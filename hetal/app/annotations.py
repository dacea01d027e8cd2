"""Annotations as rules for settings: which names a target takes, and whether a value is of the type it declares."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import annotated_types
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from hetal.errors import BadInput, describe_error
from hetal.machine.process import unchanged

# Beyond these, torch has no such number.
LARGEST_FLOAT = 3.4e38
LARGEST_INT = 2**63 - 1

# What a node says of itself, beside the settings of its target.
SPECIAL = {"_target_": str, "_partial_": bool, "_convert_": str, "_recursive_": bool, "_args_": list[Any]}

CALLABLE = get_origin(Callable[..., Any])

WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    NoneType: "null",
}


@dataclass(frozen=True)
class Call:
    """What a run passes to something that a config names, beside the settings: positions, and names."""

    positions: int = 0
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    """A class or function that a config names.

    Attributes:
        name: dotted.
        found: it.
        parameters: its named parameters, in order, with their annotations.
        needed: those without a default.
        takes_any: whether it also takes names that it does not list.
        takes_more: whether it also takes positions that it does not list.
    """

    name: str
    found: Any
    parameters: Mapping[str, Any]
    needed: frozenset[str]
    takes_any: bool
    takes_more: bool


@lru_cache(maxsize=256)
def target(name: str) -> Target:
    """Import what is called `name`, and read its signature.

    Raises:
        BadInput: there is nothing of that name; does not name the setting.
    """
    found = _located(name)
    if not callable(found):
        raise BadInput("must be the dotted name of a class or function")
    parameters: dict[str, inspect.Parameter] = {}
    hints: dict[str, Any] = {}
    takes_any = takes_more = False
    # What a constructor passes on to its base class under names that it does not list, that class lists.
    classes = found.__mro__[:-1] if inspect.isclass(found) else ()
    constructors = [vars(c)["__init__"] for c in classes if "__init__" in vars(c)]
    for code in constructors or [found]:
        try:
            listed = list(inspect.signature(code).parameters.values())[len(constructors[:1]) :]
        except (TypeError, ValueError):  # written in C, and does not say
            takes_any = takes_more = True
            break
        with suppress(
            TypeError, ValueError, NameError, AttributeError
        ):  # without its annotations, any value goes
            hints = {**get_type_hints(code, include_extras=True), **hints}
        named = (p for p in listed if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
        parameters = {**{p.name: p for p in named}, **parameters}
        takes_any = any(p.kind is p.VAR_KEYWORD for p in listed)
        takes_more = takes_more or any(p.kind is p.VAR_POSITIONAL for p in listed)
        if not takes_any:
            break
    return Target(
        name,
        found,
        {key: hints.get(key, Any) for key in parameters},
        frozenset(key for key, p in parameters.items() if p.default is p.empty),
        takes_any,
        takes_more,
    )


def call_of(hint: Any) -> Call | None:
    """Return how something of an annotated type is called; None where the annotation does not say."""
    if get_origin(hint) is not CALLABLE:
        return None
    arguments = get_args(hint)[0]
    return Call(len(arguments)) if isinstance(arguments, list) else None


def check_value(hint: Any, value: Any, where: str) -> None:
    """Check a plain value against an annotation.

    Raises:
        BadInput: names the setting, its value, and what is allowed.
    """
    for number in _numbers(value):
        if isinstance(number, float) and not abs(number) <= LARGEST_FLOAT:
            raise BadInput(f"{where}={shown(value)}: must be a finite number, within +-{LARGEST_FLOAT:g}")
        if isinstance(number, int) and not -LARGEST_INT <= number <= LARGEST_INT:
            raise BadInput(f"{where}={shown(value)}: must be a whole number of at most 64 bits")
    try:
        _adapter(hint).validate_python(value, strict=True)
    except ValidationError:
        raise BadInput(f"{where}={shown(value)}: must be {in_words(hint)}") from None


def gives(hint: Any, found: Any, partial: bool) -> bool:
    """Tell whether calling `found`, or with `partial` what remains of it, can be of an annotated type."""
    if hint is Any or not inspect.isclass(found):
        return True
    if get_origin(hint) in (Union, UnionType):
        return any(gives(one, found, partial) for one in get_args(hint))
    kind = get_origin(hint) or hint
    if kind is CALLABLE:
        return partial or "__call__" in dir(found)
    if kind is functools.partial:
        return partial
    return not partial and (not inspect.isclass(kind) or issubclass(found, kind))


def in_words(hint: Any) -> str:
    """Say what values an annotation allows."""
    if hint in WORDS:
        return WORDS[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return ", or ".join(in_words(one) for one in arguments)
    if hasattr(hint, "__metadata__"):
        (rule,) = hint.__metadata__
        return f"{in_words(arguments[0])} in {rule.ge}..{rule.le}"
    if origin in (list, tuple, Sequence):
        return f"a list, each {in_words(arguments[0])}" if arguments[0] is not Any else "a list"
    if origin in (dict, Mapping):
        return "settings, KEY=VALUE"
    if origin is CALLABLE or origin is functools.partial:
        return "a function, given by its _target_ and _partial_: true"
    return f"a {getattr(hint, '__name__', hint)}, given by its _target_"


def shown(value: Any) -> str:
    """Write a value as it is typed, at bearable length."""
    if value is None or isinstance(value, bool):
        text = {None: "null", True: "true", False: "false"}[value]
    elif isinstance(value, list):
        text = f"[{','.join(map(shown, value))}]"
    elif isinstance(value, Mapping):
        text = "{" + ",".join(f"{key}:{shown(one)}" for key, one in value.items()) + "}"
    elif isinstance(value, int) and abs(value) > 10**40:
        text = "a huge number"
    else:
        text = str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def between(low: int, high: int) -> Any:
    """Return the bounds of a whole number, for `Annotated`."""
    return annotated_types.Interval(ge=low, le=high)


def _located(name: str) -> Any:
    """Import what is called `name`; Hydra's own function of this kind prints several lines where it fails."""
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        raise BadInput("must be the dotted name of a class or function")
    known = {*sys.modules}
    try:
        with unchanged("its import"):
            found: Any = import_module(parts[0])
            for i, part in enumerate(parts[1:], start=2):
                if not hasattr(found, part):
                    import_module(".".join(parts[:i]))
                found = getattr(found, part)
    except BadInput:
        for module in {*sys.modules} - known:  # it is to be refused as often as it is asked for
            if module.partition(".")[0] == parts[0]:
                del sys.modules[module]
        raise
    except Exception as error:  # whatever a user's module may raise as it is imported
        raise BadInput(f"cannot be imported: {describe_error(error)}") from error
    return found


@lru_cache(maxsize=256)
def _adapter(hint: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:
        return TypeAdapter(hint)


def _numbers(value: Any) -> list[float]:
    """Return all numbers in a value, at any depth."""
    if isinstance(value, bool):
        return []
    if isinstance(value, (int, float)):
        return [value]
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else []
    return [number for one in inside for number in _numbers(one)]
