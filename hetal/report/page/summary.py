"""The summary of the page: who leads each setting, by how much, and how reliable that is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hetal.report.analyse.analysis import Analysis
from hetal.report.analyse.criterion import Criterion
from hetal.report.analyse.results import Numbers, Verdict
from hetal.report.page import text
from hetal.report.stats.intervals import ENOUGH_SEEDS
from hetal.report.stats.significance import ALPHA

# With more settings than this, a table says who leads, and the cards are folded away.
MOST_CARDS = 6


@dataclass(frozen=True)
class ForestLine:
    """The interval of one strategy in a card, drawn on the scale of the card.

    Attributes:
        label: the strategy.
        title: its numbers in words.
        value: its mean area.
        left, width, mean: of its interval, in percent of the scale.
        is_apart: whether it differs significantly from the leader; True of a bound, which is not compared.
    """

    label: str
    title: str
    value: str
    left: float
    width: float
    mean: float
    is_apart: bool


@dataclass(frozen=True)
class Card:
    """The summary of one setting.

    Attributes:
        verdict: of the setting.
        state: "sure", "open" or "weak": a significant lead, none, or too few seeds.
        lines: of every strategy, the best first.
        baseline: where the baseline's mean is, in percent of the scale; None without one.
    """

    verdict: Verdict
    state: str
    lines: Sequence[ForestLine]
    baseline: float | None


@dataclass(frozen=True)
class Summary:
    """The summary of all settings.

    Attributes:
        cards: of the settings.
        few: number of settings with too few seeds, and `least` the fewest seeds of these.
        contested: number of settings with two strategies to compare.
        leads: the strategies that lead most settings: their number, and in how many the lead is significant.
        mean_ranks: of the best two strategies over all settings; empty for fewer than three strategies.
        enough_seeds: seeds that a reliable comparison needs.
        is_folded: whether the cards are folded away.
    """

    cards: Sequence[Card]
    few: int
    least: int
    contested: int
    leads: Sequence[tuple[str, int, int]]
    mean_ranks: Sequence[tuple[str, float]]
    enough_seeds: int
    is_folded: bool


def summary_of(analysis: Analysis) -> Summary:
    """Return the summary of an analysis."""
    verdicts = analysis.verdicts
    contested = [v for v in verdicts if v.second]
    lead = Counter(v.leader for v in contested).most_common()
    significant = Counter(v.leader for v in contested if _state(v) == "sure")
    few = [v.n for v in contested if not v.has_enough_seeds]
    ranks = list(analysis.ranking.ranks.items()) if analysis.ranking else []
    looks, criterion = analysis.study.looks, analysis.study.criterion
    return Summary(
        cards=[_card(v, analysis.numbers[v.setting], list(looks), criterion) for v in verdicts],
        few=len(few),
        least=min(few, default=0),
        contested=len(contested),
        leads=[(label, n, significant[label]) for label, n in lead[:3]],
        mean_ranks=ranks[:2] if len(ranks) > 2 else (),
        enough_seeds=ENOUGH_SEEDS,
        is_folded=len(verdicts) > MOST_CARDS,
    )


def _state(v: Verdict) -> str:
    if not v.has_enough_seeds:
        return "weak"
    return "sure" if v.is_significant else "open"


def _card(v: Verdict, by_label: Mapping[str, Numbers], order: Sequence[str], criterion: Criterion) -> Card:
    measure = criterion.measure
    numbers = [by_label[label] for label in order if label in by_label and by_label[label].n]
    ends = [end for n in numbers for end in n.area if not math.isnan(end)]
    low, high = min(ends), max(ends)
    apart = {rival.second for rival in v.rivals if rival.t_holm < ALPHA}

    def at(value: float) -> float:
        return 100 * (value - low) / (high - low or 1)

    lines = []
    for n in sorted(numbers, key=lambda n: -measure.sign * n.area.mean):
        written = text.interval(text.scaled(n.area, measure), measure.decimals)
        mean, left, right = n.area if not math.isnan(n.area.low) else (n.area.mean,) * 3
        lines.append(
            ForestLine(
                label=n.label,
                title=f"{n.label}: {written}, {text.many(n.n, 'seed')}",
                value=text.number(measure.scale * n.area.mean, measure.decimals),
                left=at(left),
                width=at(right) - at(left),
                mean=at(mean),
                is_apart=n.label in apart or not n.competes,
            )
        )
    baseline = by_label.get(criterion.baseline)
    return Card(v, _state(v), lines, at(baseline.area.mean) if baseline and baseline.n else None)
