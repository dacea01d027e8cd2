"""The runs of one setting, by strategy and seed."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean

import numpy as np

from hetal.report.analyse.criterion import BY_ACCURACY, Criterion
from hetal.report.analyse.pools import PoolShares, pool_shares
from hetal.report.analyse.series import series
from hetal.report.load.labelling import noise_of
from hetal.report.load.printable import plain
from hetal.report.load.records import Run
from hetal.report.stats.curves import aulc
from hetal.report.stats.intervals import Floats

# Labels of every round.
Grid = tuple[int, ...]
BySeed = Mapping[int, Run]


@dataclass(frozen=True, eq=False)
class Setting:
    """All runs of one setting, up to the number of labels that all finished ones have.

    Attributes:
        name: of the setting.
        criterion: what strategies are compared by.
        runs: by strategy and seed; of two runs of one strategy at one seed, the longer.
        grids: by strategy with a finished run, the numbers of labels at which its measure is known, up to `end`.
        grid: the most frequent one among the strategies.
        finished: as `runs`, only those that are finished, and have the grid of their strategy.
        curves: (R,) the measure of every finished run, by strategy and seed, on the grid of its strategy.
        area: under the curve of each, see `hetal.report.stats.curves.aulc`.
        base_rate: share of clean rows in the pool, the mean over seeds; NaN where no run is finished.
        pool: what else is known of the pool.
        left_out: sentences on records that are not compared.
        cut: a sentence on runs that go on beyond the labels that all have; empty where none do.
    """

    name: str
    criterion: Criterion
    runs: Mapping[str, BySeed]
    grids: Mapping[str, Grid]
    grid: Grid
    finished: Mapping[str, BySeed]
    curves: Mapping[str, Mapping[int, Floats]]
    area: Mapping[str, Mapping[int, float]]
    base_rate: float
    left_out: tuple[str, ...] = ()
    cut: str = ""
    pool: PoolShares = field(default_factory=PoolShares)

    @property
    def contenders(self) -> list[str]:
        """The strategies with finished runs that are compared: all but bounds, where there are others."""
        bounds = {label for label, seeds in self.runs.items() if any(run.is_bound for run in seeds.values())}
        return [label for label in self.area if label not in bounds] or [*self.area]

    @property
    def facets(self) -> dict[str, str]:
        """Names of data, noise and network."""
        run = next(iter(next(iter(self.runs.values())).values()))
        return {"data": run.choices["data"], "noise": noise_of(run), "network": run.choices["model"]}


def settings_of(runs: Sequence[Run], criterion: Criterion = BY_ACCURACY) -> list[Setting]:
    """Group labelled runs into their settings, sorted by name, see `in_order`."""
    by_setting: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_setting[run.setting].append(run)
    return [setting_of(name, by_setting[name], criterion) for name in sorted(by_setting, key=in_order)]


def in_order(name: str) -> tuple[list[str | float], str]:
    """Return what names are sorted by: numbers in them count as numbers, so that 16 comes after 2."""
    parts = re.split(r"(\d+(?:\.\d+)?)", name)
    return [float(part) if i % 2 else part for i, part in enumerate(parts)], name


def setting_of(name: str, members: Sequence[Run], criterion: Criterion = BY_ACCURACY) -> Setting:
    """Return the setting of some runs."""
    left_out: list[str] = []
    runs = _longest(name, members, left_out)
    done = {
        label: kept
        for label, seeds in runs.items()
        if (kept := _reaching_the_end(name, label, seeds, left_out))
    }
    ends = {label: min(map(_end, seeds.values())) for label, seeds in done.items()}
    bounds = {label for label, seeds in done.items() if any(run.is_bound for run in seeds.values())}
    taking_part = {label: seeds for label, seeds in done.items() if label not in bounds} or done
    end = _end_of_all(taking_part, {label: ends[label] for label in taking_part})
    for label in [label for label in done if ends[label] < end]:
        left_out.append(f"{name}: {label} ends at {ends[label]:,} labels, before {end:,}: left out")
        del done[label]
    curves, grids, finished = {}, {}, {}
    for label, seeds in done.items():
        of_seeds = {seed: _curve(run, criterion, end) for seed, run in seeds.items()}
        if not (of_seeds := {seed: one for seed, one in of_seeds.items() if one[0]}):
            continue
        grids[label] = _most_frequent([grid for grid, _ in of_seeds.values()])
        odd = [seed for seed, (grid, _) in of_seeds.items() if grid != grids[label]]
        if odd:
            at = ", ".join(map(str, odd))
            left_out.append(f"{name}: {label} was tested at other numbers of labels at seed {at}: left out")
        curves[label] = {seed: curve for seed, (_, curve) in of_seeds.items() if seed not in odd}
        finished[label] = {seed: seeds[seed] for seed in curves[label]}
    rates = {
        seed: float(run.summary["base_rate"])
        for seeds in finished.values()
        for seed, run in seeds.items()
        if run.summary and "base_rate" in run.summary
    }
    return Setting(
        name=name,
        criterion=criterion,
        runs=runs,
        grids=grids,
        grid=_most_frequent([*grids.values()]) if grids else (),
        finished={label: finished.get(label, {}) for label in runs},
        curves=curves,
        area={
            label: {seed: float(aulc(grids[label], curve)) for seed, curve in seeds.items()}
            for label, seeds in curves.items()
        },
        base_rate=mean(rates.values()) if rates else np.nan,
        left_out=tuple(left_out),
        cut=_cut(name, done, {label: ends[label] for label in done}, end),
        pool=pool_shares(members),
    )


def paired_curves(
    setting: Setting, first: str, second: str, among: Collection[int] | None = None
) -> tuple[Grid, Floats, Floats]:
    """Return the numbers of labels that two strategies share, and their curves there (S, R).

    Args:
        setting: in which both have finished runs.
        first: a strategy.
        second: another.
        among: the seeds to take, as far as both have finished them; all unless given.
    """
    a, b = setting.curves[first], setting.curves[second]
    seeds = sorted(seed for seed in a.keys() & b.keys() if among is None or seed in among)
    grid_a, grid_b = setting.grids[first], setting.grids[second]
    in_b = {*grid_b}
    shared = tuple(n for n in grid_a if n in in_b)

    def at_shared(curves: Mapping[int, Floats], grid: Grid) -> Floats:
        curve_SR = np.array([curves[seed] for seed in seeds]).reshape(len(seeds), len(grid))
        index = {n: i for i, n in enumerate(grid)}
        return curve_SR[:, [index[n] for n in shared]]

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


def _reaching_the_end(name: str, label: str, runs: BySeed, left_out: list[str]) -> dict[int, Run]:
    """Return the finished runs of a strategy that go as far as most of them do; note the others."""
    done = {seed: run for seed, run in runs.items() if run.summary is not None}
    counts = Counter(_end(run) for run in done.values())
    end = max(counts, key=lambda n: (counts[n], n), default=0)
    short = [seed for seed, run in done.items() if _end(run) < end]
    if short:
        left_out.append(
            f"{name}: {label} ended before {end:,} labels at seed {', '.join(map(str, short))}: left out"
        )
    return {seed: run for seed, run in done.items() if seed not in short}


def _end_of_all(done: Mapping[str, BySeed], ends: Mapping[str, int]) -> int:
    """Return the most labels that all strategies were tested with; of those without two in common, the least end."""
    least = min(ends.values(), default=0)
    grids = [
        {*_most_frequent([tuple(row["n_labelled"] for row in run.rounds) for run in seeds.values()])}
        for seeds in done.values()
    ]
    common = sorted(n for n in set.intersection(*grids) if n <= least) if grids else []
    return common[-1] if len(common) > 1 else least


def _cut(name: str, done: Mapping[str, BySeed], ends: Mapping[str, int], end: int) -> str:
    """Say which runs go on beyond the labels that are compared; empty where none do."""
    last = max((_end(run) for seeds in done.values() for run in seeds.values()), default=0)
    if last == end:
        return ""
    first = [label for label, n in ends.items() if n == end]
    who = first[0] if len(first) == 1 else f"{len(first)} strategies"
    ends_there = (
        f"where {who} end{'s' * (len(first) == 1)}" if 0 < len(first) < len(ends) else "which all have"
    )
    return f"{name}: compared up to {end:,} labels, {ends_there}; others go on, to {last:,} at most"


def _curve(run: Run, criterion: Criterion, end: int) -> tuple[Grid, Floats]:
    """Return the numbers of labels up to `end` at which the measure of a run is known, and its values there."""
    values = series(run, criterion.measure.key)
    at = [
        i
        for i, (row, value) in enumerate(zip(run.rounds, values, strict=True))
        if row["n_labelled"] <= end and value == value
    ]
    return tuple(run.rounds[i]["n_labelled"] for i in at), values[at]


def _end(run: Run) -> int:
    """Return the labels of the last round of a run."""
    return int(run.rounds[-1]["n_labelled"])


def _progress(run: Run) -> tuple[int, bool]:
    return len(run.rounds), run.summary is not None


def _agree(a: Run, b: Run) -> bool:
    both = zip(a.rounds, b.rounds, strict=False)
    return all(x["n_labelled"] == y["n_labelled"] and x["accuracy"] == y["accuracy"] for x, y in both)


def _most_frequent(grids: Sequence[Grid]) -> Grid:
    counts = Counter(grids)
    return max(counts, key=lambda grid: (counts[grid], len(grid), grid))
