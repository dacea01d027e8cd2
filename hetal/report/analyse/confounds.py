"""What differs between runs that are compared besides what they are compared in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hetal.report.load.records import Run

# The groups of a config that make up a setting.
SETTING = ("data", "noise", "model")

Config = Mapping[str, Any]
ABSENT = "absent"


def beyond(first: Mapping[int, Run], second: Mapping[int, Run]) -> tuple[str, ...]:
    """Return the settings that differ between two strategies of one setting besides the compared one.

    Compared are the strategies, with what they bring along, see `brought`; of one strategy in two forms, the group of
    settings in which they differ.

    Args:
        first: a strategy's runs by seed.
        second: the other's.
    """
    if not first or not second:
        return ()
    a, b = next(iter(first.values())), next(iter(second.values()))
    if a.choices["alg"] != b.choices["alg"]:
        differ = [key for key in differing([a.config, b.config]) if group(key) not in ("alg", *SETTING)]
        return tuple(key for key in differ if not brought(a, b, key))
    differ = [key for key in differing([a.config, b.config]) if group(key) not in SETTING]
    return tuple(differ) if len({group(key) for key in differ}) > 1 else ()


def differing(configs: Iterable[Config]) -> list[str]:
    """Return the keys whose values are not the same in all `configs`, in order of their names."""
    unique = list({id(config): config for config in configs}.values())
    keys = sorted({key for config in unique for key in config})
    absent = object()
    return [key for key in keys if any(c.get(key, absent) != unique[0].get(key, absent) for c in unique)]


def brought(a: Run, b: Run, key: str) -> bool:
    """Tell whether a setting differs between two runs because their strategies do: their own YAML set it outside `alg`.

    So it is where both were composed from the same YAML files, and nothing that only one of the command lines gave
    could have set it: `alg=lhd_published` against `alg=lhd` turns `train.own_ema` on by itself.

    Args:
        a: of one strategy.
        b: of another.
        key: of the setting, as in "train.own_ema".
    """
    if a.choices["alg"] == b.choices["alg"] or a.commit != b.commit:
        return False
    return not any(_sets(given, key) for given in {*a.overrides} ^ {*b.overrides})


def all_brought(key: str, runs: Sequence[Run]) -> bool:
    """Tell whether a setting differs only where strategies bring other values of it with them."""
    unequal = (
        (a, b) for a, b in combinations(runs, 2) if a.config.get(key, ABSENT) != b.config.get(key, ABSENT)
    )
    return all(brought(a, b, key) for a, b in unequal)


def group(key: str) -> str:
    """Return the config group of a setting."""
    return key.split(".", 1)[0]


def _sets(override: str, key: str) -> bool:
    """Tell whether an override could have set `key`; an experiment may set anything."""
    name = override.split("=", 1)[0].lstrip("+~")
    return name == "experiment" or key == name or key.startswith(f"{name}.")
