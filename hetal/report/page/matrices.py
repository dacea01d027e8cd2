"""Who beats whom as matrices, rows against columns, over all settings: penalties, and differences with their tests."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np

from hetal.report.analyse.penalties import PenaltyMatrix, penalty_matrix
from hetal.report.analyse.results import Comparison, turned
from hetal.report.analyse.setting import Setting
from hetal.report.files.figures import Look
from hetal.report.page.markup import about, glyph, many, rounded
from hetal.report.stats.significance import SURE

BADGE = (
    "BADGE's matrix (Ash et al., ICLR 2020): at each checkpoint a paired t-test at 0.05 adds 1 / #checkpoints where "
    "the row beats the column."
)
EVERYTHING = (
    "Cells and means are over all settings, and means over all strategies, whatever the filters hide."
)
WILCOXON = "The same by Wilcoxon's signed-rank test, adjusted by Holm for all pairs at the checkpoint."


def matrices(
    compared: Mapping[str, Sequence[Comparison]], settings: Sequence[Setting], look: Mapping[str, Look]
) -> str:
    """Return the matrices over all settings, and sentences on what the tests can say.

    Args:
        compared: the pairs of each setting; there is one at least.
        settings: all of them.
        look: of every strategy.
    """
    pairs = [c for found in compared.values() for c in found]
    if max(c.n for c in pairs) < 2:
        nothing = "<p>No two strategies share two seeds yet, so nothing is tested.</p>"
        return f"<div class='matrices'>{_differences(pairs, '', look)}</div>{nothing}"
    powerless = _powerless(compared.values())
    found = [_penalties(penalty_matrix(settings), "by t-tests", BADGE, look)]
    by_wilcoxon = penalty_matrix(settings, "wilcoxon")
    won = any(by_wilcoxon.penalty.values())
    if won:
        found.append(_penalties(by_wilcoxon, "by Wilcoxon's test", f"{WILCOXON}{powerless}", look))
    tests = (
        f"Small print: the number of settings, of {len(settings)}, in which the row is ahead at 0.05, by the paired "
        f"t-test · by Wilcoxon's signed-rank test, both adjusted by Holm for all pairs of a setting.{powerless}"
    )
    found.append(_differences(pairs, tests, look))
    said = f"<div class='matrices'>{''.join(found)}</div>"
    if not won:
        said += f"<p>By Wilcoxon's test, adjusted by Holm, no checkpoint is won by anybody.{powerless}</p>"
    return said


@dataclass
class _Against:
    """What one strategy came to against another over settings: differences of areas, and settings won by each test."""

    differences: list[float] = field(default_factory=list)
    by_t: int = 0
    by_wilcoxon: int = 0

    @property
    def mean(self) -> float:
        """Mean difference over settings, in points."""
        return 100 * float(np.mean(self.differences))

    @property
    def won(self) -> str:
        """Settings won, by each test."""
        return f"{self.by_t} · {self.by_wilcoxon}"


def _against(pairs: Iterable[Comparison]) -> dict[tuple[str, str], _Against]:
    found: dict[tuple[str, str], _Against] = defaultdict(_Against)
    for pair in pairs:
        for c in (pair, turned(pair, pair.second)):
            if not math.isnan(c.difference.mean):
                one = found[c.first, c.second]
                one.differences.append(c.difference.mean)
                one.by_t += c.t_holm < SURE and c.difference.mean > 0
                one.by_wilcoxon += c.wilcoxon_holm < SURE and c.difference.mean > 0
    return dict(found)


def _powerless(compared: Iterable[Sequence[Comparison]]) -> str:
    """Say so where Wilcoxon's test cannot come out, whatever the runs say: Holm takes the least p times the pairs."""
    tested = [[c.n for c in found if c.n > 1] for found in compared]
    least, n, pairs = min((len(of) * 2.0 ** (1 - max(of)), max(of), len(of)) for of in tested if of)
    if least < SURE:
        return ""
    among, adjusted = (f" and {pairs} pairs", ", adjusted,") if pairs > 1 else ("", "")
    return (
        f" With {many(n, 'seed')}{among} Wilcoxon's smallest possible p{adjusted} is {min(least, 1):.3g}, so it "
        "cannot come out."
    )


def _penalties(found: PenaltyMatrix, how: str, note: str, look: Mapping[str, Look]) -> str:
    cells = {
        pair: (value / max(found.most, 1), f"{value:.2f}".rstrip("0").rstrip("."))
        for pair, value in found.penalty.items()
    }
    said = (
        f"{note} Summed over {many(found.most, 'setting')}, so at most {found.most}. A small mean is good. "
        f"{EVERYTHING}"
    )
    foot = ("mean lost", {label: f"{value:.2f}" for label, value in found.mean.items()})
    return _matrix(f"Penalties, {how}", cells, found.labels, look, foot, said)


def _differences(pairs: Sequence[Comparison], tests: str, look: Mapping[str, Look]) -> str:
    """Draw the matrix of differences; `tests` says what the small print in its cells is, empty where there is none."""
    against = _against(pairs)
    lost = _mean_over_rows({pair: one.mean for pair, one in against.items()})
    most = max((abs(one.mean) for one in against.values()), default=0.0) or 1.0
    cells = {
        pair: (max(0.0, one.mean) / most, _signed(one.mean) + (f"<small>{one.won}</small>" if tests else ""))
        for pair, one in against.items()
    }
    note = (
        "Row minus column in mean accuracy over labels, in points, averaged over the settings that both finished. "
        f"{tests} {EVERYTHING}"
    )
    order = sorted(lost, key=lambda b: lost[b])
    foot = ("mean", {label: _signed(value) for label, value in lost.items()})
    title = "Differences of mean accuracy" + (", and tests" if tests else "")
    return _matrix(title, cells, order, look, foot, note)


def _mean_over_rows(values: Mapping[tuple[str, str], float]) -> dict[str, float]:
    labels = dict.fromkeys(label for pair in values for label in pair)
    return {b: float(np.mean([v for (_, loser), v in values.items() if loser == b] or [0.0])) for b in labels}


def _signed(value: float) -> str:
    return f"{rounded(value, 1):+.1f}".replace("-", "\u2212")


def _matrix(
    title: str,
    cells: Mapping[tuple[str, str], tuple[float, str]],
    labels: Sequence[str],
    look: Mapping[str, Look],
    foot: tuple[str, Mapping[str, str]],
    note: str,
) -> str:
    """Draw rows against columns; each cell has a depth of colour in [0, 1] and what it says."""
    tags = {label: about("", [label]) for label in labels}
    top = "".join(f"<th scope='col'{tags[b]}><span>{glyph(look[b])}{escape(b)}</span></th>" for b in labels)
    rows = []
    for a in labels:
        line = ""
        for b in labels:
            depth, said = cells.get((a, b), (0.0, ""))
            line += (
                f"<td class='self'{tags[b]}></td>" if a == b
                else f"<td{tags[b]} style='--share:{depth:.3f}'>{said}</td>"
            )  # fmt: skip
        rows.append(f"<tr{tags[a]}><th scope='row'>{glyph(look[a])}{escape(a)}</th>{line}</tr>")
    last = "".join(f"<td{tags[b]}>{foot[1][b]}</td>" for b in labels)
    return (
        f"<figure><figcaption>{title}</figcaption><div class='scroll'><table class='matrix'>"
        f"<thead><tr><td></td>{top}</tr></thead><tbody>{''.join(rows)}</tbody>"
        f"<tfoot><tr><th scope='row'>{foot[0]}</th>{last}</tr></tfoot></table></div>"
        f"<p class='note'>{note}</p></figure>"
    )
