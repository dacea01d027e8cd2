"""Measures of the user's own that records hold: their names and the ranges of their values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from hetal.record.schema import LARGEST
from hetal.report.load.records import Run

# What the keys of such measures begin with.
OWN = "measures/"

# Of more names than this the most frequent are read; a round holds fewer.
MOST = 50


def own_value(row: Mapping[str, Any], name: str) -> float | None:
    """Return the value of a measure in a round; None where it has none, or no number that a record can hold."""
    value: Any = (row.get("measures") or {}).get(name)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) <= LARGEST else None


def own_ranges(runs: Iterable[Run]) -> dict[str, tuple[float, float]]:
    """Return the smallest and the largest value of each measure, by name and sorted."""
    counts: Counter[str] = Counter()
    ranges: dict[str, tuple[float, float]] = {}
    for row in (row for run in runs for row in run.rounds if row.get("measures")):
        for name in row["measures"]:
            if (value := own_value(row, name)) is not None:
                low, high = ranges.get(name, (value, value))
                counts[name] += 1
                ranges[name] = min(low, value), max(high, value)
    most = sorted(counts, key=lambda name: (-counts[name], name))[:MOST]
    return {name: ranges[name] for name in sorted(most)}
