"""Kinds of rows in what queries acquired: clean ones, and those of each noise where a pool has several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hetal.report.analyse.acquired import over_seeds
from hetal.report.analyse.pools import CLEAN
from hetal.report.analyse.setting import Setting
from hetal.report.analyse.styles import Looks
from hetal.report.load.records import Run
from hetal.report.stats.intervals import Interval

#: Of more kinds than this, the last are counted as one.
MOST_KINDS = 9
OTHERS = "others"


@dataclass(frozen=True)
class Kinds:
    """Shares of kinds of rows in one setting, in [0, 1].

    Attributes:
        setting: name of the setting.
        names: "clean", and those of each noise.
        pool: of all rows of the pool, by kind; empty where not known.
        queried: of all rows that queries acquired, by strategy and kind.
    """

    setting: str
    names: Sequence[str]
    pool: Mapping[str, float]
    queried: Mapping[str, Mapping[str, Interval]]


def kinds_by(settings: Sequence[Setting], looks: Looks) -> list[Kinds]:
    """Return the kinds of rows of every setting whose pool has more than one kind of noise, in numbers of rows.

    Args:
        settings: of the report.
        looks: gives the order of strategies.
    """
    found = []
    for setting in settings:
        counts = {label: [_counts(run) for run in runs.values()] for label, runs in setting.runs.items()}
        bought = [kind for runs in counts.values() for run in runs for kind, n in run.items() if n]
        names = list(dict.fromkeys([CLEAN, *setting.pool.kinds, *bought]))
        if len(names) <= 2:
            continue
        shown, rest = names[:MOST_KINDS], names[MOST_KINDS:]
        kinds = [*shown, *([OTHERS] if rest else [])]
        queried = {}
        for label in (label for label in looks if label in counts):
            runs = [_shares(run, rest) for run in counts[label] if run]
            if runs:
                queried[label] = {kind: over_seeds(run.get(kind, 0.0) for run in runs) for kind in kinds}
        if queried:
            found.append(Kinds(setting.name, kinds, _shares(setting.pool.kinds, rest), queried))
    return found


def _shares(counts: Mapping[str, float], rest: Sequence[str]) -> dict[str, float]:
    """Return shares by kind, those of `rest` also together; {} of nothing."""
    total = sum(counts.values())
    together = {OTHERS: sum(counts.get(name, 0) for name in rest)} if rest else {}
    return {name: n / total for name, n in {**counts, **together}.items()} if total else {}


def _counts(run: Run) -> dict[str, int]:
    """Return how many rows of each kind the queries of a run acquired; {} where it does not say so."""
    total: dict[str, int] = {}
    for row in run.rounds:
        for kind, n in (row.get("bought_per_kind") or {}).items():
            total[kind] = total.get(kind, 0) + n
    return total
