"""The statistics of comparison: intervals over seeds, and tests paired by seed.

Every comparison is paired by seed: at one seed all strategies see the same pool, noise, start set and first network,
and what these do to all alike cancels in the difference. So all tests here take differences. K of them are tested at
once, since a report asks for thousands.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special, stats

Floats = npt.NDArray[np.float64]

# Fewer seeds than this, and the page says that a comparison is not to be trusted.
ENOUGH_SEEDS = 5

# What a p-value must be under for the report to call it more than chance.
SURE = 0.05

# Values nearer than this are equal: accuracies are counts over a test set, and what is left is rounding.
DIGITS = 12

# Bootstrap means held at once, in numbers.
AT_ONCE = 2_000_000


class Interval(NamedTuple):
    """A mean and its 95% interval; NaN where there is too little to say."""

    mean: float
    low: float
    high: float


NOTHING = Interval(np.nan, np.nan, np.nan)


def t_interval(values_S: Floats) -> Interval:
    """Return the mean over seeds and Student's 95% interval; without a spread to judge by (S < 2), NaN."""
    means, lows, highs, _ = t_intervals(np.asarray(values_S, float)[:, None])
    return Interval(float(means[0]), float(lows[0]), float(highs[0]))


def t_intervals(values_SR: Floats) -> tuple[Floats, Floats, Floats, npt.NDArray[np.int64]]:
    """Return mean, low and high of Student's 95% interval, and n, of every column (R,); NaN does not count."""
    there = ~np.isnan(values_SR)
    n = there.sum(0)
    known = np.where(there, values_SR, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = known.sum(0) / n
        variance = np.where(there, (known - mean) ** 2, 0.0).sum(0) / (n - 1)
        half = np.where(n > 1, special.stdtrit(np.maximum(n - 1, 1), 0.975) * np.sqrt(variance / n), np.nan)
    return mean, mean - half, mean + half, n


def bca_interval(values_S: Floats, resamples: int = 2000, seed: int = 0) -> Interval:
    """Return the mean over seeds and its bootstrap interval, see `bca_intervals`."""
    return bca_intervals([values_S], resamples, seed)[0]


def bca_intervals(samples: Sequence[Floats], resamples: int = 2000, seed: int = 0) -> list[Interval]:
    """Return the mean and the bias-corrected and accelerated bootstrap 95% interval of every sample.

    Efron & Tibshirani, An Introduction to the Bootstrap (1993), section 14.3; given differences of paired values it is
    the paired bootstrap. A bootstrap of few values is too narrow, so the nominal level is widened as in Hesterberg,
    What Teachers Should Know About the Bootstrap (The American Statistician 2015, section 3.4): normal quantiles z
    become sqrt(n / (n - 1)) times Student's. Normal values are then covered in 91% of cases with 5 seeds, 94% with 8,
    95% with 20; unwidened in 83, 90 and 93%.

    Args:
        samples: each (S,), one value a seed; the numbers of seeds may differ. Equal values give an interval of no
            width, a single one none.
        resamples: bootstrap samples.
        seed: of the draws, which are the same for every call, so that a report made again is the same.
    """
    found = [NOTHING] * len(samples)
    by_size: dict[int, list[int]] = defaultdict(list)
    for i, values in enumerate(samples):
        by_size[len(values)].append(i)
    for n, places in by_size.items():
        values_KS = np.array([samples[i] for i in places], float)
        if n == 0:
            continue
        low, high = _bca(values_KS, resamples, seed) if n > 1 else (np.full(len(places), np.nan),) * 2
        for i, *interval in zip(places, values_KS.mean(1), low, high, strict=True):
            found[i] = Interval(*map(float, interval))
    return found


def widened(n: int) -> float:
    """Return the normal quantile that stands for 97.5% with n values, see `bca_intervals`."""
    return float(np.sqrt(n / (n - 1)) * special.stdtrit(n - 1, 0.975))


def _bca(values_KS: Floats, resamples: int, seed: int) -> tuple[Floats, Floats]:
    K, n = values_KS.shape
    draws = np.random.default_rng(seed).integers(0, n, (resamples, n))
    weights_BS = np.zeros((resamples, n))
    np.add.at(weights_BS, (np.arange(resamples)[:, None], draws), 1 / n)
    low, high = np.empty(K), np.empty(K)
    rows = max(1, AT_ONCE // resamples)
    for start in range(0, K, rows):
        part = slice(start, start + rows)
        low[part], high[part] = _bca_part(values_KS[part], weights_BS, widened(n))
    return low, high


def _bca_part(values_KS: Floats, weights_BS: Floats, z: float) -> tuple[Floats, Floats]:
    mean_K1 = values_KS.mean(1, keepdims=True)
    # Around the mean, so that only the spread is subject to rounding.
    apart_KS = values_KS - mean_K1
    scale_K1 = np.abs(apart_KS).max(1, keepdims=True)
    none = scale_K1[:, 0] < 10.0**-DIGITS
    apart_KS = apart_KS / np.where(none[:, None], 1, scale_K1)
    means_KB = np.sort(np.round(apart_KS @ weights_BS.T, DIGITS), axis=1)
    bias = special.ndtri(((means_KB < 0).mean(1) + (means_KB <= 0).mean(1)) / 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        acceleration = (apart_KS**3).sum(1) / (6 * (apart_KS**2).sum(1) ** 1.5)
        ends = [bias + s * z for s in (-1, 1)]
        low, high = (
            _quantiles(means_KB, special.ndtr(bias + e / (1 - acceleration * e))) * scale_K1[:, 0]
            for e in ends
        )
    middle = mean_K1[:, 0]
    return np.where(none, middle, middle + low), np.where(none, middle, middle + high)


def _quantiles(sorted_KB: Floats, q_K: Floats) -> Floats:
    """Return another quantile of every row, linear between neighbours."""
    last = sorted_KB.shape[1] - 1
    at = np.nan_to_num(q_K) * last
    below = np.floor(at).astype(int)
    rows = np.arange(len(at))
    one, other = sorted_KB[rows, below], sorted_KB[rows, np.minimum(below + 1, last)]
    return np.asarray(one + (at - below) * (other - one))


def paired_t(differences_KS: Floats) -> Floats:
    """Return two-sided p-values (K,) of Student's paired test; NaN for fewer than two seeds.

    1 where all differences are 0; 0 where they are all alike and not 0, which have no spread.
    """
    d = np.round(differences_KS, DIGITS)
    n = d.shape[1]
    if n < 2:
        return np.full(len(d), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        t = np.abs(d.mean(1)) / (d.std(1, ddof=1) / np.sqrt(n))
    p = 2 * special.stdtr(n - 1, -t)
    flat = np.ptp(d, axis=1) == 0
    return np.asarray(np.where(flat, (d[:, 0] == 0).astype(float), p))


def wilcoxon(differences_KS: Floats) -> Floats:
    """Return two-sided p-values (K,) of Wilcoxon's signed-rank test; NaN for fewer than two seeds.

    Exact, ties included: the null distribution gives every rank a random sign. Zeros are dropped, as Wilcoxon did; 1
    where all are 0. With n seeds it cannot be less than 2 / 2^n: under six seeds nothing is significant at 0.05.
    """
    d = np.round(differences_KS, DIGITS)
    if d.shape[1] < 2:
        return np.full(len(d), np.nan)
    return np.array([_signed_rank(row[row != 0]) for row in d], float)


def _signed_rank(d_S: Floats) -> float:
    if not len(d_S):
        return 1.0
    _, place, count = np.unique(np.abs(d_S), return_inverse=True, return_counts=True)
    # Twice the mean ranks, so that those of ties are whole too.
    ranks_S = (2 * np.cumsum(count) - count + 1)[place]
    below = _null(tuple(sorted(ranks_S.tolist())))
    won = int(ranks_S[d_S > 0].sum())
    least = min(won, int(ranks_S.sum()) - won)  # the distribution is symmetric
    return float(min(1.0, 2 * below[least]))


@lru_cache(maxsize=4096)
def _null(ranks: tuple[int, ...]) -> Floats:
    """Return the probability that ranks with random signs have a positive sum of at most 0, 1, 2, ..."""
    chance = np.ones(1)
    for rank in ranks:
        chance = (np.pad(chance, (0, rank)) + np.pad(chance, (rank, 0))) / 2
    return np.cumsum(chance)


def holm(p_values: Sequence[float] | Floats) -> list[float]:
    """Return p-values adjusted for their number (Holm, Scand. J. Statist. 1979); NaN stays NaN and does not count."""
    p = np.asarray(p_values, float)
    there = np.flatnonzero(~np.isnan(p))
    order = there[np.argsort(p[there], kind="stable")]
    adjusted = np.full(len(p), np.nan)
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1) if len(order) else []
    return [float(value) for value in adjusted]


def effect_size(differences_S: Floats) -> float:
    """Return Cohen's d of paired differences, mean over standard deviation.

    0 where all differences are 0; NaN where they are alike and not 0, and for a single one.
    """
    d = np.round(differences_S, DIGITS)
    if len(d) < 2 or np.ptp(d) == 0:
        return 0.0 if len(d) > 1 and d[0] == 0 else np.nan
    return float(d.mean() / d.std(ddof=1))


@lru_cache(maxsize=64)
def critical_difference(n_strategies: int, n_settings: int) -> float:
    """Return by how much mean ranks must differ at 0.05 (Nemenyi; Demsar, JMLR 2006, section 3.2.2)."""
    q = stats.studentized_range.ppf(0.95, n_strategies, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(n_strategies * (n_strategies + 1) / (6 * n_settings)))
