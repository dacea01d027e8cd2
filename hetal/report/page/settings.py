"""Strategies over all settings: wins, ties and losses, and a heat map of areas against the baseline."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hetal.report.analyse.analysis import Analysis
from hetal.report.analyse.heat import heat_of
from hetal.report.analyse.results import Comparison, turned
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
        is_apart: whether it differs significantly from the baseline, or was not tested against it.
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
        labels: strategies, as in `hetal.report.analyse.heat.Heat`.
        rows: by setting, those of the strategies that finished in it.
        against: what colours are against, in words.
        is_dense: whether cells are small.
    """

    labels: Sequence[str]
    rows: Mapping[str, Mapping[str, HeatCell]]
    against: str
    is_dense: bool


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


def heat_map(analysis: Analysis) -> HeatMap | None:
    """Return the heat map of an analysis; None of fewer than three strategies or two settings."""
    criterion = analysis.study.criterion
    measure = criterion.measure
    heat = heat_of(analysis.study)
    if heat is None:
        return None
    is_dense = max(len(heat.strategies), len(heat.settings)) > MOST_WITH_DECIMALS
    digits = max(measure.decimals - is_dense, 0)
    most = float(np.nanmax(np.abs(heat.lead_LP), initial=0.0)) or 1.0
    rows: dict[str, dict[str, HeatCell]] = {name: {} for name in heat.settings}
    for j, name in enumerate(heat.settings):
        level = _level_with(criterion.baseline, analysis.comparisons[name])
        for i, label in enumerate(heat.strategies):
            n = analysis.numbers[name].get(label)
            if n is None or not n.n:
                continue
            lead = float(np.nan_to_num(heat.lead_LP[i, j]))
            written = text.interval(text.scaled(n.area, measure), measure.decimals)
            rows[name][label] = HeatCell(
                text=text.number(measure.scale * n.area.mean, digits),
                title=f"{label}, {name}: {written}, {text.many(n.n, 'seed')}",
                depth=abs(lead) / most,
                is_better=lead > 0,
                is_best=bool(heat.is_best_LP[i, j]),
                is_apart=label not in level,
            )
    return HeatMap(heat.strategies, rows, heat.against, is_dense)


def _level_with(baseline: str, comparisons: Sequence[Comparison]) -> set[str]:
    """Return the strategies of a setting that were tested against the baseline, and do not differ significantly."""
    return {
        turned(pair, baseline).second
        for pair in comparisons
        if baseline in (pair.first, pair.second) and pair.t_holm >= ALPHA
    }


def _best(analysis: Analysis, setting: str) -> str | None:
    """Return the strategy with the best mean in a setting, bounds left out."""
    sign = analysis.study.criterion.measure.sign
    known = {
        label: sign * n.area.mean for label, n in analysis.numbers[setting].items() if n.n and n.competes
    }
    return max(known, key=lambda label: known[label], default=None)
