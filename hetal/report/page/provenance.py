"""Provenance of the runs: what computed them, the settings that vary and those that all share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from hetal.report.load.configs import differing
from hetal.report.load.records import Run

# Values that are listed of one setting, and of one fact about what computed the runs.
MOST_VALUES, MOST_MAKERS = 12, 6


@dataclass(frozen=True)
class Provenance:
    """The provenance of some runs.

    Attributes:
        made_by: versions, commits and machines, each with its values and how many runs have them.
        varying: settings that vary, each with its values and how many more there are.
        shared: settings that all runs share, each with its value.
    """

    made_by: Sequence[tuple[str, Sequence[tuple[str, int]], bool]]
    varying: Sequence[tuple[str, str, int]]
    shared: Sequence[tuple[str, str]]


def provenance_of(runs: Sequence[Run]) -> Provenance:
    """Return the provenance of some runs."""
    made_by: dict[str, Counter[str]] = {}
    for run in runs:
        machine = {
            "CPU": run.machine.get("cpu", "not known"),
            "system": run.machine.get("system", "not known"),
        }
        for key, value in {**run.made_by, "commit": run.commit or "none", **machine}.items():
            made_by.setdefault(key, Counter())[str(value)] += 1
    configs = [run.config for run in runs]
    varying = set(differing(configs))
    return Provenance(
        made_by=[(key, c.most_common(MOST_MAKERS), len(c) > 1) for key, c in made_by.items()],
        varying=[(key, *_values([c.get(key) for c in configs])) for key in sorted(varying)],
        shared=[(k, str(v)) for k, v in sorted((configs[0] if configs else {}).items()) if k not in varying],
    )


def _values(values: Sequence[object]) -> tuple[str, int]:
    unique = list(dict.fromkeys("absent" if value is None else str(value) for value in values))
    return ", ".join(unique[:MOST_VALUES]), max(0, len(unique) - MOST_VALUES)
