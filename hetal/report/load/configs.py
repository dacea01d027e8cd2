"""Differences between the configs of runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

from hetal.report.load.printable import plain

if TYPE_CHECKING:
    from hetal.report.load.records import Run

# The groups of a config that make up a setting.
SETTING = ("data", "noise", "model")
# Characters of a value in a name.
LONGEST_VALUE = 80

Config = Mapping[str, Any]
ABSENT = "absent"


def differing(configs: Iterable[Config]) -> list[str]:
    """Return the keys whose values are not the same in all `configs`, sorted by name."""
    unique = list({id(config): config for config in configs}.values())
    keys = sorted({key for config in unique for key in config})
    absent = object()
    return [key for key in keys if any(c.get(key, absent) != unique[0].get(key, absent) for c in unique)]


def set_by_strategy(a: Run, b: Run, key: str) -> bool:
    """Return whether a setting outside `alg` differs because the YAML files of the two strategies set it.

    This is so where both runs were composed from the same YAML files, and no override that only one of them had could
    have set it: `alg=lhd_published` against `alg=lhd` turns `train.own_ema` on by itself.

    Args:
        a: a run of one strategy.
        b: a run of another.
        key: of the setting, as in "train.own_ema".
    """
    if a.choices["alg"] == b.choices["alg"] or a.commit != b.commit:
        return False
    return not any(_may_set(override, key) for override in {*a.overrides} ^ {*b.overrides})


def always_set_by_strategy(key: str, runs: Sequence[Run]) -> bool:
    """Return whether `set_by_strategy` holds for every pair of `runs` that differ in `key`."""
    unequal = (
        (a, b) for a, b in combinations(runs, 2) if a.config.get(key, ABSENT) != b.config.get(key, ABSENT)
    )
    return all(set_by_strategy(a, b, key) for a, b in unequal)


def group(key: str) -> str:
    """Return the config group of a setting."""
    return key.split(".", 1)[0]


def value_text(config: Config, key: str) -> str:
    """Return the value of a setting as it is written in names; of a component, the name of its class."""
    if key not in config and f"{key}._target_" in config:
        key = f"{key}._target_"
    value = config.get(key, ABSENT)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return plain(str(value).rsplit(".", 1)[-1] if key.endswith("_target_") else value, LONGEST_VALUE)


def _may_set(override: str, key: str) -> bool:
    """Return whether an override could have set `key`; an experiment may set any."""
    name = override.split("=", 1)[0].lstrip("+~")
    return name == "experiment" or key == name or key.startswith(f"{name}.")
