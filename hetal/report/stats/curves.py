"""Numbers that summarise a learning curve."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hetal.report.stats.intervals import Floats


def aulc(n_labelled: Sequence[int], values: Sequence[float] | Floats) -> Floats:
    """Return the normalised area under learning curves (AULC): their mean height over labels, by trapezoids.

    Args:
        n_labelled: (R,), ascending.
        values: (..., R) of a measure; of a single round, it is returned as it is.
    """
    x, y = np.asarray(n_labelled, float), np.asarray(values, float)
    if len(x) == 1:
        return np.asarray(y[..., 0])
    return np.asarray(((y[..., 1:] + y[..., :-1]) / 2 * np.diff(x)).sum(-1) / (x[-1] - x[0]))


def labels_to_reach(n_labelled: Sequence[int], values: Sequence[float] | Floats, target: float) -> float:
    """Return the smallest number of labels with which a measure is at least `target`; NaN where it never is."""
    return next((float(n) for n, value in zip(n_labelled, values, strict=True) if value >= target), np.nan)


def checkpoints(
    grid: Sequence[int], baseline_mean: Sequence[float] | Floats | None, sign: int = 1
) -> list[int]:
    """Return the numbers of labels at which BADGE compares strategies (Ash et al., ICLR 2020, section 5).

    n_start + 2^k n_query for k = 0, 1, ..., until random has 99% of its final accuracy; to the end where random was not
    run. There is at least one checkpoint, unless there is a single round. Of a measure that is better the smaller it
    is, until it is at most 1% above its final value.

    Args:
        grid: labels of every round, ascending, from n_start in steps of n_query.
        baseline_mean: mean of the measure at each, of random, or of what takes its place.
        sign: 1 where a larger value is better, -1 where a smaller one is.
    """
    if len(grid) < 2:
        return []
    last = grid[-1]
    if baseline_mean is not None:
        final = baseline_mean[-1]
        nearly = sign * (1 - 0.01 * sign * np.sign(final)) * final  # also of one below 0
        last = next(n for n, value in zip(grid, baseline_mean, strict=True) if sign * value >= nearly)
    start, step = grid[0], grid[1] - grid[0]
    wanted = [start + 2**k * step for k in range(len(grid).bit_length() + 1)]
    return [n for n in wanted if n in grid and n <= max(last, wanted[0])]
