"""Checks of a resolved config, and instantiation of its parts."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf

from hetal.algs import QueryStrategy
from hetal.app.annotations import (
    SPECIAL,
    Call,
    Target,
    between,
    call_of,
    check_value,
    gives,
    in_words,
    shown,
    target,
)
from hetal.app.messages import no_such
from hetal.errors import CONTROL, BadInput, describe_error
from hetal.experiment import Experiment
from hetal.machine.process import unchanged
from hetal.models.ensemble import MOST_MEMBERS, ensemble_of
from hetal.oracle import Answers
from hetal.record.measures import MEASURES
from hetal.record.schema import MOST_MEASURES, NAME_OF_MEASURE, Round
from hetal.record.settings import PLAIN
from hetal.rng import seeded, stream
from hetal.train.finetune import PseudoLabel
from hetal.watch.tracker import Tracker


@dataclass(frozen=True)
class Group:
    """How the target of a config group is used.

    Attributes:
        makes: type of the object that the target creates; None if the run calls the target itself.
        called: how the run calls the target.
        optional: whether the group may be null.
    """

    makes: type[Any] | None = None
    called: Call | None = None
    optional: bool = False


GROUPS = {
    "data": Group(called=Call(names=("rng",))),
    "noise": Group(called=Call(positions=3)),
    "oracle": Group(makes=Answers),
    "model": Group(called=Call(positions=2)),
    "optimizer": Group(called=Call(positions=1)),
    "schedule": Group(called=Call(positions=1), optional=True),
    "train": Group(called=Call(names=("network", "task", "optimizer", "schedule", "finetune", "device"))),
    "finetune": Group(makes=PseudoLabel, optional=True),
    "start": Group(makes=QueryStrategy),
    "alg": Group(makes=QueryStrategy),
    "tracker": Group(makes=Tracker),
}


# Values of `model.members`.
MEMBERS = Annotated[int, between(1, MOST_MEMBERS)]

# Settings in groups that are hetal's own and not arguments of a target, with the annotations of their values.
OWN: dict[str, dict[str, Any]] = {
    "model": {"members": MEMBERS},
    "data": {"name": str | int | None},
    "noise": {"name": str | int | None},
    "alg": {"name": str | int | None},
}

# How a measure of the user's own is called, and the names that are taken.
MEASURE = Group(called=Call(positions=2))
TAKEN = {*MEASURES, *(field.name for field in dataclasses.fields(Round))}

# Plain settings that an experiment takes.
NUMBERS = ("n_start", "n_query", "n_end", "seed")


def build_experiment(config: Mapping[str, Any], name: str) -> Experiment:
    """Return the experiment that a resolved config describes.

    Args:
        config: plain values.
        name: of the strategy, as the user chose it.

    Raises:
        BadInput: a constructor refused its arguments, or a part has the wrong type.
    """
    parts = {key: build_part(config, key) for key in config if key in GROUPS and key != "tracker"}
    measures = {
        key: _built(node, f"measures.{key}", MEASURE, config.get("seed", 0))
        for key, node in config["measures"].items()
    }
    return Experiment(name=name, measures=measures, **parts, **{key: config[key] for key in NUMBERS})


def build_part(config: Mapping[str, Any], group: str) -> Any:
    """Instantiate the part that a resolved config chose for a group, such as `alg`; None for null.

    Raises:
        BadInput: as `build_experiment`.
    """
    node, own = _without_own(group, config[group])
    part = _built(node, group, GROUPS[group], config.get("seed", 0))
    members = own.get("members", 1)
    return ensemble_of(part, members) if part is not None and members > 1 else part


def _built(value: Any, place: str, group: Group, seed: int) -> Any:
    """Instantiate a node of a config.

    Args:
        value: the node, or null.
        place: of the node, for messages.
        group: how the target is used.
        seed: of the run.

    Raises:
        BadInput: as `build_experiment`.
    """
    try:
        rng = stream(seed, f"build {place}")
        with unchanged(f"{place}: its constructor"), seeded(rng, torch.device("cpu")):
            part = instantiate(OmegaConf.create({"_": value}), _convert_="all")["_"]
    except InstantiationException as error:
        cause: BaseException = error
        while cause.__cause__ is not None and not isinstance(cause, BadInput):
            cause = cause.__cause__
        if isinstance(cause, BadInput):
            message = _with_place(str(cause), place, value, str(error))
            raise cause if message == str(cause) else BadInput(message) from None
        raise BadInput(f"{place}: {_name(value)} fails: {describe_error(cause)}") from error
    wanted: Any = group.makes or Callable
    if part is not None and not isinstance(part, wanted):
        raise BadInput(
            f"{place}: {_name(value)} gives a {type(part).__name__}; "
            f"it must give a {getattr(group.makes, '__name__', 'function')}"
        )
    return part


def _with_place(message: str, group: str, node: Any, failure: str) -> str:
    """Return what a constructor refused with its setting named by where it stands, such as alg.of.beta for alg.beta.

    Args:
        message: of the constructor, which knows its own settings, and at most the group that it is for.
        group: of the part, or the place of a measure.
        node: of the config.
        failure: Hydra's message, which says at which node it failed.
    """
    inner = re.search(r"full_key: _((?:\.\w+)*)$", failure)
    below = inner[1] if inner else ""
    place = group + below
    for key in below.split(".")[1:]:
        node = node[key] if isinstance(node, Mapping) and key in node else {}
    if message.startswith(f"{place}."):
        return message
    if setting := re.match(rf"{re.escape(group)}\.(\w+)\b", message):
        return f"{place}.{message[setting.start(1) :]}"
    word = message.partition("=")[0]
    return f"{place}.{message}" if isinstance(node, Mapping) and word in node else message


def _without_own(group: str, node: Any) -> tuple[Any, dict[str, Any]]:
    """Return a group's node without hetal's own settings in it, which its target does not take, and these."""
    if not isinstance(node, Mapping) or not (names := OWN.get(group)):
        return node, {}
    return {k: v for k, v in node.items() if k not in names}, {k: node[k] for k in names if k in node}


def check_config(config: Mapping[str, Any], choices: Mapping[str, Any] | None = None) -> None:
    """Check every value of a resolved config against its declared type.

    Args:
        config: plain values.
        choices: the option chosen in each config group, if known.

    Raises:
        BadInput: names the setting, its value, and what is allowed.
    """
    for key in config:
        if key not in (*PLAIN, *GROUPS, "mult"):
            raise BadInput(no_such(key, [*PLAIN, *GROUPS, "mult"]))
    for key, hint in PLAIN.items():
        if key not in config:
            raise BadInput(f"{key} is not set; it must be {in_words(hint)}")
        check_value(hint, config[key], key)
    if root := CONTROL.search(str(config["root"])) or str(config["root"]) in ("", ".."):
        raise BadInput(
            f"root={config['root']}: must be a folder{', without control characters' * bool(root)}"
        )
    for key in (*GROUPS, "mult"):
        if choices is not None and not isinstance(choices.get(key), str):
            raise BadInput(f"{key}: must be one of its choices, {key}=NAME; --help lists them")
    if "factor" not in config["mult"]:
        raise BadInput("mult.factor is not set; it must be a number")
    for key in config["mult"]:
        if key != "factor":
            raise BadInput(f"mult.{key}: no such setting; there is mult.factor, or mult=NUMBER")
    check_value(float, config["mult"]["factor"], "mult")
    for key, group in GROUPS.items():
        _check_group(key, group, config.get(key))
    _check_measures(config["measures"])


def _check_group(key: str, group: Group, node: Any) -> None:
    if node is None and group.optional:
        return
    if not isinstance(node, Mapping):
        raise BadInput(f"{key}={shown(node)}: must be one of the choices of {key}; --help lists them")
    if "_target_" not in node:
        raise BadInput(f"{key}={shown(node)}: settings of {key}, but no {key} is chosen")
    if key == "model" and "members" not in node:
        raise BadInput(f"model.members is not set; it must be {in_words(MEMBERS)}")
    node, own = _without_own(key, node)
    for name, value in own.items():
        check_value(OWN[key][name], value, f"{key}.{name}")
    hint = group.makes or Callable[..., Any]
    _check_node(node, key, hint, group.called)


def _check_measures(nodes: Mapping[Any, Any]) -> None:
    """Check the names of a user's own measures, and that each is a function of probabilities and labels."""
    for name, node in nodes.items():
        where = f"measures.{name}"
        if not isinstance(name, str) or not re.fullmatch(NAME_OF_MEASURE, name):
            raise BadInput(
                f"{where}: the name of a measure is of a-z, 0-9 and _, up to 40 of them, a letter first"
            )
        if name in TAKEN:
            raise BadInput(f"{where}: a round holds something of that name already; it needs another")
        if not isinstance(node, Mapping) or "_target_" not in node:
            raise BadInput(f"{where}={shown(node)}: must be {in_words(Callable[..., Any])}")
        if node.get("_partial_", False) is False and _is_function(node["_target_"]):
            raise BadInput(f"{where}._partial_=false: must be true, since {node['_target_']} is a function")
        _check_node(node, where, Callable[..., Any], MEASURE.called)
    if len(nodes) > MOST_MEASURES:
        raise BadInput(f"measures: {len(nodes)} of them; there may be {MOST_MEASURES}")


