"""Paired significance tests, Holm's correction and effect size.

At one seed all strategies see the same pool, noise, start set and first network, whose common effect cancels in the
difference. So all tests take paired differences: K samples at once, since a report needs thousands of tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import special

from hetal.report.stats.intervals import DIGITS, Floats

# Significance level of all tests.
ALPHA = 0.05


def paired_t(differences_KS: Floats) -> Floats:
    """Return two-sided p-values (K,) of Student's paired test; NaN for fewer than two seeds.

    1 where all differences are 0; 0 where they are equal and not 0, so that they have no spread.
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

    Exact, also with ties: under the null hypothesis every rank has a random sign. Zeros are dropped, as by Wilcoxon; 1
    where all are 0. With n seeds p is at least 2 / 2^n: with fewer than six, nothing is significant at 0.05.
    """
    d = np.round(differences_KS, DIGITS)
    if d.shape[1] < 2:
        return np.full(len(d), np.nan)
    return np.array([_signed_rank(row[row != 0]) for row in d], float)


def _signed_rank(d_S: Floats) -> float:
    if not len(d_S):
        return 1.0
    _, rank_of, count = np.unique(np.abs(d_S), return_inverse=True, return_counts=True)
    # Twice the mean ranks, so that those of ties are integers too.
    ranks_S = (2 * np.cumsum(count) - count + 1)[rank_of]
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
    """Return p-values adjusted for their number (Holm, Scand. J. Statist. 1979); NaN stays NaN and is not counted."""
    p = np.asarray(p_values, float)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    adjusted = np.full(len(p), np.nan)
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1) if len(order) else []
    return [float(value) for value in adjusted]


def effect_size(differences_S: Floats) -> float:
    """Return Cohen's d of paired differences, mean over standard deviation.

    0 where all differences are 0; NaN where they are equal and not 0, and for a single one.
    """
    d = np.round(differences_S, DIGITS)
    if len(d) < 2 or np.ptp(d) == 0:
        return 0.0 if len(d) > 1 and d[0] == 0 else np.nan
    return float(d.mean() / d.std(ddof=1))
