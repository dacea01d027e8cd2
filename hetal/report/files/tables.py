"""All numbers of the report as CSV files, and the main ones in numbers.tex."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hetal.machine.files import write_text
from hetal.report.analyse.acquired import Acquired, share_of_queries
from hetal.report.analyse.analysis import Analysis
from hetal.report.analyse.kinds import Kinds
from hetal.report.analyse.regions import Regions
from hetal.report.analyse.results import Comparison, Curve, Numbers
from hetal.report.files.latex import latex
from hetal.report.load.frames import round_rows
from hetal.report.load.own import own_ranges
from hetal.report.load.printable import plain
from hetal.report.load.records import Run
from hetal.report.stats.intervals import Interval
from hetal.report.stats.penalties import Penalties
from hetal.report.stats.ranks import Ranking

# Columns of tables that may be empty, since readers of CSV expect a header.
COLUMNS_OF = {
    "comparisons": (
        "measure", "setting", "first", "second", "n", "difference", "difference_low", "difference_high", "effect", "t",
        "t_holm", "wilcoxon", "wilcoxon_holm", "wins", "ties", "losses", "final_difference", "final_difference_low",
        "final_difference_high", "shared_labels", "trusted", "also_differ_in",
    ),
    "penalties": ("measure", "test", "setting", "winner", "loser", "penalty"),
    "ranks": ("measure", "strategy", "mean_rank", "settings", "friedman_p", "critical_difference"),
    "missing": ("what", "state", "command"),
    "acquired": (
        "setting", "strategy", "n", "clean", "clean_low", "clean_high", "right", "right_low", "right_high", "rejected",
        "rejected_low", "rejected_high", "distinct", "distinct_low", "distinct_high",
    ),
    "kinds": ("setting", "strategy", "kind", "share", "share_low", "share_high", "pool"),
    "regions": (
        "setting", "strategy", "first", "last", "noise_rate", "share", "share_low", "share_high", "pool",
    ),
}  # fmt: skip

# What begins a formula in a spreadsheet; text of records must not, numbers may.
FORMULA = ("=", "+", "-", "@", "\t", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows with every column that any of them has; without rows, with those of `COLUMNS_OF`.

    NaN and absent values are empty fields. Text that a spreadsheet would evaluate gets an apostrophe in front.
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
    # The writer does not quote it, and readers begin a new line there.
    text = value.replace("\r", "\\r")
    return f"'{text}" if text.startswith(FORMULA) else text


def write_tables(analyses: Sequence[Analysis], out: Path) -> None:
    """Write all numbers of a report to the folder `out`: CSV files, and numbers.tex.

    Args:
        analyses: of the same records, each by a measure of its own.
        out: of the files.
    """
    first = analyses[0]
    study, common = first.study, first.common
    write_csv(out / "numbers.csv", _by_measure(analyses, _numbers_rows))
    write_csv(out / "comparisons.csv", _by_measure(analyses, _comparison_rows))
    write_csv(out / "penalties.csv", _by_measure(analyses, lambda a: _penalty_rows(a.penalties)))
    write_csv(out / "ranks.csv", _by_measure(analyses, lambda a: _rank_rows(a.ranking) if a.ranking else []))
    write_csv(out / "curves.csv", (row for key, c in study.curves.items() for row in _curve_rows(key, c)))
    write_csv(out / "acquired.csv", map(_acquired_row, common.acquired))
    write_csv(out / "kinds.csv", (row for kinds in common.kinds for row in _kind_rows(kinds)))
    write_csv(out / "regions.csv", (row for regions in common.regions for row in _region_rows(regions)))
    write_csv(out / "runs.csv", map(_run_row, study.reading.runs))
    own = [*own_ranges(study.reading.runs)]
    write_csv(out / "rounds.csv", (row for run in study.reading.runs for row in round_rows(run, own)))
    write_csv(out / "missing.csv", (vars(m) for m in common.missing))
    tables = [latex([*_numbers(a)], a.study.criterion) for a in analyses]
    write_text(out / "numbers.tex", "\n".join(tables))


def _by_measure(
    analyses: Sequence[Analysis], rows: Callable[[Analysis], Iterable[Mapping[str, Any]]]
) -> Iterator[dict[str, Any]]:
    """Yield the rows of every analysis, with its measure in front."""
    for analysis in analyses:
        for row in rows(analysis):
            yield {"measure": analysis.study.criterion.measure.key, **row}


def _numbers(analysis: Analysis) -> Iterator[Numbers]:
    return (n for by_label in analysis.numbers.values() for n in by_label.values())


def _numbers_rows(analysis: Analysis) -> Iterator[dict[str, Any]]:
    return map(_numbers_row, _numbers(analysis))


def _comparison_rows(analysis: Analysis) -> Iterator[dict[str, Any]]:
    return (_comparison_row(c) for pairs in analysis.comparisons.values() for c in pairs)


def _numbers_row(n: Numbers) -> dict[str, Any]:
    """Return a row of numbers.csv; shares are in [0, 1]."""
    row: dict[str, Any] = {"setting": n.setting, "strategy": n.label, "n": n.n}
    row |= _three("area", n.area)
    for name in ("final", "clean_share", "reach", "saving"):
        row |= _three(name, getattr(n, name))
    row |= {
        "reached": n.reached,
        "paired": n.paired,
        "paired_baseline": n.paired_baseline,
        "is_bound": n.is_bound,
    }
    row |= {"peak_memory_mb": n.peak_memory_mb}
    return row | {f"seconds_{phase}_per_round": seconds for phase, seconds in n.seconds.items()}


def _comparison_row(c: Comparison) -> dict[str, Any]:
    """Return a row of comparisons.csv."""
    row: dict[str, Any] = {"setting": c.setting, "first": c.first, "second": c.second, "n": c.n}
    row |= _three("difference", c.difference)
    names = ("effect", "t", "t_holm", "wilcoxon", "wilcoxon_holm", "wins", "ties", "losses")
    row |= {name: getattr(c, name) for name in names}
    row |= _three("final_difference", c.final)
    return row | {
        "shared_labels": c.shared,
        "trusted": c.has_enough_seeds,
        "also_differ_in": " ".join(c.confounds),
    }


def _penalty_rows(penalties: Mapping[str, Mapping[str, Penalties]]) -> Iterator[dict[str, Any]]:
    """Yield the rows of penalties.csv."""
    for test, by_setting in penalties.items():
        for setting, table in by_setting.items():
            for (winner, loser), value in table.items():
                yield {"test": test, "setting": setting, "winner": winner, "loser": loser, "penalty": value}


def _curve_rows(key: tuple[str, str, str], curve: Curve) -> list[dict[str, Any]]:
    """Return the rows of one curve, whose key is its setting, strategy and chart."""
    setting, label, measure = key
    points = zip(curve.x, curve.mean, curve.low, curve.high, curve.n, strict=True)
    return [
        {
            "setting": setting, "strategy": label, "measure": measure, "x": x, "mean": mean, "low": low,
            "high": high, "n": n,
        }
        for x, mean, low, high, n in points
    ]  # fmt: skip


def _acquired_row(a: Acquired) -> dict[str, Any]:
    """Return a row of acquired.csv; shares are in [0, 1], of all rows that queries acquired."""
    row: dict[str, Any] = {"setting": a.setting, "strategy": a.label, "n": a.n}
    for name in ("clean", "right", "rejected", "distinct"):
        row |= _three(name, getattr(a, name))
    return row


def _kind_rows(kinds: Kinds) -> Iterator[dict[str, Any]]:
    """Yield the rows of kinds.csv of one setting."""
    for label, shares in kinds.queried.items():
        for name, share in shares.items():
            row = {"setting": kinds.setting, "strategy": label, "kind": name, **_three("share", share)}
            yield row | {"pool": kinds.pool.get(name, math.nan)}


def _region_rows(found: Regions) -> Iterator[dict[str, Any]]:
    """Yield the rows of regions.csv of one setting, the noisiest regions first."""
    for region in found.regions:
        for label, share in region.queried.items():
            yield {
                "setting": found.setting, "strategy": label, "first": region.rank, "last": region.last,
                "noise_rate": region.noise_rate, **_three("share", share), "pool": region.pool,
            }  # fmt: skip


def _rank_rows(ranking: Ranking) -> list[dict[str, Any]]:
    """Return the rows of ranks.csv; what holds for all strategies is in each."""
    common = {
        "settings": ranking.n_settings, "friedman_p": ranking.p, "critical_difference": ranking.critical_difference
    }  # fmt: skip
    return [{"strategy": label, "mean_rank": rank, **common} for label, rank in ranking.ranks.items()]


def _run_row(run: Run) -> dict[str, Any]:
    """Return a row of runs.csv."""
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
        "queried_right_share": share_of_queries(run, "right_share"),
        "queried_rejected_share": share_of_queries(run, "n_rejected"),
        "seconds": _seconds(run),
        "folder": plain(f"{run.folder.parent.name}/{run.folder.name}"),
    }


def _seconds(run: Run) -> float:
    """Return what all phases of all rounds took; NaN where the record does not say."""
    spent = [row["seconds"] for row in run.rounds if row.get("seconds")]
    return sum(sum(phases.values()) for phases in spent) if spent else math.nan


def _three(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}
