"""The report as a folder: the page, its figures, and all numbers in tables."""

from __future__ import annotations

import hashlib
import pickle
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from hetal.errors import BadInput
from hetal.machine.files import make_folder, write_text
from hetal.record.measures import MEASURES
from hetal.report.analyse.analysis import Analysis, Study, analyse, study_of
from hetal.report.analyse.criterion import (
    RANDOM,
    Criterion,
    check_held,
    check_target,
    measures_named,
    measures_of,
)
from hetal.report.analyse.curves import charts_of
from hetal.report.analyse.heat import heat_of
from hetal.report.analyse.own import own_measures
from hetal.report.analyse.pictures import pictures_of
from hetal.report.files.charts import chart_figures, draw
from hetal.report.files.figures import Sheet
from hetal.report.files.heatmap import draw_heatmap
from hetal.report.files.parallel import Task, in_background
from hetal.report.files.pictures import save_pictures
from hetal.report.files.ranks import can_rank, draw_ranks, ranks_html
from hetal.report.files.tables import write_tables
from hetal.report.load.names import Names, names_of, renamed, unknown
from hetal.report.load.printable import plain
from hetal.report.load.reading import Before, Reading, read
from hetal.report.page.pictures import shown
from hetal.report.page.render import render

# By which a page of a report is known, see header.html.
MADE_BY = b"by <code>python -m hetal.report</code>"


@dataclass(frozen=True)
class Made:
    """A report: its page, the number of settings and the records that it is of, and names that no record has."""

    page: Path
    n_settings: int
    reading: Reading
    unused: tuple[str, ...] = ()


@dataclass
class Memory:
    """What was read and drawn before, so that a report that is made again and again does only what has changed.

    Attributes:
        records: see `hetal.report.load.reading.read`.
        figures: a digest of what each file of a figure shows.
    """

    records: Before = field(default_factory=dict)
    figures: dict[Path, bytes] = field(default_factory=dict)

    def changed(self, path: Path, shows: object) -> bool:
        """Tell whether a figure shows something else than it did, or its file is gone."""
        digest = hashlib.sha256(pickle.dumps(shows)).digest()
        is_same = self.figures.get(path) == digest and path.with_name(f"{path.name}.svg").exists()
        self.figures[path] = digest
        return not is_same


