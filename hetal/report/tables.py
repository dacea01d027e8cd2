"""Every number of the report as CSV, and the main table as LaTeX."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hetal.files import write_text
from hetal.report.analysis import Comparison, Curve, Numbers
from hetal.report.reading import Run
from hetal.report.statistics import Interval


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows, whose first names the columns; NaN is an empty field."""
    rows = list(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: "" if isinstance(v, float) and math.isnan(v) else v for key, v in row.items()})
    write_text(path, text.getvalue())


def numbers_row(n: Numbers) -> dict[str, Any]:
    """Return one line of numbers.csv; shares in [0, 1]."""
    row: dict[str, Any] = {"setting": n.setting, "strategy": n.label, "n": n.n}
    for name in ("area", "final", "clean_share", "reach", "saving"):
        row |= _three(name, getattr(n, name))
    row |= {"reached": n.reached, "peak_memory_mb": n.peak_memory_mb}
    return row | {f"seconds_{phase}_per_round": seconds for phase, seconds in n.seconds.items()}


def comparison_row(c: Comparison) -> dict[str, Any]:
    """Return one line of comparisons.csv."""
    row: dict[str, Any] = {"setting": c.setting, "first": c.first, "second": c.second, "n": c.n}
    row |= _three("difference", c.difference)
    names = ("effect", "t", "t_holm", "wilcoxon", "wilcoxon_holm", "wins", "ties", "losses")
    return row | {name: getattr(c, name) for name in names}


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
        "folder": run.folder.name,
    }


def latex(numbers: Sequence[Numbers]) -> str:
    """Return a booktabs table: area under the curve in percent with 95% intervals, the best of each setting bold."""
    settings = list(dict.fromkeys(n.setting for n in numbers))
    labels = list(dict.fromkeys(n.label for n in numbers))
    cells = {(n.setting, n.label): n for n in numbers if n.n}
    lines = [
        r"% mean accuracy over labels, in percent, with 95% BCa intervals over seeds; needs booktabs",
        r"\begin{tabular}{l" + "r" * len(settings) + "}",
        r"\toprule",
        " & ".join(["", *(_tex(s) for s in settings)]) + r" \\",
        r"\midrule",
    ]
    best = {
        s: max((n.area.mean for (t, _), n in cells.items() if t == s), default=math.nan) for s in settings
    }
    for label in labels:
        row = [_tex(label)]
        for setting in settings:
            n = cells.get((setting, label))
            if n is None:
                row.append("--")
                continue
            said = f"{100 * n.area.mean:.1f}"
            if n.area.mean == best[setting]:
                said = rf"\textbf{{{said}}}"
            if not math.isnan(n.area.low):
                said += rf" {{\scriptsize [{100 * n.area.low:.1f}, {100 * n.area.high:.1f}]}}"
            row.append(f"{said}")
        lines.append(" & ".join(row) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _three(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _tex(text: str) -> str:
    return "".join(rf"\{c}" if c in "_%&#$" else c for c in text)
