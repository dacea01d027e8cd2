"""Bars of the acquired rows by class and noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hetal.report.analyse.acquired import Counts

# More classes than this are not drawn one by one.
MOST_CLASSES = 40


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
