"""From records to everything the report says in numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from hetal.report.reading import Run
from hetal.report.statistics import (
    ENOUGH_SEEDS,
    Floats,
    Interval,
    area,
    bca_interval,
    checkpoints,
    effect_size,
    holm,
    labels_to_reach,
    paired_t,
    penalties,
    t_interval,
    wilcoxon,
)

RANDOM = "random"


@dataclass(frozen=True)
class Curve:
    """Mean over seeds against a mean x, with 95% t-intervals: parallel lists."""

    x: list[float]
    mean: list[float]
    low: list[float]
    high: list[float]
    n: list[int]
    seeds: list[list[tuple[float, float]]]


@dataclass(frozen=True)
class Numbers:
    """What one strategy came to in one setting, over its finished runs.

    Accuracies and shares are in [0, 1]; `reach` is labels needed for random's final accuracy at the same seed, over
    the seeds that got there, and `saving` how many fewer than random itself needed.
    """

    setting: str
    label: str
    n: int
    area: Interval
    final: Interval
    clean_share: Interval
    reach: Interval
    reached: int
    saving: Interval
    seconds: dict[str, float]
    peak_memory_mb: float


@dataclass(frozen=True)
class Comparison:
    """Two strategies in one setting, paired by seed: differences in area under the curve, first minus second."""

    setting: str
    first: str
    second: str
    n: int
    difference: Interval
    effect: float
    t: float
    t_holm: float
    wilcoxon: float
    wilcoxon_holm: float
    wins: int
    ties: int
    losses: int


@dataclass(frozen=True)
class Verdict:
    """Who leads a setting, and by how much over the next."""

    setting: str
    leader: str
    second: str | None
    area: float
    comparison: Comparison | None
    beaten: int
    others: int
    n: int

    @property
    def trusted(self) -> bool:
        """Whether there are enough seeds to say anything."""
        return self.n >= ENOUGH_SEEDS


class Setting:
    """All runs of one setting.

    Args:
        name: of the setting.
        runs: by strategy and seed.
    """

    def __init__(self, name: str, runs: Sequence[Run]) -> None:
        self.name = name
        self.runs: dict[str, dict[int, Run]] = defaultdict(dict)
        for run in runs:
            kept = self.runs[run.label].get(run.seed)
            if kept is None or len(run.rounds) > len(kept.rounds):
                self.runs[run.label][run.seed] = run
        done = [run for run in runs if run.summary is not None]
        grids = [tuple(row["n_labelled"] for row in run.rounds) for run in done or runs]
        self.grid = max(set(grids), key=lambda grid: (grids.count(grid), len(grid)))
        self.finished = {
            label: {
                seed: run
                for seed, run in sorted(by_seed.items())
                if run.summary is not None and tuple(row["n_labelled"] for row in run.rounds) == self.grid
            }
            for label, by_seed in sorted(self.runs.items())
        }
        self.accuracy = {
            label: {seed: column(run, "accuracy") for seed, run in by_seed.items()}
            for label, by_seed in self.finished.items()
            if by_seed
        }
        self.area = {
            label: {seed: area(self.grid, curve) for seed, curve in by_seed.items()}
            for label, by_seed in self.accuracy.items()
        }
        rates = [run.summary["base_rate"] for run in done if run.summary is not None]
        self.base_rate = float(rates[0]) if rates else np.nan

    def curve(self, label: str, x: Callable[[Run], Floats], y: Callable[[Run], Floats]) -> Curve:
        """Return a mean curve over all rounds on record, those of unfinished runs included."""
        pairs = [(x(run), y(run)) for _, run in sorted(self.runs[label].items())]
        found = []
        for i in range(max(len(b) for _, b in pairs)):
            there = [(a[i], b[i]) for a, b in pairs if len(b) > i and not np.isnan(b[i])]
            if there:
                ys = np.array([b for _, b in there])
                found.append((float(np.mean([a for a, _ in there])), t_interval(ys), len(there)))
        return Curve(
            x=[at for at, _, _ in found],
            mean=[i.mean for _, i, _ in found],
            low=[i.low for _, i, _ in found],
            high=[i.high for _, i, _ in found],
            n=[n for _, _, n in found],
            seeds=[[(float(p), float(q)) for p, q in zip(a, b, strict=False) if q == q] for a, b in pairs],
        )

    def numbers(self, label: str) -> Numbers:
        """Return what a strategy came to."""
        runs = self.finished.get(label, {})
        random = self.accuracy.get(RANDOM, {})
        reach, saving = [], []
        for seed in runs.keys() & random.keys():
            target = random[seed][-1]
            mine = labels_to_reach(self.grid, self.accuracy[label][seed], target)
            reach.append(mine)
            saving.append(labels_to_reach(self.grid, random[seed], target) - mine)
        got = ~np.isnan(np.array(reach, float))
        shares = [run.summary["queried_clean_share"] for run in runs.values() if run.summary is not None]
        memory = [row.get("peak_memory_mb") for run in runs.values() for row in run.rounds]
        phases: dict[str, list[float]] = defaultdict(list)
        for run in runs.values():
            for row in run.rounds:
                for phase, seconds in row["seconds"].items():
                    phases[phase].append(seconds)
        return Numbers(
            setting=self.name,
            label=label,
            n=len(runs),
            area=bca_interval(np.array(list(self.area.get(label, {}).values()))),
            final=bca_interval(np.array([curve[-1] for curve in self.accuracy.get(label, {}).values()])),
            clean_share=bca_interval(np.array([s for s in shares if s is not None], float)),
            reach=bca_interval(np.array(reach, float)[got]),
            reached=int(got.sum()),
            saving=bca_interval(np.array(saving, float)[got]),
            seconds={phase: float(np.mean(values)) for phase, values in phases.items()},
            peak_memory_mb=max((m for m in memory if m is not None), default=np.nan),
        )

    def comparisons(self) -> list[Comparison]:
        """Compare every pair of strategies; p-values are adjusted for all pairs of the setting."""
        pairs = list(combinations(self.area, 2))
        found = [self.differences(a, b) for a, b in pairs]
        t, w = [paired_t(d) for d in found], [wilcoxon(d) for d in found]
        return [
            Comparison(
                setting=self.name, first=a, second=b, n=len(d), difference=bca_interval(d), effect=effect_size(d),
                t=t[i], t_holm=t_holm, wilcoxon=w[i], wilcoxon_holm=w_holm,
                wins=int((d > 0).sum()), ties=int((d == 0).sum()), losses=int((d < 0).sum()),
            )
            for i, ((a, b), d, t_holm, w_holm) in enumerate(zip(pairs, found, holm(t), holm(w), strict=True))
        ]  # fmt: skip

    def differences(self, first: str, second: str) -> Floats:
        """Return differences in area under the curve over the seeds that both finished."""
        a, b = self.area[first], self.area[second]
        return np.array([a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())])

    def verdict(self, comparisons: Sequence[Comparison]) -> Verdict | None:
        """Say who leads; None where no run is finished."""
        if not self.area:
            return None
        seeds = set.intersection(*(set(by_seed) for by_seed in self.area.values()))
        means = {
            label: float(np.mean([by_seed[s] for s in (seeds or by_seed)]))
            for label, by_seed in self.area.items()
        }
        order = sorted(means, key=lambda label: -means[label])
        leader = order[0]
        mine = [turned(c, leader) for c in comparisons if leader in (c.first, c.second)]
        second = next((c for c in mine if len(order) > 1 and c.second == order[1]), None)
        return Verdict(
            setting=self.name,
            leader=leader,
            second=order[1] if len(order) > 1 else None,
            area=means[leader],
            comparison=second,
            beaten=sum(c.t_holm < 0.05 and c.difference.mean > 0 for c in mine),
            others=len(mine),
            n=second.n if second else len(self.area[leader]),
        )

    def penalties(self) -> dict[tuple[str, str], float]:
        """Return BADGE's pairwise penalties of this setting."""
        random = self.accuracy.get(RANDOM)
        mean = np.mean(list(random.values()), axis=0).tolist() if random else None
        return penalties(self.accuracy, checkpoints(self.grid, mean))