def report(
    folders: Sequence[Path],
    out: Path,
    title: str,
    with_pictures: bool = True,
    refresh: float | None = None,
    target: float | None = None,
    measures: str | None = None,
    names: Names | None = None,
    memory: Memory | None = None,
) -> Made:
    """Write the report of all runs under `folders` to `out`; the pages last, so that the files they name exist.

    Args:
        folders: runs, studies, or folders of studies.
        out: made where it does not exist.
        title: of the page; empty for that of the names, or the folders' names.
        with_pictures: show what was acquired first.
        refresh: the page reloads itself every so many seconds.
        target: value of the first measure that labels are counted to; that of random at its end where None.
        measures: keys of those that strategies are compared by, a page each, the first on index.html, such as
            "accuracy,nll"; the usual ones and those of the user's own unless given.
        names: of strategies and settings; those of a `report.yaml` in a folder unless given.
        memory: of the report that was made before to the same folder.

    Raises:
        BadInput: there is nothing to report on, there is no such measure or no record holds it, or `out` cannot be
                written.
    """
    names = names_of(folders) if names is None else names
    memory = memory or Memory()
    reading = read(folders, memory.records)
    unused = unknown(reading, names)
    reading = renamed(reading, names)
    title = title or names.title or _title(folders)
    own = own_measures(reading.runs, names)
    if measures is not None:
        chosen, why = measures_named(measures, own), ""
        check_held(chosen, reading.runs)
    else:
        chosen, why = measures_of(reading.runs, own)
        is_compared = len({run.label for run in reading.runs}) > 1
        chosen = chosen if is_compared else chosen[:1]
    baseline = names.among(names.baseline or RANDOM, {run.label for run in reading.runs})
    criteria = [
        Criterion(chosen[0], target, baseline, why),
        *(Criterion(measure, baseline=baseline) for measure in chosen[1:]),
    ]
    check_target(target, chosen[0])
    studies = [study_of(reading, c, names, charts_of(c.measure, own)) for c in criteria]
    first = studies[0]
    if not first.settings:
        raise BadInput(_nothing(folders[0], reading))
    make_folder(out)
    charts = chart_figures(first, out)
    for other in studies[1:]:
        charts += chart_figures(other, out, only=(other.charts[0],))
    tasks: list[Task] = [
        partial(draw, chart, first.looks)
        for chart in charts
        if memory.changed(chart.path, (chart, first.looks))
    ]
    for study in studies:
        heat, path = heat_of(study, as_given=bool(names.strategies)), _path(out, "heatmap", study, first)
        if heat and memory.changed(path, heat):
            tasks.append(partial(draw_heatmap, heat, path))
    with in_background(tasks) as add:
        analyses = [analyse(first)]
        analyses += [analyse(study, analyses[0]) for study in studies[1:]]
        write_tables(analyses, out)
        pictures = None
        if with_pictures:
            pictures = [
                shown(p, save_pictures(p, out, add)) for p in pictures_of(first.settings, first.looks)
            ]
        pages = {study.criterion.name: f"{_stem(study)}.html" for study in studies}
        pages[first.criterion.name] = "index.html"
        html = {
            pages[analysis.study.criterion.name]: render(
                analysis, title, pictures if analysis is analyses[0] else None,
                _ranks(analysis, _path(out, "ranks", analysis.study, first), add, memory),
                refresh, pages, is_whole=analysis is analyses[0],
            )
            for analysis in analyses
        }  # fmt: skip
    before = {
        *(f"{_file_of(key)}.html" for key in MEASURES),
        *(path.name for path in out.glob("measures-*.html")),
    }
    for gone in before - {*html}:
        with suppress(OSError):
            if MADE_BY in (out / gone).read_bytes():
                (out / gone).unlink()  # of a report by other measures that was made here before
    for name, text in reversed(html.items()):
        write_text(out / name, text)
    return Made(out / "index.html", len(first.settings), reading, tuple(unused))


def _title(folders: Sequence[Path]) -> str:
    """Return the folders' names, with their parents' where two are equal."""
    whole = list(dict.fromkeys(folder.resolve() for folder in folders))
    are_equal = len({folder.name for folder in whole}) < len(whole)
    return " and ".join(
        f"{folder.parent.name}/{folder.name}" if are_equal else folder.name for folder in whole
    )


def _stem(study: Study) -> str:
    """Return how the names of files by the measure of a study begin."""
    return _file_of(study.criterion.measure.key)


def _file_of(key: str) -> str:
    return re.sub(r"[^a-z0-9]", "-", key)


def _path(out: Path, name: str, study: Study, first: Study) -> Path:
    """Return the path of a figure without a suffix: that by the first measure has the plain name."""
    return out / (name if study is first else f"{name}-{_stem(study)}")


def _ranks(analysis: Analysis, path: Path, add: Callable[[Task], None], memory: Memory) -> str:
    """Draw the mean ranks of an analysis, files that the page does not need in the background; return HTML."""
    ranking = analysis.ranking
    if ranking is None or not can_rank(ranking):
        return ""
    if memory.changed(path, ranking):
        add(partial(draw_ranks, ranking, path, Sheet(formats=("png", "pdf"))))
        draw_ranks(ranking, path, Sheet(formats=("svg",)))
    return ranks_html(path)


def _nothing(folder: Path, reading: Reading) -> str:
    reason = f"{folder}: no run has finished a round yet"
    if reading.problems:
        damaged, why = reading.problems[0]
        reason += f"; {len(reading.problems)} could not be read, such as {plain(damaged.name)}: {why}"
    return reason
