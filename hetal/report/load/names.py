"""Names, order and colours that a user gives to the strategies and settings of a report, in a YAML file."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from hetal.errors import BadInput
from hetal.record.measures import Direction
from hetal.record.schema import NAME_OF_MEASURE
from hetal.report.load.own import own_ranges
from hetal.report.load.printable import plain
from hetal.report.load.reading import Reading
from hetal.report.load.untrusted import parse_yaml, read_bytes

# The file that is read where a study has one and no other is named.
FILE = "report.yaml"

KEYS = ("title", "strategies", "settings", "baseline", "colours", "measures")
# What may be said of a measure, and the words that are allowed.
OF_MEASURES: Mapping[str, tuple[str, ...]] = {
    "name": (), "better": ("higher", "lower"), "unit": ("share", "number"),
}  # fmt: skip
COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
BOUND = " (bound)"


@dataclass(frozen=True)
class Called:
    """What a user says of a measure of their own.

    Attributes:
        name: in words; from its key unless given.
        better: the direction that is better.
        unit: of its values; from these unless given.
    """

    name: str = ""
    better: Direction = "higher"
    unit: Literal["share", "number", ""] = ""


@dataclass(frozen=True)
class Names:
    """What a user calls things.

    Attributes:
        title: of the page; empty unless given.
        strategies: names by those that the report gives, in the order in which they are shown; others follow.
        settings: likewise.
        baseline: the strategy that all others are measured against, by either name; empty unless given.
        colours: of strategies, by either name, such as "#0072b2".
        measures: of the user's own, by their names in records.
    """

    title: str = ""
    strategies: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    baseline: str = ""
    colours: Mapping[str, str] = field(default_factory=dict)
    measures: Mapping[str, Called] = field(default_factory=dict)

    def strategy(self, label: str) -> str:
        """Return what a strategy is called: a bound keeps its mark."""
        name = self.strategies.get(label) or self.strategies.get(label.removesuffix(BOUND)) or label
        return name + BOUND * (label.endswith(BOUND) and not name.endswith(BOUND))

    def among(self, label: str, labels: Collection[str]) -> str:
        """Return what a strategy is called among those that there are, a bound also where it is given without its mark.

        Args:
            label: of the strategy, by either name.
            labels: as strategies are called.
        """
        name = self.strategy(label)
        return name + BOUND if name not in labels and name + BOUND in labels else name

    def in_order(self, labels: Iterable[str]) -> list[str]:
        """Return names of strategies in the order in which they are shown."""
        labels = [*labels]
        return _in_order(labels, [self.among(label, labels) for label in self.strategies])

    def settings_in_order(self, names: Iterable[str]) -> list[str]:
        """Return names of settings in the order in which they are shown."""
        return _in_order(names, [*self.settings.values()])


def names_in(path: Path) -> Names:
    """Return the names that a file gives.

    Raises:
        BadInput: it cannot be read, or says something else.
    """
    try:
        loaded = parse_yaml(read_bytes(path).decode(), path.name)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise BadInput(f"--names {path}: cannot be read: {reason}") from None
    loaded = {} if loaded is None else loaded
    if not isinstance(loaded, dict):
        raise BadInput(f"{path.name}: must hold {', '.join(KEYS)}, such as strategies: {{badge: BADGE}}")
    for key in loaded:
        if key not in KEYS:
            raise BadInput(f"{path.name}: {plain(key)}: no such setting; there are {', '.join(KEYS)}")
    return Names(
        title=_text(loaded.get("title"), path, "title"),
        strategies=_texts(loaded.get("strategies"), path, "strategies"),
        settings=_texts(loaded.get("settings"), path, "settings"),
        baseline=_text(loaded.get("baseline"), path, "baseline"),
        colours=_colours(_texts(loaded.get("colours"), path, "colours"), path),
        measures=_measures(loaded.get("measures"), path),
    )


def names_of(folders: Sequence[Path]) -> Names:
    """Return the names in the first of the folders that has a `report.yaml`; none where none has.

    Raises:
        BadInput: as `names_in`.
    """
    return next((names_in(folder / FILE) for folder in folders if (folder / FILE).is_file()), Names())


def renamed(reading: Reading, names: Names) -> Reading:
    """Return records with the names that a user gave.

    Raises:
        BadInput: two strategies of a setting, or two settings, would have one name.
    """
    runs = [
        replace(run, label=names.strategy(run.label), setting=names.settings.get(run.setting, run.setting))
        for run in reading.runs
    ]
    origin: dict[tuple[str, ...], tuple[str, ...]] = {}
    for old, new in zip(reading.runs, runs, strict=True):
        for was, now, what in (
            ((old.setting,), (new.setting,), "settings"),
            ((old.setting, old.label), (new.setting, new.label), "strategies"),
        ):
            if origin.setdefault(now, was) != was:
                one, other = origin[now][-1], was[-1]
                raise BadInput(
                    f"{what}: {one} and {other} would both be {now[-1]}; each needs a name of its own"
                )
    return replace(reading, runs=tuple(runs))


def unknown(reading: Reading, names: Names) -> list[str]:
    """Return sentences on names of things that no record has.

    Args:
        reading: not renamed.
        names: as given.
    """
    labels = {run.label for run in reading.runs}
    labels |= {label.removesuffix(BOUND) for label in labels}
    called = labels | {names.strategy(label) for label in labels}
    settings = {run.setting for run in reading.runs}
    given = [
        *(("strategies", key) for key in names.strategies if key not in labels),
        *(("settings", key) for key in names.settings if key not in settings),
        *(("colours", key) for key in names.colours if key not in called),
        *([("baseline", names.baseline)] if names.baseline and names.baseline not in called else []),
    ]
    held = own_ranges(reading.runs) if names.measures else {}
    return [f"{where}: {key}: no run is of it" for where, key in given] + [
        f"measures: {name}: no run has it" for name in names.measures if name not in held
    ]


def _in_order(names: Iterable[str], first: Sequence[str]) -> list[str]:
    names = list(dict.fromkeys(names))
    return [name for name in dict.fromkeys(first) if name in names] + [n for n in names if n not in first]


def _text(value: Any, path: Path, key: str) -> str:
    if value is None:
        return ""
    if isinstance(value, (dict, list)):
        raise BadInput(f"{path.name}: {key}: must be text, not {plain(value, 80)}")
    return plain(value).strip()


def _texts(value: Any, path: Path, key: str) -> dict[str, str]:
    """Return names by names; a list gives an order only."""
    if value is None:
        return {}
    if isinstance(value, list):
        value = {_text(name, path, key): None for name in value}
    if not isinstance(value, dict):
        raise BadInput(f"{path.name}: {key}: must be names, such as {{badge: BADGE}}, not {plain(value, 80)}")
    return {plain(old): _text(new, path, f"{key}.{plain(old)}") or plain(old) for old, new in value.items()}


def _measures(value: Any, path: Path) -> dict[str, Called]:
    """Return what is said of measures, each a name or a mapping."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadInput(f"{path.name}: measures: must be settings of measures by name, not {plain(value, 80)}")
    said: dict[str, Called] = {}
    for key, of in value.items():
        where = f"measures.{plain(key)}"
        if not isinstance(key, str) or not re.fullmatch(NAME_OF_MEASURE, key):
            raise BadInput(f"{path.name}: {where}: no measure of your own has that name")
        of = of if isinstance(of, dict) else {"name": of}
        for setting, one in of.items():
            if setting not in OF_MEASURES:
                there = ", ".join(OF_MEASURES)
                raise BadInput(f"{path.name}: {where}.{plain(setting)}: no such setting; there are {there}")
            allowed = OF_MEASURES[setting]
            if allowed and one not in allowed:
                raise BadInput(
                    f"{path.name}: {where}.{setting}: must be {' or '.join(allowed)}, not {plain(one, 80)}"
                )
        said[key] = Called(**{**of, "name": _text(of.get("name"), path, f"{where}.name")})
    return said


def _colours(colours: dict[str, str], path: Path) -> dict[str, str]:
    for label, colour in colours.items():
        if not COLOUR.fullmatch(colour):
            raise BadInput(f"{path.name}: colours.{label}: must be a colour such as '#0072b2', not {colour}")
    return colours
