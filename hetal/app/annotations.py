"""Type checks of settings by annotations: the parameters of a target, and whether values have their declared types."""

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
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import annotated_types
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from hetal.errors import BadInput, describe_error
from hetal.machine.process import unchanged

# The largest numbers that torch can represent.
LARGEST_FLOAT = 3.4e38
LARGEST_INT = 2**63 - 1

# Hydra's special keys of a node, besides the settings of its target.
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
    """The arguments that a run passes to a target, besides its settings: a number of positions, and names."""

    positions: int = 0
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    """A class or function that a config names, with its signature.

    Attributes:
        name: dotted name.
        obj: the class or function.
        parameters: its named parameters, in order, with their annotations.
        required: the parameters without a default.
        takes_any: whether it accepts other names (**kwargs).
        takes_more: whether it accepts more positions (*args).
    """

    name: str
    obj: Any
    parameters: Mapping[str, Any]
    required: frozenset[str]
    takes_any: bool
    takes_more: bool


@lru_cache(maxsize=256)
def target(name: str) -> Target:
    """Import the class or function called `name`, and read its signature.

    Raises:
        BadInput: there is nothing of that name; the message does not name the setting.
    """
    obj = _located(name)
    if not callable(obj):
        raise BadInput("must be the dotted name of a class or function")
    parameters: dict[str, inspect.Parameter] = {}
    hints: dict[str, Any] = {}
    takes_any = takes_more = False
    # A constructor with **kwargs passes them on to that of its base class, whose parameters are added.
    classes = obj.__mro__[:-1] if inspect.isclass(obj) else ()
    constructors = [vars(c)["__init__"] for c in classes if "__init__" in vars(c)]
    for code in constructors or [obj]:
        try:
            listed = list(inspect.signature(code).parameters.values())[len(constructors[:1]) :]
        except (TypeError, ValueError):  # written in C, without a signature
            takes_any = takes_more = True
            break
        with suppress(
            TypeError, ValueError, NameError, AttributeError
        ):  # without annotations, any value is accepted
            hints = {**get_type_hints(code, include_extras=True), **hints}
        named = (p for p in listed if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
        parameters = {**{p.name: p for p in named}, **parameters}
        takes_any = any(p.kind is p.VAR_KEYWORD for p in listed)
        takes_more = takes_more or any(p.kind is p.VAR_POSITIONAL for p in listed)
        if not takes_any:
            break
    return Target(
        name,
        obj,
        {key: hints.get(key, Any) for key in parameters},
        frozenset(key for key, p in parameters.items() if p.default is p.empty),
        takes_any,
        takes_more,
    )


def call_of(hint: Any) -> Call | None:
    """Return how a callable of this annotation is called; None if the annotation does not say."""
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


def gives(hint: Any, obj: Any, partial: bool) -> bool:
    """Return whether the result of calling `obj` (with `partial`, the partial itself) can be of the annotated type."""
    if hint is Any or not inspect.isclass(obj):
        return True
    if get_origin(hint) in (Union, UnionType):
        return any(gives(one, obj, partial) for one in get_args(hint))
    kind = get_origin(hint) or hint
    if kind is CALLABLE:
        return partial or "__call__" in dir(obj)
    if kind is functools.partial:
        return partial
    return not partial and (not inspect.isclass(kind) or issubclass(obj, kind))


def in_words(hint: Any) -> str:
    """Describe the values that an annotation allows."""
    if hint in WORDS:
        return WORDS[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin in (Union, UnionType):
        return ", or ".join(in_words(one) for one in arguments)
    if hasattr(hint, "__metadata__"):
        (rule,) = hint.__metadata__
        return f"{in_words(arguments[0])} in {rule.ge}..{rule.le}"
    if origin is tuple and (Ellipsis not in arguments):
        return f"a list of {len(arguments)}, each {in_words(arguments[0])}"
    if origin in (list, tuple, Sequence):
        return f"a list, each {in_words(arguments[0])}" if arguments[0] is not Any else "a list"
    if origin in (dict, Mapping):
        return "a map, {KEY:VALUE}" if arguments[:1] == (int,) else "settings, KEY=VALUE"
    if origin is CALLABLE or origin is functools.partial:
        return "a function, given by its _target_ and _partial_: true"
    return f"a {getattr(hint, '__name__', hint)}, given by its _target_"


def shown(value: Any) -> str:
    """Return a value as it is typed on the command line, shortened."""
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
    """Return the bounds of a whole number, to be used with `Annotated`."""
    return annotated_types.Interval(ge=low, le=high)


def _located(name: str) -> Any:
    """Import the object called `name`; Hydra's own function for this prints several lines if it fails."""
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        raise BadInput("must be the dotted name of a class or function")
    imported_before = {*sys.modules}
    try:
        with unchanged("its import"):
            obj: Any = import_module(parts[0])
            for i, part in enumerate(parts[1:], start=2):
                if not hasattr(obj, part):
                    import_module(".".join(parts[:i]))
                obj = getattr(obj, part)
    except BadInput:
        for module in {
            *sys.modules
        } - imported_before:  # so that another attempt imports, and refuses, it again
            if module.partition(".")[0] == parts[0]:
                del sys.modules[module]
        raise
    except Exception as error:  # a user's module may raise anything
        raise BadInput(f"cannot be imported: {describe_error(error)}") from error
    return obj


@lru_cache(maxsize=256)
def _adapter(hint: Any) -> TypeAdapter[Any]:
    hint = _with_lists(hint)
    try:
        return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:
        return TypeAdapter(hint)


def _with_lists(hint: Any) -> Any:
    """Return an annotation with lists in place of tuples, which a YAML does not have."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return Union[tuple(map(_with_lists, arguments))]  # noqa: UP007 (of a tuple)
    if origin is not tuple:
        return hint
    items: Any = Union[tuple(one for one in arguments if one is not Ellipsis)]  # noqa: UP007
    as_list: Any = list[items]
    length = len(arguments)
    return as_list if Ellipsis in arguments else Annotated[as_list, annotated_types.Len(length, length)]


def _numbers(value: Any) -> list[float]:
    """Return all numbers in a value, at any depth."""
    if isinstance(value, bool):
        return []
    if isinstance(value, (int, float)):
        return [value]
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else []
    return [number for one in inside for number in _numbers(one)]
