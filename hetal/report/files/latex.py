"""The main numbers of the report as LaTeX tables."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hetal.record.measures import MEASURES
from hetal.report.analyse.results import Numbers
from hetal.report.stats.intervals import Interval

# Settings side by side in one table: as many as a page is wide.
COLUMNS = 4

# Attribute of `Numbers` and what it is.
TABLES = (("aulc", MEASURES["area_under_curve"].name), ("final", MEASURES["final_accuracy"].name))

TEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
} | {c: "\\" + c for c in "_%&#${}"}  # fmt: skip


def latex(numbers: Sequence[Numbers]) -> str:
    """Return booktabs tables of areas under the curve and of final accuracies, the best of each setting bold."""
    settings = list(dict.fromkeys(n.setting for n in numbers))
    parts = []
    for name, what in TABLES:
        for i in range(0, len(settings), COLUMNS):
            parts += [
                f"% {what}, in percent, with 95% BCa intervals over seeds; needs booktabs",
                *_tabular(numbers, settings[i : i + COLUMNS], name),
                "",
            ]
    return "\n".join(parts)


def _tabular(numbers: Sequence[Numbers], settings: Sequence[str], name: str) -> list[str]:
    cells: dict[tuple[str, str], Interval] = {
        (n.setting, n.label): getattr(n, name) for n in numbers if n.n and n.setting in settings
    }
    competing = {(n.setting, n.label) for n in numbers if n.competes}
    best = {
        s: max((i.mean for key, i in cells.items() if key[0] == s and key in competing), default=math.nan)
        for s in settings
    }
    seeds = {s: sorted({n.n for n in numbers if n.n and n.setting == s}) for s in settings}
    rows = []
    for label in dict.fromkeys(n.label for n in numbers):
        row = [_tex(label)]
        for setting in settings:
            interval = cells.get((setting, label))
            is_best = interval is not None and interval.mean == best[setting]
            row.append(
                "--" if interval is None else _cell(interval, is_best and (setting, label) in competing)
            )
        rows.append(" & ".join(row) + r" \\")
    n = [
        f"$n = {s[0]}$" if len(s) == 1 else f"$n = {s[0]}$ to ${s[-1]}$" if s else "--"
        for s in seeds.values()
    ]
    return [
        r"\begin{tabular}{l" + "r" * len(settings) + "}",
        r"\toprule",
        " & ".join(["", *(_tex(s) for s in settings)]) + r" \\",
        " & ".join(["", *n]) + r" \\",
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
    ]


def _cell(interval: Interval, is_best: bool) -> str:
    text = f"{100 * interval.mean:.1f}"
    if is_best:
        text = rf"\textbf{{{text}}}"
    if not math.isnan(interval.low):
        # In braces, since a bracket after \\ would be its argument.
        text += rf" {{\scriptsize [{100 * interval.low:.1f}, {100 * interval.high:.1f}]}}"
    return text


def _tex(text: str) -> str:
    return "".join(TEX.get(c, c) for c in text)
