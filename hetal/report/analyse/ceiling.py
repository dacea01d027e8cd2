"""Ceilings: the measure of networks trained once on all clean labels, a reference for the learning curves.

Such runs are in the same study as the others: `alg=random noise=clean` with `n_start` and `n_end` both the size of the
training set. They make no query, so they belong to no strategy and are set apart before strategies are compared.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hetal.report.analyse.criterion import BY_ACCURACY
from hetal.report.analyse.series import series
from hetal.report.analyse.setting import Setting
from hetal.report.load.records import Run
from hetal.report.stats.intervals import Interval, t_interval

# The groups of the config that a ceiling shares with a run: all but the noise, the strategy and the budget.
SHARED = ("data", "model", "train", "finetune", "threads")

Key = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Ceiling:
    """The measure of networks trained once on `n_labelled` clean rows, over `n` seeds."""

    n_labelled: int
    value: Interval
    n: int


def set_apart(
    runs: Sequence[Run], measure: str = BY_ACCURACY.measure.key
) -> tuple[list[Run], dict[Key, Ceiling]]:
    """Separate the runs that query labels from those that have them all.

    A run is a ceiling where it is finished after its first round, on data without noise, and another run with the same
    data, network and training makes queries. Of several training sets, the largest counts.

    Args:
        runs: of the report.
        measure: key of what is compared, see `hetal.report.analyse.series`; runs without it are no ceilings.

    Returns:
        The runs with queries, and the ceilings by what they share with these, see `key`.
    """
    with_queries = {key(run) for run in runs if not _has_all(run)}
    apart = [run for run in runs if _has_all(run) and key(run) in with_queries]
    by_key: dict[Key, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in apart:
        (value,) = series(run, measure)
        if value == value:
            by_key[key(run)][run.rounds[0]["n_labelled"]].append(float(value))
    ceilings = {}
    for shared, by_size in by_key.items():
        size = max(by_size)
        ceilings[shared] = Ceiling(size, t_interval(np.array(by_size[size])), len(by_size[size]))
    return [run for run in runs if not (_has_all(run) and key(run) in with_queries)], ceilings


def ceiling_of(setting: Setting, ceilings: Mapping[Key, Ceiling]) -> Ceiling | None:
    """Return the one ceiling that holds for runs of `setting`; None where there is none, or several."""
    keys = {key(run) for by_seed in setting.runs.values() for run in by_seed.values()}
    candidates = {ceilings[shared] for shared in keys if shared in ceilings}
    return candidates.pop() if len(candidates) == 1 else None


def key(run: Run) -> Key:
    """Return the part of a run's config that its ceiling must share."""
    return tuple(sorted((k, v) for k, v in run.config.items() if k.split(".")[0] in SHARED))


def _has_all(run: Run) -> bool:
    return run.choices["noise"] == "clean" and run.summary is not None and len(run.rounds) == 1
