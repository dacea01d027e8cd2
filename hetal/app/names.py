"""Names of data sets, noise and strategies in titles, groups and reports, from the settings of a run."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hetal.errors import BadInput
from hetal.record.identity import times


def data_name(config: Mapping[str, Any], option: str) -> str:
    """Return the name of a data set: `data.name`, else that of its file or folder, else the option of the group."""
    name, path = config["data"].get("name"), config["data"].get("path")
    if name is not None and (name := str(name).strip()):
        return str(name)
    if not path:
        return option
    path = os.path.abspath(os.path.expanduser(str(path)))
    return (os.path.basename(path) if os.path.isdir(path) else Path(path).stem) or option


def noise_name(config: Mapping[str, Any], option: str) -> str:
    """Return the name of a noise, without its factor: `noise.name`, else the option of the group."""
    return _name(config["noise"], option)


def strategy_name(config: Mapping[str, Any], option: str) -> str:
    """Return the name of a strategy: `alg.name`, else the option of the group."""
    return _name(config["alg"], option)


def with_names_of_wrapped(
    node: Mapping[str, Any], choices: Mapping[str, Any], place: str = "alg"
) -> dict[str, Any]:
    """Return the node of a strategy that wraps another with a name made of both; others are returned as they are.

    Args:
        node: of the strategy, with that of the other in `of`. In its `name`, {of} stands for the other's name; without
            a name it has that of its option, and the other's.
        choices: the option chosen for each place, such as {"alg": "once", "alg@alg.of": "badge"}.
        place: of the node.

    Raises:
        BadInput: what is wrapped is no strategy alone, or a name is none.
    """
    of = node.get("of")
    if not isinstance(of, Mapping):
        return dict(node)
    inner = f"{place}.of"
    option = str(choices.get(f"alg@{inner}") or str(of.get("_target_")).rpartition(".")[2])
    if "_target_" not in of:
        raise BadInput(f"{inner}={option}: sets more than a strategy, and cannot be wrapped in another")
    for where, named in ((place, node), (inner, of)):
        if isinstance(name := named.get("name"), (bool, float, list, Mapping)):
            raise BadInput(f"{where}.name={name}: must be text, a whole number, or null")
    of = with_names_of_wrapped(of, choices, inner)
    outer = choices.get(place if place == "alg" else f"alg@{place}")
    own = node.get("name") or f"{outer or str(node.get('_target_')).rpartition('.')[2]} {{of}}"
    return {**node, "of": _without_name(of), "name": str(own).replace("{of}", _name(of, option))}


def with_parts_of_noise(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return the node of a noise that applies several with those parts only that it applies, and a name made of theirs.

    Other nodes are returned as they are, and so is what is none of the allowed but for the names of parts, which is
    refused later.

    Raises:
        BadInput: the name of a part is none.
    """
    of, parts = node.get("of"), node.get("parts")
    if not isinstance(parts, Mapping) or not all(isinstance(part, Mapping) for part in parts.values()):
        return dict(node)
    for key, part in parts.items():
        if isinstance(name := part.get("name"), (bool, float, list, Mapping)):
            raise BadInput(f"noise.parts.{key}.name={name}: must be text, a whole number, or null")
    if not isinstance(of, list):
        return {**node, "parts": {name: _without_name(part) for name, part in parts.items()}}
    chosen = {name: parts[name] for name in of if isinstance(name, str) and name in parts}
    made_up = " + ".join(" ".join([_name(part, name), *times(part)]) for name, part in chosen.items())
    own = {name: _without_name(part) for name, part in chosen.items()}
    return {**node, "name": node.get("name") or made_up, "parts": own}


def _without_name(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a part of a noise without its name, which is hetal's own, and those of its parts."""
    return {key: value for key, value in with_parts_of_noise(part).items() if key != "name"}


def _name(node: Mapping[str, Any], otherwise: str) -> str:
    """Return the name that a noise or a strategy has in its settings, made readable.

    4.0 is written as 4, since these are the same setting; None as null, as it is typed; [0.3, 0.7] as 0.3-0.7; and
    {2: 7, 3: 8} as 2-7+3-8.
    """
    name = re.sub(r"(?<=\d)\.0+(?![\d.])", "", str(node.get("name") or otherwise))
    name = re.sub(r"\bNone\b", "null", name)
    name = re.sub(r"\[(.*?)\]", lambda found: found[1].replace(", ", "-"), name)
    return re.sub(r"\{(.*?)\}", lambda found: found[1].replace(": ", "-").replace(", ", "+"), name)
