"""The runs of one setting, by strategy and seed."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean

import numpy as np

from hetal.report.analyse.pools import PoolShares, pool_shares
from hetal.report.analyse.series import column
from hetal.report.load.labelling import noise_of
from hetal.report.load.printable import plain
from hetal.report.load.records import Run
from hetal.report.stats.curves import aulc
from hetal.report.stats.intervals import Floats

# The strategy that all others are measured against.
RANDOM = "random"

# Labels of every round.
Grid = tuple[int, ...]
BySeed = Mapping[int, Run]


@dataclass(frozen=True, eq=False)
class Setting:
    """All runs of one setting.

    Attributes:
        name: of the setting.
        target: accuracy in [0, 1] that labels are counted to; None for random's final accuracy at the same seed.
        runs: by strategy and seed; of two runs of one strategy at one seed, the longer.
        grids: by strategy, the most frequent one among its seeds.
        grid: the most frequent one among the strategies.
        finished: as `runs`, only those that are finished and have the grid of their strategy.
        accuracy: (R,) of every finished run, by strategy and seed.
        aulc: area under the learning curve of each, see `hetal.report.stats.curves.aulc`.
        base_rate: share of clean rows in the pool, the mean over seeds; NaN where no run is finished.
        pool: what else is known of the pool.
        left_out: sentences on records that are not compared.
    """

    name: str
    target: float | None
    runs: Mapping[str, BySeed]
    grids: Mapping[str, Grid]
    grid: Grid
    finished: Mapping[str, BySeed]
    accuracy: Mapping[str, Mapping[int, Floats]]
    aulc: Mapping[str, Mapping[int, float]]
    base_rate: float
    left_out: tuple[str, ...] = ()
    pool: PoolShares = field(default_factory=PoolShares)

    @property
    def contenders(self) -> list[str]:
        """The strategies with finished runs that are compared: all but bounds, where there are others."""
        bounds = {label for label, seeds in self.runs.items() if any(run.is_bound for run in seeds.values())}
        return [label for label in self.aulc if label not in bounds] or [*self.aulc]

    @property
    def facets(self) -> dict[str, str]:
        """Names of data, noise and network."""
        run = next(iter(next(iter(self.runs.values())).values()))
        return {"data": run.choices["data"], "noise": noise_of(run), "network": run.choices["model"]}


def settings_of(runs: Sequence[Run], target: float | None = None) -> list[Setting]:
    """Group labelled runs into their settings, sorted by name, see `in_order`; `target` as in `Setting`."""
    by_setting: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_setting[run.setting].append(run)
    return [setting_of(name, by_setting[name], target) for name in sorted(by_setting, key=in_order)]


def in_order(name: str) -> tuple[list[str | float], str]:
    """Return what names are sorted by: numbers in them count as numbers, so that 16 comes after 2."""
    parts = re.split(r"(\d+(?:\.\d+)?)", name)
    return [float(part) if i % 2 else part for i, part in enumerate(parts)], name


def setting_of(name: str, members: Sequence[Run], target: float | None = None) -> Setting:
    """Return the setting of some runs; `target` as in `Setting`."""
    left_out: list[str] = []
    runs = _longest(name, members, left_out)
    grids = {label: _grid_of(seeds.values()) for label, seeds in runs.items()}
    finished = {label: _finished(name, label, runs[label], grids[label], left_out) for label in runs}
    of_finished = [grids[label] for label, seeds in finished.items() if seeds]
    accuracy = {
        label: {seed: column(run, "accuracy") for seed, run in seeds.items()}
        for label, seeds in finished.items()
        if seeds
    }
    rates = {
        seed: float(run.summary["base_rate"])
        for seeds in finished.values()
        for seed, run in seeds.items()
        if run.summary and "base_rate" in run.summary
    }
    return Setting(
        name=name,
        target=target,
        runs=runs,
        grids=grids,
        grid=_most_frequent(of_finished or [*grids.values()]),
        finished=finished,
        accuracy=accuracy,
        aulc={
            label: {seed: float(aulc(grids[label], curve)) for seed, curve in seeds.items()}
            for label, seeds in accuracy.items()
        },
        base_rate=mean(rates.values()) if rates else np.nan,
        left_out=tuple(left_out),
        pool=pool_shares(members),
    )


def paired_accuracy(
    setting: Setting, first: str, second: str, among: Collection[int] | None = None
) -> tuple[Grid, Floats, Floats]:
    """Return the numbers of labels that two strategies share, and their accuracies there (S, R).

    Args:
        setting: in which both have finished runs.
        first: a strategy.
        second: another.
        among: the seeds to take, as far as both have finished them; all unless given.
    """
    a, b = setting.accuracy[first], setting.accuracy[second]
    seeds = sorted(seed for seed in a.keys() & b.keys() if among is None or seed in among)
    grid_a, grid_b = setting.grids[first], setting.grids[second]
    in_b = {*grid_b}
    shared = tuple(n for n in grid_a if n in in_b)

    def at_shared(curves: Mapping[int, Floats], grid: Grid) -> Floats:
        accuracy_SR = np.array([curves[seed] for seed in seeds]).reshape(len(seeds), len(grid))
        index = {n: i for i, n in enumerate(grid)}
        return accuracy_SR[:, [index[n] for n in shared]]

    return shared, at_shared(a, grid_a), at_shared(b, grid_b)


def _longest(name: str, members: Sequence[Run], left_out: list[str]) -> dict[str, dict[int, Run]]:
    """Return runs by strategy and seed, the longest of each; note those that disagree with it."""
    by_label: dict[str, dict[int, Run]] = defaultdict(dict)
    for run in members:
        kept = by_label[run.label].get(run.seed, run)
        longer, other = (run, kept) if _progress(run) > _progress(kept) else (kept, run)
        by_label[run.label][run.seed] = longer
        if not _agree(longer, other):
            one, two = (plain(record.folder, None) for record in (longer, other))
            left_out.append(
                f"{name}: two records of {run.label} at seed {run.seed} do not agree: {one} counts, {two} is left out"
            )
    return {label: dict(sorted(seeds.items())) for label, seeds in sorted(by_label.items())}


def _finished(name: str, label: str, runs: BySeed, grid: Grid, left_out: list[str]) -> dict[int, Run]:
    """Return the finished runs on the strategy's grid; note the others."""
    done = {seed: run for seed, run in runs.items() if run.summary is not None}
    odd = [seed for seed, run in done.items() if _grid(run) != grid]
    if odd:
        seeds = ", ".join(map(str, odd))
        left_out.append(f"{name}: {label} was tested at other numbers of labels at seed {seeds}: left out")
    return {seed: run for seed, run in done.items() if seed not in odd}


def _progress(run: Run) -> tuple[int, bool]:
    return len(run.rounds), run.summary is not None


def _agree(a: Run, b: Run) -> bool:
    both = zip(a.rounds, b.rounds, strict=False)
    return all(x["n_labelled"] == y["n_labelled"] and x["accuracy"] == y["accuracy"] for x, y in both)


def _grid(run: Run) -> Grid:
    return tuple(row["n_labelled"] for row in run.rounds)


def _grid_of(runs: Collection[Run]) -> Grid:
    return _most_frequent([_grid(run) for run in runs if run.summary is not None] or [*map(_grid, runs)])


def _most_frequent(grids: Sequence[Grid]) -> Grid:
    counts = Counter(grids)
    return max(counts, key=lambda grid: (counts[grid], len(grid), grid))
