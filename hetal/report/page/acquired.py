"""The acquired rows as the page shows them: a table of shares, and bars by class and noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hetal.report.analyse.acquired import Acquired, Counts
from hetal.report.analyse.analysis import Analysis
from hetal.report.analyse.curves import base_rates

# More classes than this are not drawn one by one.
MOST_CLASSES = 40

# Shares that differ by less are equal but for rounding.
SAME = 1e-9


@dataclass(frozen=True)
class Shown:
    """Which shares a table shows: those that are neither constant nor those of another column in all of its rows.

    Attributes:
        clean: not all rows are clean.
        right: a share of right labels is not that of clean rows.
        rejected: a row was rejected.
        distinct: an image was acquired twice.
    """

    clean: bool
    right: bool
    rejected: bool
    distinct: bool


@dataclass(frozen=True)
class Lines:
    """The lines of one setting.

    Attributes:
        setting: name of the setting.
        shown: which shares say something.
        pool: shares of clean rows, right labels and rejected rows in the pool, NaN where not known.
        acquired: by strategy, with the bars of each.
    """

    setting: str
    shown: Shown
    pool: Mapping[str, float]
    acquired: Sequence[tuple[Acquired, Bars]]


@dataclass(frozen=True)
class Bar:
    """One class: its numbers in words, its height, and the clean part of it, both in percent."""

    title: str
    height: float
    clean: float


@dataclass(frozen=True)
class Bars:
    """The classes of the rows that one strategy acquired.

    Attributes:
        title: the most and the least frequent class, in words.
        even: height of an even share, in percent.
        bars: of the first classes.
        more: number of classes without a bar.
    """

    title: str
    even: float
    bars: Sequence[Bar]
    more: int


def bars_of(counts_2C: Counts, classes: Sequence[str] = ()) -> Bars:
    """Return the bars of clean and noisy rows by class; there is a row at least, and a name for each class or none."""
    names = classes or [f"class {i}" for i in range(counts_2C.shape[1])]
    total_C = counts_2C.sum(0)
    n = total_C.sum()
    highest = max(int(total_C.max()), 1)
    bars = []
    for i, total in enumerate(total_C[:MOST_CLASSES]):
        clean = counts_2C[0, i]
        title = f"{names[i]}: {total / n:.1%}, {clean} clean and {total - clean} noisy"
        bars.append(Bar(title, 100 * total / highest, 100 * clean / max(total, 1)))
    most, least = int(total_C.argmax()), int(total_C.argmin())
    return Bars(
        title=f"{names[most]} most, {total_C[most] / n:.0%}; {names[least]} least, {total_C[least] / n:.0%}",
        even=100 * (n / len(total_C)) / highest,
        bars=bars,
        more=max(0, len(total_C) - MOST_CLASSES),
    )


def shown_of(acquired: Sequence[Acquired]) -> Shown:
    """Return which shares say something."""
    apart = [abs(a.right.mean - a.clean.mean) for a in acquired]
    return Shown(
        clean=any(a.clean.mean < 1 - SAME for a in acquired),
        right=any(difference > SAME for difference in apart),
        rejected=any(a.rejected.mean > SAME for a in acquired),
        distinct=any(a.distinct.mean < 1 - SAME for a in acquired),
    )


def lines_of(analysis: Analysis) -> list[Lines]:
    """Return the lines of every setting in which a row was acquired."""
    rates = {setting.name: base_rates(setting) for setting in analysis.study.settings}
    by_setting: dict[str, list[tuple[Acquired, Bars]]] = {}
    for a in analysis.common.acquired:
        by_setting.setdefault(a.setting, []).append((a, bars_of(a.counts_2C, a.classes)))
    return [
        Lines(setting, shown_of([a for a, _ in lines]), rates[setting], lines)
        for setting, lines in by_setting.items()
    ]


def depth(share: float, expected: float) -> float:
    """Return how deeply a share is coloured, in [0, 1]: from what was expected, 0, to three times that."""
    if not expected or math.isnan(share) or math.isnan(expected):
        return 0.0
    return max(0.0, min((share / expected - 1) / 2, 1.0))
