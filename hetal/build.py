"""From config nodes to objects, refusing values of the wrong type by the name the user typed."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import Any, get_type_hints

import torch
from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import OmegaConf
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from hetal.errors import BadInput
from hetal.rng import seeded, stream

# The settings that no target receives as they are typed.
PLAIN = {
    "mult.factor": float,
    "n_start": int,
    "n_query": int,
    "n_end": int,
    "seed": int,
    "threads": int,
    "device": str,
    "jobs_per_gpu": int,
    "force": bool,
    "dry_run": bool,
    "fail_fast": bool,
    "keep_network": bool,
    "profile": bool,
}


def build(config: Mapping[str, Any]) -> dict[str, Any]:
    """Instantiate every node of a resolved config that has a `_target_`, and pass plain values through.

    Args:
        config: the resolved config, plain values.

    Raises:
        BadInput: a constructor refused what it was given.
    """
    try:
        with seeded(stream(config.get("seed", 0), "build"), torch.device("cpu")):
            parts = instantiate(OmegaConf.create(dict(config)), _convert_="all")
    except InstantiationException as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, BadInput):
            cause = cause.__cause__
        if cause is not None:
            raise cause from None
        raise BadInput(" ".join(str(error).split())) from error
    return dict(parts)


def check_config(config: Mapping[str, Any]) -> None:
    """Check every value of a resolved config against the type that its receiver declares.

    Raises:
        BadInput: names the setting, its value, and what is allowed.
    """
    for path, hint in PLAIN.items():
        _check(hint, functools.reduce(lambda node, key: node[key], path.split("."), config), path)
    for group, node in config.items():
        if isinstance(node, Mapping) and "_target_" not in node and group != "mult":
            raise BadInput(f"{group}={dict(node)}: settings of {group}, but no {group} is chosen")
    check_types(config)


def check_types(node: Any, path: str = "") -> None:
    """Check a config against the parameters of the targets that receive it, and the annotations of these.

    Raises:
        BadInput: names the setting, its value, and what is allowed.
    """
    if isinstance(node, list):
        for i, item in enumerate(node):
            check_types(item, f"{path}[{i}]")
    if not isinstance(node, Mapping):
        return
    hints = _parameters(node["_target_"], path) if "_target_" in node else None
    for key, value in node.items():
        where = f"{path}.{key}" if path else str(key)
        if hints is not None and not key.startswith("_"):
            if key not in hints:
                raise BadInput(f"{where}: no such setting; {node['_target_']} takes {', '.join(hints)}")
            if not isinstance(value, Mapping):
                _check(hints[key], value, where)
        check_types(value, where)


def _parameters(target: str, path: str) -> dict[str, Any] | None:
    """Return the annotation of each parameter of a target; None where it takes any name."""
    try:
        found = get_object(target)
    except Exception as error:
        raise BadInput(f"{path}._target_={target}: {' '.join(str(error).split())}") from None
    try:
        parameters = inspect.signature(found).parameters.values()
        hints = get_type_hints(found.__init__ if inspect.isclass(found) else found)
    except (TypeError, ValueError, NameError):
        return None
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return {p.name: hints.get(p.name, Any) for p in parameters}


def _check(hint: Any, value: Any, where: str) -> None:
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:
        adapter = TypeAdapter(hint)
    try:
        adapter.validate_python(value, strict=True)
    except ValidationError as error:
        wrong = error.errors()[0]
        raise BadInput(f"{where}={value}: {wrong['msg'][0].lower()}{wrong['msg'][1:]}") from None
