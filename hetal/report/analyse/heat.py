"""The mean areas under the curve of every strategy in every setting, and what each is ahead of the baseline."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from hetal.report.analyse.analysis import Study
from hetal.report.analyse.criterion import Criterion
from hetal.report.stats.intervals import DIGITS, Floats


@dataclass(frozen=True, eq=False)
class Heat:
    """A table of strategies (L) and settings (P).

    Attributes:
        criterion: what strategies are compared by.
        strategies: best first, by their mean rank over the settings they are in; then bounds.
        settings: in the order of the report.
        area_LP: mean over finished runs; NaN where there is none.
        lead_LP: by how much that is better than the baseline's, larger is better whatever the measure; NaN where one
            of both is not there. Where no setting has the baseline, over the mean of the setting's strategies.
        is_best_LP: whether it is the best of its setting, bounds left out.
        bounds: strategies that take no part.
        against: what leads are over, in words.
    """

    criterion: Criterion
    strategies: tuple[str, ...]
    settings: tuple[str, ...]
    area_LP: Floats
    lead_LP: Floats
    is_best_LP: np.ndarray
    bounds: frozenset[str]
    against: str


def heat_of(study: Study, only: Collection[str] | None = None, as_given: bool = False) -> Heat | None:
    """Return the table of a study; None of fewer than three strategies or two settings with finished runs.

    Args:
        study: of the report.
        only: the strategies to show, all unless given; the baseline is compared with in any case.
        as_given: keep the order of `study.looks`.
    """
    criterion = study.criterion
    settings = [s for s in study.settings if any(s.area.get(label) for label in only or s.area)]
    labels = [label for label in study.looks if any(s.area.get(label) for s in settings)]
    shown = [label for label in labels if only is None or label in only]
    if len(settings) < 2 or len(shown) < 3:
        return None
    area_LP = np.array([[_mean([*s.area.get(label, {}).values()]) for s in settings] for label in labels])
    bounds = frozenset(
        label for label in labels if any(label in s.area and label not in s.contenders for s in settings)
    )
    competing = np.array([label not in bounds for label in labels])
    if criterion.baseline in labels:
        reference_P, against = area_LP[labels.index(criterion.baseline)], criterion.baseline
    else:
        reference_P, against = (
            np.array([_mean(column[~np.isnan(column)]) for column in area_LP[competing].T]),
            "the mean",
        )
    rows = [labels.index(label) for label in shown]
    score_LP = criterion.measure.sign * area_LP[rows]
    order = [*range(len(rows))] if as_given else _order(shown, score_LP, bounds)
    may_lead = np.array([label not in bounds for label in shown])[:, None] & ~np.isnan(score_LP)
    best_P = np.where(may_lead, score_LP, -np.inf).max(0)
    rows = [rows[i] for i in order]
    return Heat(
        criterion=criterion,
        strategies=tuple(labels[row] for row in rows),
        settings=tuple(s.name for s in settings),
        area_LP=area_LP[rows],
        lead_LP=np.round(criterion.measure.sign * (area_LP - reference_P), DIGITS)[rows],
        is_best_LP=(may_lead & (score_LP == best_P))[order],
        bounds=bounds,
        against=against,
    )


def _order(shown: Sequence[str], score_LP: Floats, bounds: Collection[str]) -> list[int]:
    """Return strategies by their mean rank over the settings they are in, each as a share of its strategies."""
    shares: dict[int, list[float]] = {i: [] for i in range(len(shown))}
    for column in score_LP.T:
        there = np.flatnonzero(~np.isnan(column))
        for i, rank in zip(there, rankdata(-np.round(column[there], DIGITS)), strict=True):
            shares[int(i)].append((rank - 1) / max(len(there) - 1, 1))
    return sorted(shares, key=lambda i: (shown[i] in bounds, _mean(shares[i]), shown[i]))


def _mean(values: Sequence[float] | Floats) -> float:
    return float(np.mean(values)) if len(values) else np.nan
