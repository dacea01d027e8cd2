"""From records to everything the report says in numbers, one setting at a time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from functools import cached_property

import numpy as np

from hetal.report.analyse.comparisons import compare, decide
from hetal.report.analyse.numbers import numbers_of
from hetal.report.analyse.penalties import penalties
from hetal.report.analyse.results import Comparison, Curve, Numbers, Verdict
from hetal.report.analyse.series import area, column
from hetal.report.load.plain import plain
from hetal.report.load.records import Run
from hetal.report.stats.intervals import Floats, t_intervals


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
            kept = by_label[run.label].get(run.seed, run)
            longer, other = (run, kept) if _progress(run) > _progress(kept) else (kept, run)
            by_label[run.label][run.seed] = longer
            if not _agree(longer, other):
                one, two = (plain(record.folder, None) for record in (longer, other))
                self.notes.append(
                    f"{name}: two records of {run.label} at seed {run.seed} do not agree: {one} counts, "
                    f"{two} is left out"
                )
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
            if run.summary and "base_rate" in run.summary
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
            there = ~(np.isnan(a) | np.isnan(b))
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

    def paired(
        self, first: str, second: str, among: Collection[int] | None = None
    ) -> tuple[tuple[int, ...], Floats, Floats]:
        """Return the labels that two strategies share, and their accuracies there (S, R).

        At the seeds that both finished; of these `among` some, where it is given.
        """
        a, b = self.accuracy[first], self.accuracy[second]
        seeds = sorted(seed for seed in a.keys() & b.keys() if among is None or seed in among)
        grid_a, grid_b = self.grids[first], self.grids[second]
        there_too = {*grid_b}
        shared = tuple(n for n in grid_a if n in there_too)

        def there(curves: dict[int, Floats], grid: tuple[int, ...]) -> Floats:
            whole = np.array([curves[seed] for seed in seeds]).reshape(len(seeds), len(grid))
            place = {n: i for i, n in enumerate(grid)}
            return whole[:, [place[n] for n in shared]]

        return shared, there(a, grid_a), there(b, grid_b)

    @cached_property
    def _numbers(self) -> dict[str, Numbers]:
        return numbers_of(self)

    def comparisons(self) -> list[Comparison]:
        """Compare every pair of strategies, see `hetal.report.analyse.comparisons.compare`."""
        return self._comparisons

    @cached_property
    def _comparisons(self) -> list[Comparison]:
        return compare(self, list(self.area))

    def verdict(self) -> Verdict | None:
        """Say who leads, see `hetal.report.analyse.comparisons.decide`."""
        return decide(self)

    def penalties(self, test: str = "t") -> dict[tuple[str, str], float]:
        """Return BADGE's pairwise penalties of this setting, see `hetal.report.analyse.penalties.penalties`."""
        return penalties(self, test)


def settings_of(runs: Sequence[Run], target: float | None = None) -> list[Setting]:
    """Group runs into their settings; `target` as for `Setting`."""
    by_setting: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_setting[run.setting].append(run)
    return [Setting(name, members, target) for name, members in sorted(by_setting.items())]


def _progress(run: Run) -> tuple[int, bool]:
    return len(run.rounds), run.summary is not None


def _agree(a: Run, b: Run) -> bool:
    both = zip(a.rounds, b.rounds, strict=False)
    return all(x["n_labelled"] == y["n_labelled"] and x["accuracy"] == y["accuracy"] for x, y in both)


def _grid(run: Run) -> tuple[int, ...]:
    return tuple(row["n_labelled"] for row in run.rounds)


def _most(grids: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    counts = Counter(grids)
    return max(counts, key=lambda grid: (counts[grid], len(grid), grid))