def _is_function(name: Any) -> bool:
    with suppress(BadInput):
        return isinstance(name, str) and not inspect.isclass(target(name).obj)
    return False


def _check_node(node: Mapping[Any, Any], path: str, hint: Any, called: Call | None) -> None:
    """Check a node that has a `_target_`.

    Args:
        node: of the config.
        path: of the node, for messages.
        hint: annotation of the value that the node stands for.
        called: the arguments that a partial is called with, besides its settings; None if not known.
    """
    for key, kind in SPECIAL.items():
        if key in node:
            check_value(kind, node[key], f"{path}.{key}")
    try:
        chosen = target(node["_target_"])
    except BadInput as error:
        raise BadInput(f"{path}._target_={node['_target_']}: {error}") from None
    partial = node.get("_partial_", False)
    if not gives(hint, chosen.obj, partial):
        if gives(hint, chosen.obj, not partial):
            raise BadInput(f"{path}._partial_={shown(partial)}: must be {shown(not partial)} here")
        raise BadInput(f"{path}._target_={chosen.name}: must be {in_words(hint)}")
    _check_names(node, path, chosen, called if partial else Call())
    for key, value in node.items():
        if key not in SPECIAL:
            check_setting(chosen.parameters.get(str(key), Any), value, f"{path}.{key}")


