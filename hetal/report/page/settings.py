"""Strategies over all settings: wins, ties and losses, and a heat map of areas against the baseline."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hetal.report.analyse.analysis import Analysis
from hetal.report.analyse.results import turned
from hetal.report.page import text
from hetal.report.stats.significance import ALPHA

# With more settings than this, or strategies, the heat map has whole numbers only.
MOST_WITH_DECIMALS = 14


@dataclass(frozen=True)
class Record:
    """How often a strategy beat another in a setting.

    Attributes:
        label: the strategy.
        wins, ties, losses: settings and rivals that it is significantly ahead of, by Holm's adjusted t-test at 0.05;
            does not differ from; and is behind.
        best: settings in which it has the best mean.
    """

    label: str
    wins: int
    ties: int
    losses: int
    best: int


@dataclass(frozen=True)
class HeatCell:
    """The mean area of a strategy in a setting.

    Attributes:
        text: rounded.
        title: in words.
        depth: how far it is from the baseline, in [0, 1], of the largest such distance.
        is_better: whether it is the better of the two.
        is_best: whether it is the best of the setting.
        is_apart: whether it differs significantly from the baseline.
    """

    text: str
    title: str
    depth: float
    is_better: bool
    is_best: bool
    is_apart: bool


@dataclass(frozen=True)
class HeatMap:
    """Areas of strategies in settings.

    Attributes:
        labels: strategies, by mean rank over the settings that each is in.
        rows: by setting.
        has_baseline: whether colours are against the baseline; else against the mean of the setting.
    """

    labels: Sequence[str]
    rows: Mapping[str, Mapping[str, HeatCell]]
    has_baseline: bool


def records_of(analysis: Analysis) -> list[Record]:
    """Return wins, ties and losses of every contender over all settings, those with most wins over losses first."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for comparisons in analysis.comparisons.values():
        for pair in comparisons:
            if pair.n < 2:
                continue
            for c in (pair, turned(pair, pair.second)):
                is_apart = c.t_holm < ALPHA
                counts[c.first][0 if is_apart and c.is_ahead else 2 if is_apart else 1] += 1
    for name in analysis.numbers:
        if best := _best(analysis, name):
            counts[best][3] += 1
    records = [Record(label, *numbers) for label, numbers in counts.items()]
    return sorted(records, key=lambda r: (r.losses - r.wins, -r.best, r.label))


def heat_map(analysis: Analysis) -> HeatMap:
    """Return the heat map of an analysis."""
    criterion = analysis.study.criterion
    measure = criterion.measure
    numbers = {name: {label: n for label, n in of.items() if n.n} for name, of in analysis.numbers.items()}
    numbers = {name: of for name, of in numbers.items() if of}
    has_baseline = all(criterion.baseline in of for of in numbers.values())
    labels = _by_mean_rank(analysis, numbers)
    digits = (
        measure.decimals
        if max(len(labels), len(numbers)) <= MOST_WITH_DECIMALS
        else max(measure.decimals - 1, 0)
    )
    distance: dict[tuple[str, str], float] = {}
    for name, of in numbers.items():
        middle = (
            of[criterion.baseline].area.mean
            if has_baseline
            else sum(n.area.mean for n in of.values()) / len(of)
        )
        distance |= {(name, label): measure.sign * (n.area.mean - middle) for label, n in of.items()}
    most = max((abs(d) for d in distance.values()), default=0.0) or 1.0
    rows = {}
    for name, of in numbers.items():
        apart = {
            c.second
            for pair in analysis.comparisons[name]
            if criterion.baseline in (pair.first, pair.second)
            for c in [turned(pair, criterion.baseline)]
            if c.t_holm < ALPHA
        }
        best = _best(analysis, name)
        rows[name] = {
            label: HeatCell(
                text=text.number(measure.scale * of[label].area.mean, digits),
                title=f"{label}, {name}: {text.interval(text.scaled(of[label].area, measure), measure.decimals)}, "
                f"{text.many(of[label].n, 'seed')}",
                depth=abs(distance[name, label]) / most,
                is_better=distance[name, label] > 0,
                is_best=label == best,
                is_apart=label in apart or not has_baseline,
            )
            for label in labels
            if label in of
        }
    return HeatMap(labels, rows, has_baseline)


def _best(analysis: Analysis, setting: str) -> str | None:
    """Return the strategy with the best mean in a setting, bounds left out."""
    sign = analysis.study.criterion.measure.sign
    known = {
        label: sign * n.area.mean for label, n in analysis.numbers[setting].items() if n.n and n.competes
    }
    return max(known, key=lambda label: known[label], default=None)


def _by_mean_rank(analysis: Analysis, numbers: Mapping[str, Mapping[str, object]]) -> list[str]:
    """Return strategies by their mean rank over the settings they are in, each a share of its strategies."""
    sign = analysis.study.criterion.measure.sign
    shares: dict[str, list[float]] = defaultdict(list)
    for name in numbers:
        of = {label: n for label, n in analysis.numbers[name].items() if n.n}
        order = sorted(of, key=lambda label: -sign * of[label].area.mean)
        for place, label in enumerate(order):
            shares[label].append(place / max(len(order) - 1, 1))
    return sorted(shares, key=lambda label: (sum(shares[label]) / len(shares[label]), label))
