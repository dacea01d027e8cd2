"""Who beats whom: matrices over all settings, ranks, and every pair of every setting."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np

from hetal.report.analysis import Comparison, Setting
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

SURE = 0.05


def contests(
    compared: Mapping[str, Sequence[Comparison]],
    settings: Sequence[Setting],
    penalties: Mapping[tuple[str, str], float],
    look: Mapping[str, Look],
    ranks: Mapping[str, float],
    ranks_svg: str,
) -> str:
    """Return the section.

    Args:
        compared: the pairs of each setting.
        settings: all of them.
        penalties: BADGE's, (winner, loser), summed over settings.
        look: of every strategy.
        ranks: mean ranks over the settings.
        ranks_svg: the critical-difference diagram, or nothing.
    """
    pairs = [c for found in compared.values() for c in found]
    if not pairs:
        return section("contests", "Who beats whom", "<p>There are no two strategies to compare.</p>")
    n = len(settings)
    most = many(n, "setting")
    matrices = _matrix(
        "Penalties, by t-tests along the curve", penalties, n, look,
        f"BADGE's matrix (Ash et al., ICLR 2020): at each checkpoint a paired t-test at 0.05 adds 1 / #checkpoints "
        f"where the row beats the column; summed over {most}, so at most {n}. A small mean is good.",
    ) + _matrix(
        "Wins, by Wilcoxon's test of areas", _wins(pairs), n, look,
        f"In how many of {most} the row beats the column by mean accuracy over labels: Wilcoxon's signed-rank test "
        f"over seeds, adjusted by Holm for all pairs of a setting, at 0.05.{_powerless(pairs)}",
    )  # fmt: skip
    body = f"<div class='matrices'>{matrices}</div>"
    if ranks_svg:
        body += (
            f"<figure class='ranks'><figcaption>Mean ranks over {most}</figcaption>{ranks_svg}</figure><p class='note'>"
            "Critical-difference diagram (Demsar, JMLR 2006): 1 is best; a bar joins what Nemenyi's test does not tell "
            "apart at 0.05.</p>"
        )
    elif len(ranks) > 1 and n > 1:
        body += f"<p>Mean ranks: {', '.join(f'{escape(k)} {v:.2f}' for k, v in ranks.items())}.</p>"
    columns = (
        "setting",
        "first",
        "second",
        "n",
        "difference",
        "effect size",
        "p (t)",
        "p (Wilcoxon)",
        "win/tie/loss",
    )
    rows = (
        Row(
            [
                where(c.setting), text(c.first), text(c.second), number(c.n, str(c.n)), share(c.difference, sign=True),
                number(c.effect, plain(c.effect, 2)), number(c.t_holm, p_value(c.t_holm)),
                number(c.wilcoxon_holm, p_value(c.wilcoxon_holm)), number(c.wins, f"{c.wins}/{c.ties}/{c.losses}"),
            ],
            c.setting,
            [c.first, c.second],
        )
        for c in pairs
    )  # fmt: skip
    caption = "First minus second, in points of mean accuracy over labels, paired by seed"
    every = (
        f"<details><summary>All {many(len(pairs), 'pair')}</summary>{table(columns, rows, caption)}</details>"
    )
    note = "p-values are adjusted by Holm for all pairs of a setting; effect size is Cohen's d of paired differences."
    return section("contests", "Who beats whom", body + every, note)


def _wins(pairs: Iterable[Comparison]) -> dict[tuple[str, str], float]:
    """Count the settings in which one beats the other, by (winner, loser)."""
    found: dict[tuple[str, str], float] = {}
    for c in pairs:
        forward, back = (c.first, c.second), (c.second, c.first)
        for key, ahead in ((forward, c.difference.mean > 0), (back, c.difference.mean < 0)):
            found[key] = found.get(key, 0.0) + float(c.wilcoxon_holm < SURE and ahead)
    return found


def _powerless(pairs: Sequence[Comparison]) -> str:
    """Say where the test cannot come out, whatever the runs say."""
    n = max(c.n for c in pairs)
    least = 2.0 ** (1 - n)
    if n == 0 or least < SURE / max(1, len(pairs)):
        return ""
    return f" With {many(n, 'seed')} its smallest possible p is {least:.3g} before Holm, so it may never come out."


def _matrix(
    title: str, values: Mapping[tuple[str, str], float], most: int, look: Mapping[str, Look], note: str
) -> str:
    labels = sorted({label for pair in values for label in pair})
    lost = {b: float(np.mean([values.get((a, b), 0.0) for a in labels if a != b])) for b in labels}
    labels.sort(key=lambda b: (lost[b], -sum(values.get((b, a), 0.0) for a in labels)))
    top = "".join(
        f"<th scope='col'{about('', [b])}><span>{glyph(look[b])}{escape(b)}</span></th>" for b in labels
    )
    rows = []
    for a in labels:
        cells = "".join(
            f"<td class='self'{about('', [b])}></td>" if a == b else _shaded(values.get((a, b), 0.0), most, b)
            for b in labels
        )
        rows.append(f"<tr{about('', [a])}><th scope='row'>{glyph(look[a])}{escape(a)}</th>{cells}</tr>")
    means = "".join(f"<td{about('', [b])}>{lost[b]:.2f}</td>" for b in labels)
    return (
        f"<figure><figcaption>{title}</figcaption><div class='scroll'><table class='matrix'>"
        f"<thead><tr><td></td>{top}</tr></thead><tbody>{''.join(rows)}</tbody>"
        f"<tfoot><tr><th scope='row'>mean lost</th>{means}</tr></tfoot></table></div>"
        f"<p class='note'>{note}</p></figure>"
    )


def _shaded(value: float, most: int, column: str) -> str:
    depth = 0.0 if math.isnan(value) else value / most
    shown = f"{value:.2f}".rstrip("0").rstrip(".")
    return f"<td{about('', [column])} style='--share:{depth:.3f}'>{shown}</td>"
