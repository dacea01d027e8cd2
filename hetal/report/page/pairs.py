"""Who beats whom: matrices over all settings, ranks, and every pair of every setting."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from hetal.report.analyse.results import Comparison
from hetal.report.analyse.setting import Setting
from hetal.report.files.figures import Look
from hetal.report.page.markup import (
    Row,
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
from hetal.report.page.matrices import matrices
from hetal.report.stats.ranks import Ranking


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
    body = matrices(compared, settings, look)
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
