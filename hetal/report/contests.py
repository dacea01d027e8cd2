"""Who beats whom: matrices over all settings, ranks, and every pair of every setting."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np

from hetal.report.analysis import Comparison, Setting, turned
from hetal.report.figures import Look
from hetal.report.markup import (
    Row,
    about,
    glyph,
    many,
    number,
    p_value,
    plain,
    section,
    share,
    table,
    text,
    where,
)
from hetal.report.matches import PenaltyMatrix, penalty_matrix
from hetal.report.ranks import Ranking

SURE = 0.05

BADGE = (
    "BADGE's matrix (Ash et al., ICLR 2020): at each checkpoint a paired t-test at 0.05 adds 1 / #checkpoints where "
    "the row beats the column."
)
WILCOXON = "The same by Wilcoxon's signed-rank test, adjusted by Holm for all pairs at the checkpoint."


def contests(
    compared: Mapping[str, Sequence[Comparison]],
    settings: Sequence[Setting],
    look: Mapping[str, Look],
    ranks: Ranking | None,
    ranks_svg: str,
) -> str:
    """Return the section.

    Args:
        compared: the pairs of each setting.
        settings: all of them.
        look: of every strategy.
        ranks: over the settings.
        ranks_svg: the critical-difference diagram, or nothing.
    """
    pairs = [c for found in compared.values() for c in found]
    if not pairs:
        return section("contests", "Who beats whom", "<p>There are no two strategies to compare.</p>")
    n = len(settings)
    matrices = [_penalties(penalty_matrix(settings), "by t-tests", BADGE, look)]
    by_wilcoxon, powerless = penalty_matrix(settings, "wilcoxon"), _powerless(pairs)
    if any(by_wilcoxon.penalty.values()):
        matrices.append(_penalties(by_wilcoxon, "by Wilcoxon's test", f"{WILCOXON}{powerless}", look))
    matrices.append(_differences(pairs, n, look))
    body = f"<div class='matrices'>{''.join(matrices)}</div>"
    if not any(by_wilcoxon.penalty.values()):
        body += f"<p>By Wilcoxon's test, adjusted by Holm, no checkpoint is won by anybody.{powerless}</p>"
    body += _ranks(ranks, ranks_svg)
    columns = ("setting", "first", "second", "n", "difference", "effect size", "p (t)", "p (Wilcoxon)", "win/tie/loss",
               "difference at the end", "also differs in")  # fmt: skip
    rows = (
        Row(
            [
                where(c.setting), text(c.first), text(c.second), number(c.n, str(c.n)), share(c.difference, sign=True),
                number(c.effect, plain(c.effect, 2)), number(c.t_holm, p_value(c.t_holm)),
                number(c.wilcoxon_holm, p_value(c.wilcoxon_holm)), number(c.wins, f"{c.wins}/{c.ties}/{c.losses}"),
                share(c.final, sign=True), text(", ".join(c.beyond)),
            ],
            c.setting,
            [c.first, c.second],
        )
        for c in pairs
    )  # fmt: skip
    caption = "First minus second, in points of mean accuracy over labels, paired by seed"
    every = (
        f"<details><summary>Every pair ({len(pairs):,})</summary>{table(columns, rows, caption)}</details>"
    )
    note = "p-values are adjusted by Holm for all pairs of a setting; effect size is Cohen's d of paired differences."
    return section("contests", "Who beats whom", body + every, note)


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


def _powerless(pairs: Sequence[Comparison]) -> str:
    """Say so where Wilcoxon's test cannot come out, whatever the runs say."""
    n = max(c.n for c in pairs)
    least = 2.0 ** (1 - n)
    if n == 0 or least < SURE:
        return ""
    return f" With {many(n, 'seed')} Wilcoxon's smallest possible p is {least:.3g}, so it cannot come out."


def _penalties(found: PenaltyMatrix, how: str, note: str, look: Mapping[str, Look]) -> str:
    cells = {
        pair: (value / max(found.most, 1), f"{value:.2f}".rstrip("0").rstrip("."))
        for pair, value in found.penalty.items()
    }
    said = f"{note} Summed over {many(found.most, 'setting')}, so at most {found.most}. A small mean is good."
    foot = ("mean lost", {label: f"{value:.2f}" for label, value in found.mean.items()})
    return _matrix(f"Penalties, {how}", cells, found.labels, look, foot, said)


def _ranks(ranks: Ranking | None, svg: str) -> str:
    if ranks is None or ranks.n_settings < 2 or len(ranks.ranks) < 2:
        return ""
    most = many(ranks.n_settings, "setting")
    friedman = "" if math.isnan(ranks.p) else f" Friedman's test that all are alike: p {p_value(ranks.p)}."
    if not svg:
        said = ", ".join(f"{escape(label)} {rank:.2f}" for label, rank in ranks.ranks.items())
        return f"<p>Mean ranks over {most}: {said}.{friedman}</p>"
    return (
        f"<figure class='ranks'><figcaption>Mean ranks over {most}</figcaption>{svg}<p class='note'>1 is best; a bar "
        f"joins what Nemenyi's test does not tell apart at 0.05 (Demsar, JMLR 2006).{friedman}</p></figure>"
    )


def _differences(pairs: Sequence[Comparison], n: int, look: Mapping[str, Look]) -> str:
    against = _against(pairs)
    lost = _mean_over_rows({pair: one.mean for pair, one in against.items()})
    most = max((abs(one.mean) for one in against.values()), default=0.0) or 1.0
    cells = {
        pair: (max(0.0, one.mean) / most, f"{_signed(one.mean)}<small>{one.by_t} · {one.by_wilcoxon}</small>")
        for pair, one in against.items()
    }
    note = (
        "Row minus column in mean accuracy over labels, in points, averaged over the settings that both finished. "
        f"Small print: the number of settings, of {n}, in which the row is ahead at 0.05, by the paired t-test · by "
        f"Wilcoxon's signed-rank test, both adjusted by Holm for all pairs of a setting.{_powerless(pairs)}"
    )
    order = sorted(lost, key=lambda b: lost[b])
    foot = ("mean", {label: _signed(value) for label, value in lost.items()})
    return _matrix("Differences of mean accuracy, and tests", cells, order, look, foot, note)


def _mean_over_rows(values: Mapping[tuple[str, str], float]) -> dict[str, float]:
    labels = dict.fromkeys(label for pair in values for label in pair)
    return {b: float(np.mean([v for (_, loser), v in values.items() if loser == b] or [0.0])) for b in labels}


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "\u2212")


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
