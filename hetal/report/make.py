"""The report as a folder: the page, its figures, and every number in tables."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hetal.errors import BadInput
from hetal.machine.files import make_folder, write_text
from hetal.report.analyse.ceiling import ceiling_of, set_apart
from hetal.report.analyse.completeness import missing
from hetal.report.analyse.penalties import TESTS, ranking
from hetal.report.analyse.results import Curve
from hetal.report.analyse.setting import Setting, settings_of
from hetal.report.files import tables
from hetal.report.files.charts import charts_of, draw
from hetal.report.files.figures import draw_ranks, looks
from hetal.report.files.parallel import Task, at_once
from hetal.report.load.plain import plain
from hetal.report.load.reading import Reading, read
from hetal.report.page.page import curves, page
from hetal.report.page.pictures import pictures

Curves = Mapping[tuple[str, str, str], Curve]


@dataclass(frozen=True)
class Made:
    """What was made: where the page is, and what it is made of."""

    page: Path
    n_settings: int
    reading: Reading


def report(
    folders: Sequence[Path],
    out: Path,
    title: str,
    with_pictures: bool = True,
    again: float | None = None,
    target: float | None = None,
) -> Made:
    """Write the report of all runs under `folders` to `out`; the page last, so that what it names is there.

    Args:
        folders: runs, studies, or folders of studies.
        out: made where it does not exist.
        title: of the page.
        with_pictures: show what was bought first.
        again: the page reloads itself every so many seconds.
        target: accuracy in [0, 1] that labels are counted to; random's final accuracy where None.

    Raises:
        BadInput: there is nothing to report on, or `out` cannot be written.
    """
    reading = read(folders)
    buying, whole = set_apart(reading.runs)
    settings = settings_of(buying, target)
    if not settings:
        raise BadInput(_nothing(folders[0], reading))
    make_folder(out)
    look = looks(sorted({run.label for run in buying}))
    ceilings = {s.name: c for s in settings if (c := ceiling_of(s, whole)) is not None}
    drawn = curves(settings)
    charts: list[Task] = [partial(draw, chart, look) for chart in charts_of(settings, drawn, ceilings, out)]
    with at_once(charts):
        write_tables(reading, settings, drawn, out)
        ranks_svg = _ranks(settings, out)
        shown = pictures(settings, look, out) if with_pictures else ""
        html = page(title, reading, settings, drawn, look, shown, ranks_svg, ceilings)
    if again is not None:
        refresh = f'<meta http-equiv="refresh" content="{again:g}">'
        html = html.replace("<meta charset", f"{refresh}\n<meta charset", 1)
    write_text(out / "index.html", html)
    return Made(out / "index.html", len(settings), reading)


def write_tables(reading: Reading, settings: Sequence[Setting], drawn: Curves, out: Path) -> None:
    """Write every number of the report: CSV files, and numbers.tex."""
    numbers = [s.numbers(label) for s in settings for label in s.finished]
    tables.write_csv(out / "numbers.csv", map(tables.numbers_row, numbers))
    tables.write_csv(
        out / "comparisons.csv", (tables.comparison_row(c) for s in settings for c in s.comparisons())
    )
    by_test = [(test, s.name, s.penalties(test)) for test in TESTS for s in settings]
    tables.write_csv(
        out / "penalties.csv",
        (
            {"test": test, "setting": name, "winner": a, "loser": b, "penalty": value}
            for test, name, penalties in by_test
            for (a, b), value in penalties.items()
        ),
    )
    ranks = ranking(settings)
    tables.write_csv(out / "ranks.csv", tables.rank_rows(ranks) if ranks else [])
    tables.write_csv(
        out / "curves.csv", (row for key, c in drawn.items() for row in tables.curve_rows(key, c))
    )
    tables.write_csv(out / "runs.csv", map(tables.run_row, reading.runs))
    tables.write_csv(out / "missing.csv", (vars(m) for m in missing(reading, settings)))
    write_text(out / "numbers.tex", tables.latex(numbers))


def seconds_since(began: float) -> str:
    """Return how long something took, for people."""
    return f"{time.monotonic() - began:.1f} s"


def _nothing(folder: Path, reading: Reading) -> str:
    said = f"{folder}: no run has finished a round yet"
    if reading.problems:
        damaged, reason = reading.problems[0]
        said += f"; {len(reading.problems)} could not be read, such as {plain(damaged.name)}: {reason}"
    return said


def _ranks(settings: Sequence[Setting], out: Path) -> str:
    found = ranking(settings)
    if found is None or found.n_settings < 2 or len(found.ranks) < 3:
        return ""
    draw_ranks(found, out / "ranks")
    svg = (out / "ranks.svg").read_text()
    svg = svg[svg.index("<svg") :]
    return svg.replace("#000000", "currentColor").replace("fill: #ffffff", "fill: none")
