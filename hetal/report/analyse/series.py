"""What is read from one run: series over its rounds, and the numbers that a learning curve comes to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hetal.report.load.records import Run
from hetal.report.stats.intervals import Floats

# The strategy that all others are measured against.
RANDOM = "random"


def column(run: Run, name: str) -> Floats:
    """Return one field of every round; NaN where it is null or missing."""
    return np.array([np.nan if row.get(name) is None else row[name] for row in run.rounds], float)


def labels(run: Run) -> Floats:
    """Return the labels every round was trained on."""
    return column(run, "n_labelled")


def seconds(run: Run) -> Floats:
    """Return wall time in seconds at the end of every round's training."""
    known = [row.get("seconds", {}) for row in run.rounds]
    whole = np.array([sum(phases.values()) if phases else np.nan for phases in known], float)
    train = np.array([phases.get("train", 0.0) for phases in known])
    return np.asarray(np.cumsum(whole) - whole + train, float)


def clean_labels(run: Run) -> Floats:
    """Return the clean labels bought by queries before every round."""
    bought = np.nan_to_num(column(run, "clean_share") * column(run, "n_bought"))
    return np.concatenate([[0.0], np.cumsum(bought)[:-1]])


def cumulative_share(run: Run) -> Floats:
    """Return the share of clean rows in all that was queried up to and including every round."""
    n = np.cumsum(np.nan_to_num(column(run, "n_bought")))
    share = np.cumsum(np.nan_to_num(column(run, "clean_share") * column(run, "n_bought")))
    return np.where(np.isnan(column(run, "clean_share")), np.nan, share / np.maximum(n, 1))


def distinct_share(run: Run) -> Floats:
    """Return the share of distinct images in every query."""
    return column(run, "n_distinct") / np.maximum(column(run, "n_bought"), 1)


def pseudo_clean_share(run: Run) -> Floats:
    """Return the share of clean rows among those given a pseudo-label; NaN without fine-tuning."""
    n = column(run, "n_pseudo")
    return 1 - column(run, "n_pseudo_noisy") / np.where(n == 0, np.nan, n)


def area(n_labelled: Sequence[int], accuracy: Sequence[float] | Floats) -> Floats:
    """Return the mean height of learning curves over their labels, by trapezoids; of a single point, its height.

    Args:
        n_labelled: (R,), ascending.
        accuracy: (..., R).
    """
    x, y = np.asarray(n_labelled, float), np.asarray(accuracy, float)
    if len(x) == 1:
        return np.asarray(y[..., 0])
    return np.asarray(((y[..., 1:] + y[..., :-1]) / 2 * np.diff(x)).sum(-1) / (x[-1] - x[0]))


def labels_to_reach(n_labelled: Sequence[int], accuracy: Sequence[float] | Floats, target: float) -> float:
    """Return the fewest labels a network of the run was trained on that is as accurate as `target`; NaN if none."""
    return next((float(n) for n, a in zip(n_labelled, accuracy, strict=True) if a >= target), np.nan)


def checkpoints(grid: Sequence[int], random_mean: Sequence[float] | Floats | None) -> list[int]:
    """Return the numbers of labels at which BADGE compares strategies (Ash et al., ICLR 2020, section 5).

    n_start + 2^k n_query for k = 0, 1, ..., until random choice has 99% of its final accuracy; to the end where random
    choice was not run. There is at least one, unless there is a single round.

    Args:
        grid: labels of every round, ascending, from n_start in steps of n_query.
        random_mean: mean accuracy of random choice at each.
    """
    if len(grid) < 2:
        return []
    last = grid[-1]
    if random_mean is not None:
        last = next(n for n, a in zip(grid, random_mean, strict=True) if a >= 0.99 * random_mean[-1])
    start, step = grid[0], grid[1] - grid[0]
    wanted = [start + 2**k * step for k in range(len(grid).bit_length() + 1)]
    return [n for n in wanted if n in grid and n <= max(last, wanted[0])]
