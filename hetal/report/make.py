"""The report as a folder: the page, its figures, and all numbers in tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hetal.errors import BadInput
from hetal.machine.files import make_folder, write_text
from hetal.report.analyse.analysis import analyse, study_of
from hetal.report.analyse.pictures import pictures_of
from hetal.report.files.charts import chart_figures, draw
from hetal.report.files.figures import draw_ranks
from hetal.report.files.parallel import Task, in_background
from hetal.report.files.pictures import save_pictures
from hetal.report.files.tables import write_tables
from hetal.report.load.printable import plain
from hetal.report.load.reading import Reading, read
from hetal.report.page.pictures import shown
from hetal.report.page.render import render


@dataclass(frozen=True)
class Made:
    """A report: its page, and the number of settings and the records that it is of."""

    page: Path
    n_settings: int
    reading: Reading


def report(
    folders: Sequence[Path],
    out: Path,
    title: str,
    with_pictures: bool = True,
    refresh: float | None = None,
    target: float | None = None,
) -> Made:
    """Write the report of all runs under `folders` to `out`; the page last, so that the files it names exist.

    Args:
        folders: runs, studies, or folders of studies.
        out: made where it does not exist.
        title: of the page.
        with_pictures: show what was acquired first.
        refresh: the page reloads itself every so many seconds.
        target: accuracy in [0, 1] that labels are counted to; random's final accuracy where None.

    Raises:
        BadInput: there is nothing to report on, or `out` cannot be written.
    """
    reading = read(folders)
    study = study_of(reading, target)
    if not study.settings:
        raise BadInput(_nothing(folders[0], reading))
    make_folder(out)
    charts: list[Task] = [partial(draw, chart, study.looks) for chart in chart_figures(study, out)]
    with in_background(charts):
        analysis = analyse(study)
        write_tables(analysis, out)
        ranks_svg = draw_ranks(analysis.ranking, out / "ranks") if analysis.ranking else ""
        pictures = None
        if with_pictures:
            pictures = [shown(p, save_pictures(p, out)) for p in pictures_of(study.settings, study.looks)]
        html = render(analysis, title, pictures, ranks_svg, refresh)
    write_text(out / "index.html", html)
    return Made(out / "index.html", len(study.settings), reading)


def _nothing(folder: Path, reading: Reading) -> str:
    reason = f"{folder}: no run has finished a round yet"
    if reading.problems:
        damaged, why = reading.problems[0]
        reason += f"; {len(reading.problems)} could not be read, such as {plain(damaged.name)}: {why}"
    return reason
