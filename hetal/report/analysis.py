"""From records to everything the report says in numbers, one setting at a time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import combinations

import numpy as np

from hetal.report.labelling import beyond
from hetal.report.matches import mean_ranks, penalties, total_penalties
from hetal.report.measures import (
    area,
    clean_labels,
    column,
    cumulative_share,
    distinct_share,
    labels,
    labels_to_reach,
    seconds,
)
from hetal.report.reading import Run
from hetal.report.results import Comparison, Curve, Numbers, Verdict, turned
from hetal.report.statistics import (
    ENOUGH_SEEDS,
    Floats,
    bca_intervals,
    effect_size,
    holm,
    paired_t,
    t_intervals,
    wilcoxon,
)

__all__ = [
    "Comparison", "Curve", "Numbers", "Setting", "Verdict", "clean_labels", "column", "cumulative_share",
    "distinct_share", "labels", "mean_ranks", "seconds", "settings_of", "total_penalties", "turned",
]  # fmt: skip

RANDOM = "random"


class Setting:
    """All runs of one setting.

    Args:
        name: of the setting.
        runs: of all strategies and seeds. Of two runs of one strategy at one seed, the longer counts.
        target: accuracy in [0, 1] that labels are counted to; random's final accuracy at the same seed where None.

    Attributes:
        runs: by strategy and seed.
        grids: labels of every round, by strategy.
        grid: that of most strategies.
        finished: as `runs`, of finished ones.
        accuracy: (R,) of every finished run, by strategy and seed.
        area: under each of these.
        base_rate: share of clean rows in the pool; NaN where no run is finished.
        notes: what was left out.
    """

    def __init__(self, name: str, runs: Sequence[Run], target: float | None = None) -> None:
        self.name = name
        self.target = target
        self.notes: list[str] = []
        by_label: dict[str, dict[int, Run]] = defaultdict(dict)
        for run in runs:
            kept = by_label[run.label].get(run.seed)
            if kept is None or _progress(run) > _progress(kept):
                by_label[run.label][run.seed] = run
        self.runs = {label: dict(sorted(seeds.items())) for label, seeds in sorted(by_label.items())}
        self.grids = {label: self._grid(seeds) for label, seeds in self.runs.items()}
        self.finished = {label: self._finished(label) for label in self.runs}
        self.grid = _most(
            [self.grids[label] for label, done in self.finished.items() if done] or [*self.grids.values()]
        )
        self.accuracy = {
            label: {seed: column(run, "accuracy") for seed, run in seeds.items()}
            for label, seeds in self.finished.items()
            if seeds
        }
        self.area = {
            label: {seed: float(area(self.grids[label], curve)) for seed, curve in seeds.items()}
            for label, seeds in self.accuracy.items()
        }
        rates = [
            run.summary["base_rate"]
            for seeds in self.finished.values()
            for run in seeds.values()
            if run.summary
        ]
        self.base_rate = float(rates[0]) if rates else np.nan

    def _grid(self, seeds: dict[int, Run]) -> tuple[int, ...]:
        return _most(
            [_grid(run) for run in seeds.values() if run.summary is not None] or [*map(_grid, seeds.values())]
        )

    def _finished(self, label: str) -> dict[int, Run]:
        done = {seed: run for seed, run in self.runs[label].items() if run.summary is not None}
        odd = [seed for seed, run in done.items() if _grid(run) != self.grids[label]]
        if odd:
            seen = ", ".join(map(str, odd))
            self.notes.append(
                f"{self.name}: {label} was tested at other numbers of labels at seed {seen}: left out"
            )
        return {seed: run for seed, run in done.items() if seed not in odd}

    def curve(
        self, label: str, x: Callable[[Run], Floats], y: Callable[[Run], Floats], single: bool = True
    ) -> Curve:
        """Return a mean curve over all rounds on record, those of unfinished runs included; `single` seeds too."""
        pairs = [(x(run), y(run)) for run in self.runs[label].values()]
        x_SR, y_SR = (np.full((len(pairs), max(len(b) for _, b in pairs)), np.nan) for _ in range(2))
        for i, (a, b) in enumerate(pairs):
            there = ~np.isnan(b)
            x_SR[i, : len(b)][there], y_SR[i, : len(b)][there] = a[there], b[there]
        any_R = ~np.isnan(y_SR).all(0)
        x_SR, y_SR = x_SR[:, any_R], y_SR[:, any_R]
        mean, low, high, n = (found.tolist() for found in t_intervals(y_SR))
        return Curve(
            x=np.nanmean(x_SR, axis=0).tolist() if any_R.any() else [],
            mean=mean, low=low, high=high, n=n,
            seeds=[
                [(p, q) for p, q in zip(a, b, strict=True) if q == q]
                for a, b in zip(x_SR.tolist(), y_SR.tolist(), strict=True)
            ] if single else [],
        )  # fmt: skip

    def numbers(self, label: str) -> Numbers:
        """Return what a strategy came to."""
        return self._numbers[label]

    @cached_property
    def _numbers(self) -> dict[str, Numbers]:
        # All intervals at once, see `bca_intervals`.
        reaching = {label: self._reaching(label) for label in self.finished}
        samples = []
        for label, runs in self.finished.items():
            shares = [run.summary["queried_clean_share"] for run in runs.values() if run.summary is not None]
            curves = self.accuracy.get(label, {}).values()
            reach, saving, reached = reaching[label]
            samples += [
                [*self.area.get(label, {}).values()], [curve[-1] for curve in curves],
                [s for s in shares if s is not None], reach if reached else [], saving if reached else [],
            ]  # fmt: skip
        intervals = iter(bca_intervals([np.array(sample, float) for sample in samples]))
        found = {}
        for label, runs in self.finished.items():
            of_area, final, clean_share, reach_interval, saving_interval = (next(intervals) for _ in range(5))
            memory = [row.get("peak_memory_mb") for run in runs.values() for row in run.rounds]
            reach, saving, reached = reaching[label]
            found[label] = Numbers(
                setting=self.name, label=label, n=len(runs), area=of_area, final=final, clean_share=clean_share,
                reach=reach_interval, reached=reached, saving=saving_interval, seconds=_phases([*runs.values()]),
                peak_memory_mb=max((m for m in memory if m is not None), default=np.nan),
                paired=len(reach), paired_random=len(saving),
            )  # fmt: skip
        return found

    def _reaching(self, label: str) -> tuple[list[float], list[float], int]:
        """Return labels to the target, labels saved over random, and how many seeds got there."""
        random = self.accuracy.get(RANDOM, {})
        reach, saving, reached = [], [], 0
        for seed, curve in self.accuracy.get(label, {}).items():
            if self.target is None and seed not in random:
                continue
            target = self.target if self.target is not None else random[seed][-1]
            mine = labels_to_reach(self.grids[label], curve, target)
            reached += not np.isnan(mine)
            reach.append(float(self.grids[label][-1]) if np.isnan(mine) else mine)
            if seed in random:
                its = labels_to_reach(self.grids[RANDOM], random[seed], target)
                if not np.isnan(its):
                    saving.append(its - reach[-1])
        return reach, saving, reached

    def paired(self, first: str, second: str) -> tuple[tuple[int, ...], Floats, Floats]:
        """Return the labels that two strategies share, and their accuracies there (S, R) at the seeds both finished."""
        a, b = self.accuracy[first], self.accuracy[second]
        seeds = sorted(a.keys() & b.keys())
        grid_a, grid_b = self.grids[first], self.grids[second]
        shared = tuple(n for n in grid_a if n in grid_b)

        def there(curves: dict[int, Floats], grid: tuple[int, ...]) -> Floats:
            whole = np.array([curves[seed] for seed in seeds]).reshape(len(seeds), len(grid))
            return whole[:, [grid.index(n) for n in shared]]

        return shared, there(a, grid_a), there(b, grid_b)

    def differences(self, first: str, second: str) -> Floats:
        """Return differences in area under the curve over the seeds that both finished, on the labels they share."""
        shared, a, b = self.paired(first, second)
        return area(shared, a) - area(shared, b) if shared else np.empty(0)

    def comparisons(self) -> list[Comparison]:
        """Compare every pair of strategies; p-values are adjusted for all pairs of the setting."""
        return self._comparisons

    @cached_property
    def _comparisons(self) -> list[Comparison]:
        pairs = list(combinations(self.area, 2))
        areas, finals, shared = [], [], []
        for first, second in pairs:
            grid, a, b = self.paired(first, second)
            areas.append(area(grid, a) - area(grid, b) if grid else np.empty(0))
            finals.append(a[:, -1] - b[:, -1] if grid else np.empty(0))
            shared.append(len(grid))
        t = [float(paired_t(d[None])[0]) for d in areas]
        w = [float(wilcoxon(d[None])[0]) for d in areas]
        of_area, of_final = bca_intervals(areas), bca_intervals(finals)
        t_holm, w_holm = holm(t), holm(w)
        found = []
        for i, (first, second) in enumerate(pairs):
            d = np.round(areas[i], 12)
            found.append(Comparison(
                setting=self.name, first=first, second=second, n=len(d), difference=of_area[i],
                effect=effect_size(d), t=t[i], t_holm=t_holm[i], wilcoxon=w[i], wilcoxon_holm=w_holm[i],
                wins=int((d > 0).sum()), ties=int((d == 0).sum()), losses=int((d < 0).sum()),
                final=of_final[i], shared=shared[i], beyond=beyond(self.finished[first], self.finished[second]),
            ))  # fmt: skip
        return found

    def verdict(self, comparisons: Sequence[Comparison]) -> Verdict | None:
        """Say who leads; None where no run is finished.

        A strategy of which too few seeds are finished yet waits, so that it does not reduce the others to its own.
        """
        if not self.area:
            return None
        most = max(map(len, self.area.values()))
        ready = [label for label, seeds in self.area.items() if len(seeds) >= min(ENOUGH_SEEDS, most)]
        common = set.intersection(*(set(self.area[label]) for label in ready))
        means = {label: float(np.mean([a for s, a in self.area[label].items() if not common or s in common]))
                 for label in ready}  # fmt: skip
        order = sorted(means, key=lambda label: (-means[label], label))
        leader, second = order[0], order[1] if len(order) > 1 else None
        mine = [turned(c, leader) for c in comparisons if leader in (c.first, c.second)]
        mine = [c for c in mine if c.second in ready]
        return Verdict(
            setting=self.name, leader=leader, second=second, area=means[leader],
            comparison=next((c for c in mine if c.second == second), None),
            beaten=sum(c.t_holm < 0.05 and c.difference.mean > 0 for c in mine),
            others=len(mine), n=len(common), waiting=tuple(sorted(self.area.keys() - set(ready))),
        )  # fmt: skip

    def penalties(self, test: str = "t") -> dict[tuple[str, str], float]:
        """Return BADGE's pairwise penalties of this setting, see `hetal.report.matches.penalties`."""
        return penalties(self, test)


def settings_of(runs: Sequence[Run], target: float | None = None) -> list[Setting]:
    """Group runs into their settings; `target` as for `Setting`."""
    by_setting: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_setting[run.setting].append(run)
    return [Setting(name, members, target) for name, members in sorted(by_setting.items())]


def _progress(run: Run) -> tuple[int, bool]:
    return len(run.rounds), run.summary is not None


def _grid(run: Run) -> tuple[int, ...]:
    return tuple(row["n_labelled"] for row in run.rounds)


def _most(grids: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    counts = Counter(grids)
    return max(counts, key=lambda grid: (counts[grid], len(grid), grid))


def _phases(runs: Sequence[Run]) -> dict[str, float]:
    phases: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        for row in run.rounds:
            for phase, value in row["seconds"].items():
                phases[phase].append(value)
    return {phase: float(np.mean(values)) for phase, values in phases.items()}
