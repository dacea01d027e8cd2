"""Every number of the report as CSV, and the main ones as LaTeX."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hetal.machine.files import write_text
from hetal.report.analyse.results import Comparison, Curve, Numbers
from hetal.report.load.plain import plain
from hetal.report.load.records import Run
from hetal.report.stats.intervals import Interval
from hetal.report.stats.ranks import Ranking

# Of tables that may be empty, which a reader of CSV would otherwise stumble over.
COLUMNS_OF = {
    "comparisons": (
        "setting", "first", "second", "n", "difference", "difference_low", "difference_high", "effect", "t", "t_holm",
        "wilcoxon", "wilcoxon_holm", "wins", "ties", "losses", "final_difference", "final_difference_low",
        "final_difference_high", "shared_labels", "trusted", "also_differ_in",
    ),
    "penalties": ("test", "setting", "winner", "loser", "penalty"),
    "ranks": ("strategy", "mean_rank", "settings", "friedman_p", "critical_difference"),
    "missing": ("what", "state", "command"),
}  # fmt: skip

# Settings side by side in one LaTeX table: as many as a page is wide.
COLUMNS = 4

# What begins a formula where a table is opened in a spreadsheet: in text, which records bring; numbers stay numbers.
FORMULA = ("=", "+", "-", "@", "\t", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")

TEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
} | {c: "\\" + c for c in "_%&#${}"}  # fmt: skip


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows under all the columns that any of them has, or, of a table that may be empty, under its own.

    NaN, and what a row lacks, is an empty field. Text that a spreadsheet would compute has an apostrophe before it.
    """
    rows = list(rows)
    text = io.StringIO()
    columns = list(dict.fromkeys(key for row in rows for key in row)) or COLUMNS_OF.get(path.stem, [])
    writer = csv.DictWriter(text, fieldnames=columns, restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _field(value) for key, value in row.items()})
    write_text(path, text.getvalue())


def _field(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return ""
    if not isinstance(value, str):
        return value
    # The writer does not quote a field for it, and readers begin a new line there.
    text = value.replace("\r", "\\r")
    return f"'{text}" if text.startswith(FORMULA) else text


def numbers_row(n: Numbers) -> dict[str, Any]:
    """Return one line of numbers.csv; shares in [0, 1]."""
    row: dict[str, Any] = {"setting": n.setting, "strategy": n.label, "n": n.n}
    for name in ("area", "final", "clean_share", "reach", "saving"):
        row |= _three(name, getattr(n, name))
    row |= {
        "reached": n.reached,
        "paired": n.paired,
        "paired_random": n.paired_random,
        "is_bound": n.is_bound,
    }
    row |= {"peak_memory_mb": n.peak_memory_mb}
    return row | {f"seconds_{phase}_per_round": seconds for phase, seconds in n.seconds.items()}


def comparison_row(c: Comparison) -> dict[str, Any]:
    """Return one line of comparisons.csv."""
    row: dict[str, Any] = {"setting": c.setting, "first": c.first, "second": c.second, "n": c.n}
    row |= _three("difference", c.difference)
    names = ("effect", "t", "t_holm", "wilcoxon", "wilcoxon_holm", "wins", "ties", "losses")
    row |= {name: getattr(c, name) for name in names}
    row |= _three("final_difference", c.final)
    return row | {"shared_labels": c.shared, "trusted": c.trusted, "also_differ_in": " ".join(c.beyond)}


def curve_rows(key: tuple[str, str, str], curve: Curve) -> list[dict[str, Any]]:
    """Return the lines of curves.csv of one curve, whose key is its setting, strategy and measure."""
    setting, label, measure = key
    points = zip(curve.x, curve.mean, curve.low, curve.high, curve.n, strict=True)
    return [
        {
            "setting": setting, "strategy": label, "measure": measure, "x": x, "mean": mean, "low": low,
            "high": high, "n": n,
        }
        for x, mean, low, high, n in points
    ]  # fmt: skip


def rank_rows(ranking: Ranking) -> list[dict[str, Any]]:
    """Return the lines of ranks.csv; what is said of all stands in each."""
    about = {
        "settings": ranking.n_settings, "friedman_p": ranking.p, "critical_difference": ranking.critical_difference
    }  # fmt: skip
    return [{"strategy": label, "mean_rank": rank, **about} for label, rank in ranking.ranks.items()]


def run_row(run: Run) -> dict[str, Any]:
    """Return one line of runs.csv."""
    summary = run.summary or {}
    return {
        "setting": run.setting,
        "strategy": run.label,
        "seed": run.seed,
        "rounds": len(run.rounds),
        "finished": run.summary is not None,
        "area_under_curve": summary.get("area_under_curve", math.nan),
        "final_accuracy": summary.get("final_accuracy", math.nan),
        "queried_clean_share": summary.get("queried_clean_share", math.nan),
        "folder": plain(f"{run.folder.parent.name}/{run.folder.name}"),
    }


def latex(numbers: Sequence[Numbers]) -> str:
    """Return booktabs tables of areas under the curve and of final accuracies, the best of each setting bold."""
    settings = list(dict.fromkeys(n.setting for n in numbers))
    parts = []
    for name, what in (("area", "mean accuracy over labels"), ("final", "final accuracy")):
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
    best = {s: max((i.mean for (t, _), i in cells.items() if t == s), default=math.nan) for s in settings}
    seeds = {s: sorted({n.n for n in numbers if n.n and n.setting == s}) for s in settings}
    rows = []
    for label in dict.fromkeys(n.label for n in numbers):
        row = [_tex(label)]
        for setting in settings:
            interval = cells.get((setting, label))
            row.append("--" if interval is None else _cell(interval, interval.mean == best[setting]))
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
    said = f"{100 * interval.mean:.1f}"
    if is_best:
        said = rf"\textbf{{{said}}}"
    if not math.isnan(interval.low):
        # In braces, since a bracket after \\ would be its argument.
        said += rf" {{\scriptsize [{100 * interval.low:.1f}, {100 * interval.high:.1f}]}}"
    return said


def _three(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _tex(text: str) -> str:
    return "".join(TEX.get(c, c) for c in text)