def _check_names(node: Mapping[Any, Any], path: str, chosen: Target, called: Call | None) -> None:
    """Check that a target has parameters for all settings of its node, and that no required one is missing."""
    passed = [*list(chosen.parameters)[: called.positions], *called.names] if called else []
    settings = [key for key in chosen.parameters if key not in passed]
    for key in node:
        if key in SPECIAL or key in settings or (chosen.takes_any and key not in passed):
            continue
        raise BadInput(no_such(f"{path}.{key}", [f"{path}.{name}" for name in settings], chosen.name))
    if called is None or "_args_" in node:
        return
    lacking = [key for key in settings if key in chosen.required and key not in node]
    if lacking:
        raise BadInput(
            f"{path}.{lacking[0]} is not set; it must be {in_words(chosen.parameters[lacking[0]])}"
        )
    refused = not chosen.takes_any and not set(called.names) <= set(chosen.parameters)
    if refused or (not chosen.takes_more and len(passed) < called.positions + len(called.names)):
        raise BadInput(
            f"{path}._target_={chosen.name}: cannot be called as {path} is, with "
            + (f"{', '.join(called.names)}" if called.names else f"{called.positions} arguments")
        )


def check_setting(hint: Any, value: Any, where: str) -> None:
    """Check one setting of a target, which may be a node with a target of its own.

    Raises:
        BadInput: names the setting, its value, and what is allowed.
    """
    if isinstance(value, Mapping) and "_target_" in value:
        _check_node(value, where, hint, call_of(hint))
        return
    if isinstance(value, Mapping) and get_origin(hint) in (dict, Mapping):
        for key, one in value.items():
            check_setting(get_args(hint)[1], one, f"{where}.{key}")
        return
    check_value(hint, value, where)
    items: Sequence[Any] | Mapping[Any, Any] = value
    if isinstance(items, Mapping):
        for key, one in items.items():
            check_setting(Any, one, f"{where}.{key}")
    elif isinstance(items, list):
        for i, one in enumerate(items):
            check_setting(Any, one, f"{where}[{i}]")


def _name(node: Any) -> str:
    return str(node.get("_target_")) if isinstance(node, Mapping) else shown(node)
