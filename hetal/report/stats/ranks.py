"""Mean ranks of strategies over settings, Friedman's test and critical differences (Demsar, JMLR 2006)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats

from hetal.report.stats.intervals import DIGITS, Floats
from hetal.report.stats.significance import ALPHA


@dataclass(frozen=True)
class Ranking:
    """Mean ranks over settings, 1 being best.

    Attributes:
        ranks: by strategy, best first.
        n_settings: number of settings ranked.
        p: of Friedman's test that all strategies are equal; NaN for fewer than three strategies or two settings.
        critical_difference: of mean ranks at 0.05, see `critical_difference`.
        groups: maximal sets of two or more neighbours that do not differ significantly.
    """

    ranks: dict[str, float]
    n_settings: int
    p: float
    critical_difference: float
    groups: tuple[tuple[str, ...], ...]


def rank(labels: Sequence[str], values_PL: Floats) -> Ranking:
    """Rank strategies in every setting and average the ranks.

    Args:
        labels: of the L strategies.
        values_PL: one value a setting and strategy, larger is better.
    """
    n, k = values_PL.shape
    ranks_L = stats.rankdata(-np.round(values_PL, DIGITS), axis=1).mean(0)
    order = sorted(range(k), key=lambda i: (ranks_L[i], labels[i]))
    ranks = {labels[i]: float(ranks_L[i]) for i in order}
    most = critical_difference(k, n) if k > 1 else np.nan
    return Ranking(ranks, n, _friedman(values_PL), most, _groups(ranks, most))


@lru_cache(maxsize=64)
def critical_difference(n_strategies: int, n_settings: int) -> float:
    """Return the smallest significant difference of mean ranks at 0.05 (Nemenyi; Demsar, JMLR 2006, section 3.2.2)."""
    q = stats.studentized_range.ppf(1 - ALPHA, n_strategies, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(n_strategies * (n_strategies + 1) / (6 * n_settings)))


def _friedman(values_PL: Floats) -> float:
    n, k = values_PL.shape
    if k < 3 or n < 2:
        return np.nan
    if (np.ptp(np.round(values_PL, DIGITS), axis=1) == 0).all():
        return 1.0
    return float(stats.friedmanchisquare(*np.round(values_PL, DIGITS).T).pvalue)


def _groups(ranks: dict[str, float], most: float) -> tuple[tuple[str, ...], ...]:
    names = list(ranks)
    groups: list[tuple[str, ...]] = []
    for i, name in enumerate(names):
        group = tuple(other for other in names[i:] if ranks[other] - ranks[name] <= most)
        if len(group) > 1 and not (groups and set(group) <= set(groups[-1])):
            groups.append(group)
    return tuple(groups)