def turned(c: Comparison, first: str) -> Comparison:
    """Return a comparison with `first` on its first side."""
    if c.first == first:
        return c
    mean, low, high = c.difference
    return Comparison(
        c.setting, c.second, c.first, c.n, Interval(-mean, -high, -low), -c.effect,
        c.t, c.t_holm, c.wilcoxon, c.wilcoxon_holm, c.losses, c.ties, c.wins,
    )  # fmt: skip


def column(run: Run, name: str) -> Floats:
    """Return one field of every round; NaN where it is null or missing."""
    return np.array([np.nan if row.get(name) is None else row[name] for row in run.rounds], float)


def labels(run: Run) -> Floats:
    """Return the labels every round was trained on."""
    return column(run, "n_labelled")


def seconds(run: Run) -> Floats:
    """Return wall time in seconds at the end of every round's training."""
    phases = [row["seconds"] for row in run.rounds]
    whole = np.cumsum([sum(p.values()) for p in phases])
    return np.asarray(whole - [sum(p.values()) - p.get("train", 0.0) for p in phases], float)


def clean_labels(run: Run) -> Floats:
    """Return the clean labels bought by queries before every round."""
    bought = np.nan_to_num(column(run, "clean_share") * column(run, "n_bought"))
    return np.concatenate([[0.0], np.cumsum(bought)[:-1]])


def cumulative_share(run: Run) -> Floats:
    """Return the share of clean rows in all that was queried up to and including every round."""
    n = np.cumsum(column(run, "n_bought"))
    share = np.cumsum(np.nan_to_num(column(run, "clean_share") * column(run, "n_bought")))
    return np.where(np.isnan(column(run, "clean_share")), np.nan, share / np.maximum(n, 1))


def distinct_share(run: Run) -> Floats:
    """Return the share of distinct images in every query."""
    return column(run, "n_distinct") / np.maximum(column(run, "n_bought"), 1)


def settings_of(runs: Sequence[Run]) -> list[Setting]:
    """Group runs into their settings."""
    by_setting: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_setting[run.setting].append(run)
    return [Setting(name, members) for name, members in sorted(by_setting.items())]


def mean_ranks(settings: Sequence[Setting]) -> dict[str, float]:
    """Return mean ranks by area under the curve (1 is best) of the strategies that finished in every setting."""
    everywhere = set.intersection(*(set(s.area) for s in settings)) if settings else set()
    if not everywhere:
        return {}
    order = sorted(everywhere)
    means = np.array([[np.mean(list(s.area[label].values())) for label in order] for s in settings])
    from scipy.stats import rankdata

    ranks = rankdata(-means, axis=1).mean(0)
    return dict(sorted(zip(order, map(float, ranks), strict=True), key=lambda item: item[1]))


def total_penalties(settings: Sequence[Setting]) -> Mapping[tuple[str, str], Any]:
    """Return penalties summed over settings."""
    total: dict[tuple[str, str], float] = defaultdict(float)
    for setting in settings:
        for pair, value in setting.penalties().items():
            total[pair] += value
    return total
