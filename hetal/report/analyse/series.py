"""Series over the rounds of one run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hetal.record.measures import MEASURES, OF_A_ROUND
from hetal.record.schema import LARGEST
from hetal.report.load.own import OWN, own_value
from hetal.report.load.records import Run
from hetal.report.stats.intervals import Floats


def column(run: Run, name: str) -> Floats:
    """Return one field of every round; NaN where it is null, missing, or no number that a record can hold."""
    return np.array([_number(row.get(name)) for row in run.rounds], float)


def _number(value: Any) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number and abs(value) <= LARGEST else np.nan


def seconds_so_far(run: Run) -> Floats:
    """Return the wall time in seconds up to the end of every round's training."""
    phases = [row.get("seconds", {}) for row in run.rounds]
    whole = np.array([sum(seconds.values()) if seconds else np.nan for seconds in phases], float)
    train = np.array([seconds.get("train", 0.0) for seconds in phases])
    return np.asarray(np.cumsum(whole) - whole + train, float)


def clean_labels_so_far(run: Run) -> Floats:
    """Return the number of clean labels that queries acquired before every round."""
    clean = np.nan_to_num(column(run, "clean_share") * column(run, "n_bought"))
    return np.concatenate([[0.0], np.cumsum(clean)[:-1]])


def clean_share_so_far(run: Run) -> Floats:
    """Return the share of clean rows among all that were queried up to and including every round."""
    n = np.cumsum(np.nan_to_num(column(run, "n_bought")))
    share = np.cumsum(np.nan_to_num(column(run, "clean_share") * column(run, "n_bought")))
    return np.where(np.isnan(column(run, "clean_share")), np.nan, share / np.maximum(n, 1))


def distinct_share(run: Run) -> Floats:
    """Return the share of distinct images in every query."""
    return column(run, "n_distinct") / np.maximum(column(run, "n_bought"), 1)


def rejected_share(run: Run) -> Floats:
    """Return the share of every query that was rejected."""
    return column(run, "n_rejected") / np.maximum(column(run, "n_bought"), 1)


def cost_so_far(run: Run) -> Floats:
    """Return what queries cost before every round, in the unit of the data; NaN where they do not say it."""
    cost = column(run, "cost")
    return np.concatenate([[0.0], np.cumsum(cost)[:-1]]) if not np.isnan(cost).all() else cost


def pseudo_clean_share(run: Run) -> Floats:
    """Return the share of clean rows among those given a pseudo-label; NaN without fine-tuning."""
    n = column(run, "n_pseudo")
    return 1 - column(run, "n_pseudo_noisy") / np.where(n == 0, np.nan, n)


# Measures that are computed from several fields or rounds, by their key, see `hetal.record.measures`.
_DERIVED: Mapping[str, Callable[[Run], Floats]] = {
    "seconds_so_far": seconds_so_far,
    "clean_labels_so_far": clean_labels_so_far,
    "clean_share_so_far": clean_share_so_far,
    "distinct_share": distinct_share,
    "rejected_share": rejected_share,
    "cost_so_far": cost_so_far,
    "pseudo_clean_share": pseudo_clean_share,
}


def series(run: Run, key: str) -> Floats:
    """Return a measure of every round, by its key in `hetal.record.measures`; NaN where a round has none.

    A measure of the user's own has the key "measures/NAME".
    """
    if key in _DERIVED:
        return _DERIVED[key](run)
    if "/" not in key:
        return column(run, key)
    if key.startswith(OWN):
        values: list[float | None] = [own_value(row, key.removeprefix(OWN)) for row in run.rounds]
    else:
        values = [MEASURES[key].value(row) for row in run.rounds]
    return np.array([np.nan if value is None else value for value in values], float)


def is_known(key: str) -> bool:
    """Tell whether `series` has a measure of rounds."""
    return key in _DERIVED or any(key == measure.key for measure in OF_A_ROUND)
