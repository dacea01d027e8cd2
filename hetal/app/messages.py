"""One-line messages for settings that do not exist and for what Hydra cannot read or compose."""

from __future__ import annotations

import difflib
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hetal.errors import BadInput
from hetal.record.overrides import WRAPPED, as_typed
from hetal.sweep.mult import GROUP
from hetal.sweep.overrides import nested_groups

# Where it is 1, Hydra raises its errors instead of printing them.
FULL_ERROR = "HYDRA_FULL_ERROR"

# Names listed where none is near.
LISTED = 30


def no_such(path: str, known: Sequence[str], taker: str = "") -> str:
    """Say that there is no setting `path`, and which there are.

    Args:
        path: as typed.
        known: the settings there are, dotted.
        taker: what takes them, for people.
    """
    above = path.rpartition(".")[0]
    beside = [key for key in known if key.rpartition(".")[0] == above]
    who = taker or above
    if above in known and not beside:
        return f"{path}: no such setting; {who} takes none"
    near = nearest(path, known if beside == [] or not above else beside) or _elsewhere(path, known)
    if near:
        return f"{path}: no such setting; did you mean {' or '.join(near)}?"
    if not known:
        return f"{path}: no such setting; {who} takes none"
    names = [key.rpartition(".")[2] for key in beside] or [key for key in known if "." not in key]
    more = ", ..." if len(names) > LISTED else ""
    there = f"{who} takes" if beside and who else "there are"
    return f"{path}: no such setting; {there} {', '.join(names[:LISTED])}{more}"


def nearest(name: str, known: Sequence[str]) -> list[str]:
    """Return up to three of `known` that `name` may have been meant to be, the likeliest first."""
    return difflib.get_close_matches(name, known, n=3, cutoff=0.75)


def _elsewhere(path: str, known: Sequence[str]) -> list[str]:
    """Return the setting whose last name is right, or nearly, but for where it stands; if there is one."""
    by_leaf = {key.rpartition(".")[2]: key for key in reversed(known)}
    return [
        by_leaf[one] for one in difflib.get_close_matches(path.rpartition(".")[2], by_leaf, n=1, cutoff=0.8)
    ]


def answered(main: Callable[[], None], conf: Path) -> None:
    """Run Hydra's `main`, and answer what it refuses with one line and status 1 instead of Hydra's several.

    With HYDRA_FULL_ERROR=1 in the environment, Hydra's own traceback is shown.

    Args:
        main: reads `sys.argv`.
        conf: the folder of configs.
    """
    if os.environ.get(FULL_ERROR) == "1":
        main()
        return
    os.environ[FULL_ERROR] = "1"  # Hydra then raises what it would print
    try:
        main()
    except Exception as error:
        if (message := answer(error, sys.argv[1:], conf)) is not None:
            print(f"error: {message}", file=sys.stderr)
        else:
            traceback.print_exception(type(error), error, _from_the_run_on(error.__traceback__))
        raise SystemExit(1) from None
    finally:
        os.environ.pop(FULL_ERROR, None)


def answer(error: BaseException, arguments: Sequence[str], conf: Path) -> str | None:
    """Return the message for an error of Hydra's, one line; None where it is no such error.

    Args:
        error: what Hydra raised.
        arguments: the command line.
        conf: the folder of configs.
    """
    if isinstance(error, OverrideParseException):
        return str(BadInput(_unreadable(error)))
    if nameless := [word for word in arguments if word.startswith("=")]:
        return str(BadInput(f"{nameless[0]}: must be KEY=VALUE"))
    if isinstance(error, (HydraException, OmegaConfBaseException)):
        message = _composition(error, arguments, conf)
    elif isinstance(error, (TypeError, ValueError)) and (typed := _no_choice(arguments, conf)):
        group = typed.partition("=")[0].lstrip("+")
        numbers = ", or a number" * (group == GROUP)
        message = f"{_as_typed(typed)}: must be one of the choices of {_as_typed(group)}{numbers}; --help lists them"
    elif isinstance(error, ValueError) and "in defaults" in str(error):
        message = (
            f"a defaults list of the configs: {_first_line(error)}; an option is named by text, as mult: x4"
        )
    elif override := _local(error, "_apply_overrides_to_config", "override"):
        message = f"{override.input_line}: cannot be set ({_first_line(error)})"
    else:
        return None
    job = as_typed([str(one) for one in _local(error, "load_sweep_config", "sweep_overrides") or []])
    return str(BadInput(message + (f" (in job {' '.join(job)})" if job else "")))


