"""What queries acquired: shares of clean, right and rejected rows and distinct images, and rows by class and noise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hetal.errors import BadInput
from hetal.record.schema import REJECT
from hetal.report.analyse.series import column
from hetal.report.analyse.setting import Setting
from hetal.report.analyse.styles import Looks
from hetal.report.load.acquired import acquired_rows
from hetal.report.load.printable import plain
from hetal.report.load.records import Run
from hetal.report.stats.intervals import Interval, bca_interval

# Rows are counted at the first seeds, at most so many: each is a file to read.
MOST_SEEDS = 5

# Fields of a round whose shares are shown, in the order in which `Acquired` has them.
SHARES = ("clean_share", "right_share", "n_rejected", "n_distinct")

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Acquired:
    """What the queries of one strategy acquired in one setting.

    Attributes:
        setting: name of the setting.
        label: the strategy.
        n: seeds.
        clean: share of clean rows.
        right: share of rows that sold the right label.
        rejected: share of rows that sold none.
        distinct: share of distinct images.
        counts_2C: clean and noisy rows by the class they are labelled with, over the first `MOST_SEEDS` seeds.
        classes: names of the classes, in order; () where they are numbers only.
    """

    setting: str
    label: str
    n: int
    clean: Interval
    right: Interval
    rejected: Interval
    distinct: Interval
    counts_2C: Counts
    classes: Sequence[str] = ()


def acquired_by(settings: Sequence[Setting], looks: Looks) -> tuple[list[Acquired], list[str]]:
    """Return what every strategy acquired, and the folders of the records whose rows cannot be counted.

    Args:
        settings: of the report.
        looks: gives the order of strategies.
    """
    acquired: list[Acquired] = []
    uncounted: list[str] = []
    for setting in settings:
        for label in (label for label in looks if label in setting.runs):
            runs = [run for _, run in sorted(setting.runs[label].items())]
            counts = []
            for run in runs[:MOST_SEEDS]:
                if (counted := count_rows(run)) is not None:
                    counts.append(counted)
                elif any((row.get("n_bought") or 0) > (row.get("n_rejected") or 0) for row in run.rounds):
                    uncounted.append(plain(run.folder.name))
            if counts:
                total = np.sum([c for c in counts if c.shape == counts[0].shape], axis=0)
                classes = runs[0].classes if len(runs[0].classes) == total.shape[1] else ()
                clean, right, rejected, distinct = (
                    over_seeds(share_of_queries(run, name) for run in runs) for name in SHARES
                )
                acquired.append(
                    Acquired(setting.name, label, len(runs), clean, right, rejected, distinct, total, classes)
                )
    return acquired, uncounted


def count_rows(run: Run) -> Counts | None:
    """Return the number of clean and of noisy rows that queries acquired (2, C), by the class they are labelled with.

    The start set, which no strategy chose, is not counted, nor are rows that were rejected. None where queries.npz is
    missing, damaged, was changed after it was written, or holds no query.
    """
    try:
        rows = acquired_rows(run)
    except (OSError, BadInput):
        return None
    queried = rows["round"] >= 0
    if not queried.any():
        return None
    queried &= rows["labels"] != REJECT
    labels, noisy = rows["labels"][queried], rows["is_noisy"][queried]
    n_classes = max(len(row.get("bought_per_class") or ()) for row in run.rounds)
    n_classes = max(n_classes, int(labels.max(initial=0)) + 1)
    return np.stack([np.bincount(labels[noisy == flag], minlength=n_classes) for flag in (False, True)])


def share_of_queries(run: Run, name: str) -> float:
    """Return the share in all queries of a run of what one field of a round counts, or is the share of.

    NaN where there is no query, or the field is null in one.
    """
    n = column(run, "n_bought")
    is_query = n > 0  # not where it is not known
    values = column(run, name) * (n if name.endswith("_share") else 1)
    return float(values[is_query].sum() / n[is_query].sum()) if is_query.any() else np.nan


def over_seeds(values: Iterable[float]) -> Interval:
    """Return the mean of the values that are known, with its interval."""
    known = np.array([*values], float)
    return bca_interval(known[~np.isnan(known)])
