"""What queries acquired: shares of clean rows and distinct images, and rows by class and noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hetal.errors import BadInput
from hetal.record.schema import REJECT
from hetal.report.analyse.setting import Setting
from hetal.report.analyse.styles import Looks
from hetal.report.load.acquired import acquired_rows
from hetal.report.load.printable import plain
from hetal.report.load.records import Run
from hetal.report.stats.intervals import Interval, bca_interval

# Rows are counted at the first seeds, at most so many: each is a file to read.
MOST_SEEDS = 5

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Acquired:
    """What the queries of one strategy acquired in one setting.

    Attributes:
        setting: name of the setting.
        label: the strategy.
        n: seeds.
        clean: share of clean rows.
        distinct: share of distinct images.
        counts_2C: clean and noisy rows by the class they are labelled with, over the first `MOST_SEEDS` seeds.
        classes: names of the classes, in order; () where they are numbers only.
    """

    setting: str
    label: str
    n: int
    clean: Interval
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
                elif any(row.get("n_bought") for row in run.rounds):
                    uncounted.append(plain(run.folder.name))
            if counts:
                total = np.sum([c for c in counts if c.shape == counts[0].shape], axis=0)
                clean, distinct = _shares(runs)
                classes = runs[0].classes if len(runs[0].classes) == total.shape[1] else ()
                acquired.append(Acquired(setting.name, label, len(runs), clean, distinct, total, classes))
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


def _shares(runs: Sequence[Run]) -> tuple[Interval, Interval]:
    """Return the shares of clean rows and of distinct images in all queries of each run, over seeds."""
    clean, distinct = [], []
    for run in runs:
        queries = [row for row in run.rounds if row.get("n_bought")]
        n = sum(row["n_bought"] for row in queries)
        if n and all(row.get("clean_share") is not None for row in queries):
            clean.append(sum(row["n_bought"] * row["clean_share"] for row in queries) / n)
        if n and all(row.get("n_distinct") is not None for row in queries):
            distinct.append(sum(row["n_distinct"] for row in queries) / n)
    return bca_interval(np.array(clean)), bca_interval(np.array(distinct))
