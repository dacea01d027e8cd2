"""The main numbers of the report as LaTeX tables."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hetal.record.measures import Measure
from hetal.report.analyse.criterion import BY_ACCURACY, Criterion
from hetal.report.analyse.results import Numbers
from hetal.report.stats.intervals import Interval

# What pdfTeX's usual fonts have: Latin-1, but for letters of Icelandic.
LETTERS = frozenset(map(chr, range(0x20, 0x100))) - frozenset("ÐÞðþ")

# Settings side by side in one table: as many as a page is wide.
COLUMNS = 4

GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "varepsilon", "η": "eta", "θ": "theta", "κ": "kappa",
    "λ": "lambda", "μ": "mu", "ν": "nu", "π": "pi", "ρ": "rho", "σ": "sigma", "τ": "tau", "φ": "varphi", "χ": "chi",
    "ψ": "psi", "ω": "omega", "Δ": "Delta", "Σ": "Sigma", "Φ": "Phi", "Ω": "Omega",
}  # fmt: skip
# A "[" or "*" after \\ or \toprule would be its argument; \textquotedbl needs another font encoding than the usual.
TEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''", "[": "{[}", "*": "{*}", "\u2212": "$-$", "\u2264": r"$\leq$",
    "\u2265": r"$\geq$", "\u221e": r"$\infty$", "«": r"$\ll$",
    "»": r"$\gg$",
} | {c: "\\" + c for c in "_%&#${}"} | {c: rf"$\{name}$" for c, name in GREEK.items()}  # fmt: skip


def latex(numbers: Sequence[Numbers], criterion: Criterion = BY_ACCURACY) -> str:
    """Return booktabs tables of areas under the curve and of what runs end with, the best of each setting bold."""
    settings = list(dict.fromkeys(n.setting for n in numbers))
    in_percent = ", in percent" if criterion.unit else ""
    parts = []
    for name, what in (("area", criterion.area), ("final", criterion.final)):
        for i in range(0, len(settings), COLUMNS):
            parts += [
                f"% {what}{in_percent}, with 95% BCa intervals over seeds; needs booktabs",
                *_tabular(numbers, settings[i : i + COLUMNS], name, criterion.measure),
                "",
            ]
    return "\n".join(parts)


def _tabular(numbers: Sequence[Numbers], settings: Sequence[str], name: str, measure: Measure) -> list[str]:
    cells: dict[tuple[str, str], Interval] = {
        (n.setting, n.label): getattr(n, name) for n in numbers if n.n and n.setting in settings
    }
    competing = {(n.setting, n.label) for n in numbers if n.competes}
    best = {
        s: max(
            (i.mean for key, i in cells.items() if key[0] == s and key in competing),
            key=lambda mean: measure.sign * mean,
            default=math.nan,
        )
        for s in settings
    }
    seeds = {s: sorted({n.n for n in numbers if n.n and n.setting == s}) for s in settings}
    rows = []
    for label in dict.fromkeys(n.label for n in numbers):
        row = [tex(label)]
        for setting in settings:
            interval = cells.get((setting, label))
            is_best = interval is not None and interval.mean == best[setting]
            row.append(
                "--"
                if interval is None
                else _cell(interval, is_best and (setting, label) in competing, measure)
            )
        rows.append(" & ".join(row) + r" \\")
    n = [
        f"$n = {s[0]}$" if len(s) == 1 else f"$n = {s[0]}$ to ${s[-1]}$" if s else "--"
        for s in seeds.values()
    ]
    return [
        r"\begin{tabular}{l" + "r" * len(settings) + "}",
        r"\toprule",
        " & ".join(["", *(tex(s) for s in settings)]) + r" \\",
        " & ".join(["", *n]) + r" \\",
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
    ]


def _cell(interval: Interval, is_best: bool, measure: Measure) -> str:
    numbers = (f"{measure.scale * value:.{measure.decimals}f}" for value in interval)
    mean, low, high = (number.replace("-", "$-$") for number in numbers)
    text = rf"\textbf{{{mean}}}" if is_best else mean
    if not math.isnan(interval.low):
        # In braces, since a bracket after \\ would be its argument.
        text += rf" {{\scriptsize [{low}, {high}]}}"
    return text


def tex(text: str) -> str:
    """Return text that any LaTeX sets as it is; where pdfTeX lacks a letter, it sets its number."""
    return "".join(_letter(c) for c in text)


def _letter(c: str) -> str:
    if c in TEX or c in LETTERS:
        return TEX.get(c, c)
    # XeTeX and LuaTeX, which read Unicode, know the command; pdfTeX skips the first branch unread.
    return rf"{{\ifdefined\Umathchar {c}\else U+{ord(c):04X}\fi}}"