def _composition(error: Exception, arguments: Sequence[str], conf: Path) -> str:
    text = str(error)
    if match := re.search(r"Could not find '(.+)/([^']*)'", text):
        group, name = match.groups()
        options = _loader_options(group, arguments, conf)
        near = difflib.get_close_matches(name, options, n=2, cutoff=0.6)
        mean = f"did you mean {' or '.join(near)}? " if near else ""
        numbers = ", and any number from 0" * (group == GROUP)
        there = f"there are {', '.join(options)}{numbers}" if options else f"there is no group {group}"
        typed = [re.fullmatch(rf"\+*({WRAPPED})=(.*)", _as_typed(word)) for word in arguments]
        places = [word[1] for word in typed if word and name in re.split(r"[,()]", word[2])]
        place = places[0] if group == "alg" and places else _as_typed(group)
        return f"{place}={name}: no such choice; {mean}{there}"
    if match := re.match(r"Could not override '(alg@[^']+)'", text):
        return f"{_as_typed(match[1])}: the strategy that is chosen wraps no other, so that there is nothing to choose"
    if (match := re.match(r"Could not override '([^']+)'", text)) and match[1] in nested_groups():
        above, name = match[1].split("/")
        return f"{_as_typed(match[1])}: the {above} that is chosen has no {name}; choose another {above}"
    deleted = re.match(r"Could not delete from config. '([^']+)' does not exist", text)
    if match := deleted or re.match(r"Could not override '([^']+)'", text):
        known = _settings(arguments, conf)
        if deleted and match[1] in known:
            return f"~{match[1]}: is null, which cannot be deleted"
        key = str(getattr(error.__cause__, "full_key", None))  # longer where what is typed is a dict
        key = key if key.startswith(f"{match[1]}.") else match[1]
        if key.split(".")[0] == "measures" and not deleted:
            return f"{key}: there is none; +{key}=... adds it"
        return no_such(key, known)
    if match := re.match(r"Could not append to config. An item is already at '([^']+)'", text):
        return f"+{match[1]}: there is a setting of that name; set it without +"
    if match := re.match(r"Multiple values for ([^.]+)\.", text):
        return f"{match[1]}: is chosen twice; choose it once, without +"
    if match := re.match(r"(?:Ambiguous value for argument|Sweep parameters) '(.+?)'(?:\n| requires)", text):
        return f"{_as_typed(match[1])}: several values need -m, which runs each; a list is written KEY=[A,B]"
    if (match := re.search(r"\$\{.*\}", text)) and (
        referring := [word for word in arguments if match[0] in word]
    ):
        return f"{referring[0]}: {_first_line(error)}"
    cause = error.__cause__
    if match := re.match(r"Error merging override (.*)", text, re.DOTALL):
        group, _, value = match[1].partition("=")
        is_group = group.replace(".", "/") in nested_groups() or re.fullmatch(WRAPPED, group)
        if value.startswith("[") and is_group:
            return f"{match[1]}: must be one of the choices of {group}; --help lists them"
        text = f"{match[1]}: {_first_line(cause) if cause else 'cannot be set'}"
        return " ".join(text.split())
    return " ".join(text.split("\n\n")[0].split())


def _as_typed(word: str) -> str:
    """Return a group inside another, alone or before what is chosen, as it is typed: with a dot."""
    group, equals, value = word.partition("=")
    group = group.removeprefix("alg@")
    return (group.replace("/", ".") if group in nested_groups() else group) + equals + value


