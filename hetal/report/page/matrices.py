"""Pairwise comparisons as matrices, rows against columns, over all settings: penalties, and differences with tests."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hetal.record.measures import Measure
from hetal.report.analyse.analysis import Analysis
from hetal.report.analyse.results import Comparison, turned
from hetal.report.page import text
from hetal.report.stats.penalties import PenaltyMatrix
from hetal.report.stats.significance import ALPHA


@dataclass(frozen=True)
class Cell:
    """One cell of a matrix: its depth of colour in [0, 1], its text, and its small print."""

    depth: float = 0.0
    text: str = ""
    small: str = ""


@dataclass(frozen=True)
class Matrix:
    """Strategies against each other.

    Attributes:
        labels: strategies, the best first.
        cells: by row and column.
        foot: what the last line says of each column.
        most: of penalties, the largest possible one.
    """

    labels: Sequence[str]
    cells: Mapping[tuple[str, str], Cell]
    foot: Mapping[str, str]
    most: int = 0


@dataclass(frozen=True)
class Powerless:
    """Numbers with which Wilcoxon's test cannot be significant: seeds, pairs, and the smallest possible p."""

    n: int
    pairs: int
    p: float


@dataclass(frozen=True)
class Matrices:
    """The matrices of a report.

    Attributes:
        differences: of mean area, row minus column.
        is_tested: whether any pair has two common seeds.
        penalties: by t-tests; None where nothing is tested.
        by_wilcoxon: None where nothing is tested, or nobody wins.
        powerless: None where Wilcoxon's test can be significant.
    """

    differences: Matrix
    is_tested: bool
    penalties: Matrix | None = None
    by_wilcoxon: Matrix | None = None
    powerless: Powerless | None = None


def matrices_of(analysis: Analysis) -> Matrices | None:
    """Return the matrices over all settings; None where there is no pair."""
    pairs = [c for comparisons in analysis.comparisons.values() for c in comparisons]
    if not pairs:
        return None
    is_tested = max(c.n for c in pairs) > 1
    differences = _differences(pairs, is_tested, analysis.study.criterion.measure)
    if not is_tested:
        return Matrices(differences, is_tested)
    by_wilcoxon = analysis.penalty_matrices["wilcoxon"]
    return Matrices(
        differences,
        is_tested,
        _penalties(analysis.penalty_matrices["t"]),
        _penalties(by_wilcoxon) if any(by_wilcoxon.penalty.values()) else None,
        _powerless(analysis.comparisons.values()),
    )


@dataclass
class _Against:
    """One strategy against another over settings: differences of area, and settings won by each test."""

    differences: list[float] = field(default_factory=list)
    by_t: int = 0
    by_wilcoxon: int = 0

    @property
    def mean(self) -> float:
        """Mean difference over settings."""
        return float(np.mean(self.differences))


def _against(pairs: Iterable[Comparison]) -> dict[tuple[str, str], _Against]:
    against: dict[tuple[str, str], _Against] = defaultdict(_Against)
    for pair in pairs:
        for c in (pair, turned(pair, pair.second)):
            if not math.isnan(c.difference.mean):
                one = against[c.first, c.second]
                one.differences.append(c.difference.mean)
                one.by_t += c.t_holm < ALPHA and c.is_ahead
                one.by_wilcoxon += c.wilcoxon_holm < ALPHA and c.is_ahead
    return dict(against)


def _powerless(compared: Iterable[Sequence[Comparison]]) -> Powerless | None:
    """Return the numbers with which Wilcoxon's test is never significant: Holm multiplies the least p by the pairs."""
    tested = [[c.n for c in comparisons if c.n > 1] for comparisons in compared]
    least, n, pairs = min((len(of) * 2.0 ** (1 - max(of)), max(of), len(of)) for of in tested if of)
    return None if least < ALPHA else Powerless(n, pairs, min(least, 1))


def _penalties(matrix: PenaltyMatrix) -> Matrix:
    cells = {
        pair: Cell(value / max(matrix.most, 1), f"{value:.2f}".rstrip("0").rstrip("."))
        for pair, value in matrix.penalty.items()
    }
    return Matrix(
        matrix.labels, cells, {label: f"{value:.2f}" for label, value in matrix.mean.items()}, matrix.most
    )


def _differences(pairs: Sequence[Comparison], is_tested: bool, measure: Measure) -> Matrix:
    against = _against(pairs)
    lost = _mean_over_rows({pair: one.mean for pair, one in against.items()})
    most = max((abs(one.mean) for one in against.values()), default=0.0) or 1.0

    def written(value: float) -> str:
        return text.number(measure.scale * value, measure.decimals, sign=True)

    cells = {
        pair: Cell(
            max(0.0, measure.sign * one.mean) / most,
            written(one.mean),
            f"{one.by_t} · {one.by_wilcoxon}" if is_tested else "",
        )
        for pair, one in against.items()
    }
    order = sorted(lost, key=lambda b: measure.sign * lost[b])
    return Matrix(order, cells, {label: written(value) for label, value in lost.items()})


def _mean_over_rows(values: Mapping[tuple[str, str], float]) -> dict[str, float]:
    labels = dict.fromkeys(label for pair in values for label in pair)
    return {b: float(np.mean([v for (_, loser), v in values.items() if loser == b] or [0.0])) for b in labels}
