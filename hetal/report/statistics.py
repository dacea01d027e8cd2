"""The statistics of comparison: intervals over seeds, tests paired by seed, and who beats whom.

Every comparison is paired by seed: at one seed all strategies see the same pool, noise, start set and first network,
and what these do to all alike cancels in the difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]

# Fewer seeds than this, and the page says that a comparison is not to be trusted.
ENOUGH_SEEDS = 5


class Interval(NamedTuple):
    """A mean and its 95% interval; NaN where there is too little to say."""

    mean: float
    low: float
    high: float


def t_interval(values_S: Floats) -> Interval:
    """Return the mean over seeds and Student's 95% interval; without a spread to judge by (S < 2), NaN."""
    n = len(values_S)
    mean = float(values_S.mean()) if n else np.nan
    if n < 2:
        return Interval(mean, np.nan, np.nan)
    half = float(stats.t.ppf(0.975, n - 1) * values_S.std(ddof=1) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half)


def bca_interval(values_S: Floats, resamples: int = 2000, seed: int = 0) -> Interval:
    """Return the mean over seeds and its bias-corrected and accelerated bootstrap 95% interval.

    Efron & Tibshirani, An Introduction to the Bootstrap (1993), section 14.3. Given differences of paired values it
    is the paired bootstrap. The draws are fixed, so that a report remade is the same. Equal values give an interval
    of no width, a single one gives NaN.

    Args:
        values_S: one value a seed.
        resamples: bootstrap samples.
        seed: of the draws.
    """
    n = len(values_S)
    mean = float(values_S.mean()) if n else np.nan
    if n < 2:
        return Interval(mean, np.nan, np.nan)
    if np.ptp(values_S) == 0:
        return Interval(mean, mean, mean)
    draws = np.random.default_rng(seed).integers(0, n, (resamples, n))
    means = values_S[draws].mean(1)
    below = (means < mean).mean() + (means == mean).mean() / 2
    bias = stats.norm.ppf(np.clip(below, 1 / (2 * resamples), 1 - 1 / (2 * resamples)))
    influence = (values_S - mean) / (n - 1)  # of leaving one out, up to its sign
    acceleration = (influence**3).sum() / (6 * (influence**2).sum() ** 1.5)
    z = bias + stats.norm.ppf([0.025, 0.975])
    low, high = np.quantile(means, stats.norm.cdf(bias + z / (1 - acceleration * z)))
    return Interval(mean, float(low), float(high))


def paired_t(differences_S: Floats) -> float:
    """Return the two-sided p-value of Student's paired test: 1 where all differences are 0, NaN for S < 2.

    Differences that are all alike and not 0 have no spread: p = 0.
    """
    if len(differences_S) < 2:
        return np.nan
    if np.ptp(differences_S) == 0:
        return 1.0 if differences_S[0] == 0 else 0.0
    return float(stats.ttest_1samp(differences_S, 0).pvalue)


def wilcoxon(differences_S: Floats) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test: 1 where all differences are 0, NaN for S < 2."""
    if len(differences_S) < 2:
        return np.nan
    if not differences_S.any():
        return 1.0
    return float(stats.wilcoxon(differences_S).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number (Holm, Scand. J. Statist. 1979); NaN stays NaN and does not count."""
    p = np.asarray(p_values, float)
    there = np.flatnonzero(~np.isnan(p))
    order = there[np.argsort(p[there], kind="stable")]
    adjusted = np.full(len(p), np.nan)
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1) if len(order) else []
    return [float(value) for value in adjusted]


def effect_size(differences_S: Floats) -> float:
    """Return Cohen's d of paired differences, mean over standard deviation; NaN where there is no spread."""
    if len(differences_S) < 2 or np.ptp(differences_S) == 0:
        return np.nan
    return float(differences_S.mean() / differences_S.std(ddof=1))


def area(n_labelled: Sequence[int], accuracy: Sequence[float] | Floats) -> float:
    """Return the mean height of a learning curve over its labels, by trapezoids; of a single point, its height."""
    x, y = np.asarray(n_labelled, float), np.asarray(accuracy, float)
    return float(y[0] if len(x) == 1 else ((y[1:] + y[:-1]) / 2 * np.diff(x)).sum() / (x[-1] - x[0]))


def labels_to_reach(n_labelled: Sequence[int], accuracy: Sequence[float] | Floats, target: float) -> float:
    """Return the fewest labels a network of the run was trained on that is as accurate as `target`; NaN if none."""
    return next((float(n) for n, a in zip(n_labelled, accuracy, strict=True) if a >= target), np.nan)


def checkpoints(grid: Sequence[int], random_mean: Sequence[float] | None) -> list[int]:
    """Return the positions on a grid of labels at which BADGE compares strategies (its section 5).

    n_start + 2^k n_query labels for k = 0, 1, ..., until random choice has 99% of its final accuracy (or to the end,
    where random choice was not run).

    Args:
        grid: labels of every round, ascending.
        random_mean: mean accuracy of random choice at each.
    """
    last = len(grid) - 1
    if random_mean is not None:
        last = next(i for i, a in enumerate(random_mean) if a >= 0.99 * random_mean[-1])
    found, k = [], 1
    while k <= max(last, 1) and k < len(grid):
        found.append(k)
        k *= 2
    return found


def penalties(curves: Mapping[str, Mapping[int, Floats]], at: Sequence[int]) -> dict[tuple[str, str], float]:
    """Return the pairwise penalties of one setting (Ash et al., ICLR 2020, arXiv 1906.03671, section 5).

    At every checkpoint, a two-sided paired t-test over the seeds that both have; where p < 0.05, the winner's row
    gains 1 / #checkpoints in the loser's column.

    Args:
        curves: by strategy and seed, accuracy at every round.
        at: checkpoints, see `checkpoints`.

    Returns:
        (winner, loser) to penalty, for every ordered pair.
    """
    table = {(a, b): 0.0 for a in curves for b in curves if a != b}
    for a, b in table:
        seeds = sorted(curves[a].keys() & curves[b].keys())
        for i in at:
            difference = np.array([curves[a][s][i] - curves[b][s][i] for s in seeds])
            if paired_t(difference) < 0.05 and difference.mean() > 0:
                table[a, b] += 1 / len(at)
    return table


def critical_difference(n_strategies: int, n_settings: int) -> float:
    """Return by how much mean ranks must differ at 0.05 (Nemenyi; Demsar, JMLR 2006, section 3.2.2)."""
    q = stats.studentized_range.ppf(0.95, n_strategies, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(n_strategies * (n_strategies + 1) / (6 * n_settings)))