def _unreadable(error: OverrideParseException) -> str:
    """Say of a word of the command line that it does not follow Hydra's grammar."""
    word = error.override
    if "=" not in word and not word.startswith("~"):
        return f"{word}: must be KEY=VALUE"
    reason = next(line for line in str(error).splitlines() if not line.startswith("Error parsing override"))
    if "<EOF>" in reason.partition("expecting")[0] or "no viable alternative" in reason:
        reason = "it ends before it is complete"
    quoted = "KEY='\"a b\"'"
    return (
        f"{word}: cannot be read ({reason}); it must be KEY=VALUE, and text of other signs quoted, {quoted}"
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _local(error: BaseException, function: str, name: str) -> Any:
    """Return a local variable of a function of Hydra's that `error` came through; None where there is none.

    Hydra's messages do not say which job of a sweep, nor always which override, it was at.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == function:
            return frame.f_locals.get(name)
    return None


def _parsed(arguments: Sequence[str]) -> list[Override]:
    """Return those words of a command line that are overrides and can be read."""
    parsed = []
    for word in arguments:
        with suppress(HydraException):
            parsed += OverridesParser.create().parse_overrides([word])
    return parsed


def _composed(arguments: Sequence[str], conf: Path) -> DictConfig:
    """Compose what can be composed of a command line: its choices, else the defaults."""
    groups = {*(path.name for path in conf.iterdir() if path.is_dir()), *nested_groups()}
    chosen = []
    for one in _parsed(arguments):
        if one.key_or_group.split("@")[0] in groups and not one.is_delete():
            value = next(one.sweep_iterator()) if one.is_sweep_override() else one.value()
            if isinstance(value, str):
                chosen.append(f"{'+' * one.is_add()}{one.key_or_group}={value}")
    with initialize_config_dir(str(conf.absolute()), version_base="1.3"):
        for overrides in (chosen, []):
            with suppress(HydraException):
                return compose("config", overrides, return_hydra_config=True)
    return OmegaConf.create()


def _settings(arguments: Sequence[str], conf: Path) -> list[str]:
    """Return the names of all settings of a command line, those of the run before Hydra's."""
    names = list(_names(_composed(arguments, conf)))
    return sorted(names, key=lambda name: name.split(".")[0] == "hydra")


def _names(node: DictConfig, above: str = "") -> Iterator[str]:
    for key in node:
        if not str(key).startswith("_"):
            yield above + str(key)
            child = node._get_node(key)
            if isinstance(child, DictConfig) and not child._is_none() and not child._is_interpolation():
                yield from _names(child, f"{above}{key!s}.")


def _loader_options(group: str, arguments: Sequence[str], conf: Path) -> list[str]:
    """Return the choices of a config group, those of `hydra.searchpath` and --config-dir included."""
    folder = get_args_parser().parse_known_args(arguments)[0].config_dir
    searched = [str(one.input_line) for one in _parsed(arguments) if one.key_or_group == "hydra.searchpath"]
    with initialize_config_dir(str(conf.absolute()), version_base="1.3"), suppress(HydraException):
        compose("config", searched, return_hydra_config=True)
        options = GlobalHydra.instance().config_loader().get_group_options(group)
        own = [path.stem for path in Path(folder, group).glob("*.yaml")] if folder else []
        return sorted({*options, *own})
    return []


def _no_choice(arguments: Sequence[str], conf: Path) -> str | None:
    """Return what was typed where a config group is given something that is no name."""
    for one in _parsed(arguments):
        if (conf / one.key_or_group).is_dir() and not one.is_delete():
            values = list(one.sweep_iterator()) if one.is_sweep_override() else [one.value()]
            if not all(isinstance(value, str) for value in values):
                return f"{one.input_line}"
    return None


def _from_the_run_on(trace: TracebackType | None) -> TracebackType | None:
    """Leave Hydra's own part at the head of a traceback out."""
    at = trace
    while at is not None and at.tb_frame.f_code.co_name != "run_job":
        at = at.tb_next
    return at.tb_next if at is not None and at.tb_next is not None else trace
