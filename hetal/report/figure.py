"""One figure of a study by itself, for a paper: learning curves, mean ranks, or a heat map."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from hetal.errors import BadInput
from hetal.machine.files import make_folder
from hetal.report.analyse.analysis import Study, study_of
from hetal.report.analyse.ceiling import key, set_apart
from hetal.report.analyse.criterion import RANDOM, Criterion, check_target, measures_named, measures_of
from hetal.report.analyse.curves import OF_NOISE, charts_of
from hetal.report.analyse.heat import heat_of
from hetal.report.analyse.own import own_measures
from hetal.report.analyse.ranking import ranking_of
from hetal.report.analyse.styles import REFERENCE, Look, Looks, looks_of
from hetal.report.files.charts import chart_figures, draw
from hetal.report.files.figures import Sheet, own_colours, styled
from hetal.report.files.heatmap import draw_heatmap
from hetal.report.files.ranks import can_rank, draw_ranks
from hetal.report.load.names import Names, names_of, renamed, unknown
from hetal.report.load.reading import Reading, read
from hetal.report.load.records import Run
from hetal.report.load.selection import Selection, chosen


@dataclass(frozen=True)
class Wanted:
    """The figure that is asked for.

    Attributes:
        kind: "curves", "ranks" or "heatmap".
        selection: of strategies and settings.
        measure: key of that which strategies are compared by; the one that leads the report unless given.
        target: value that curves show as a line; none unless given.
        sheet: how it is drawn.
    """

    kind: str
    selection: Selection = field(default_factory=Selection)
    measure: str | None = None
    target: float | None = None
    sheet: Sheet = field(default_factory=Sheet)


@dataclass(frozen=True)
class Drawn:
    """What a figure is of: runs and settings; the records that were read; and names that no record has."""

    n_runs: int
    n_settings: int
    reading: Reading
    unused: tuple[str, ...] = ()


def figure(folders: Sequence[Path], path: Path, wanted: Wanted, names: Names | None = None) -> Drawn:
    """Write one figure of all runs under `folders` to `path`, which has no suffix, in every format of its sheet.

    Args:
        folders: runs, studies, or folders of studies.
        path: in a folder that is made where it does not exist.
        wanted: what to draw.
        names: of strategies and settings; those of a `report.yaml` in a folder unless given.

    Raises:
        BadInput: a name or a style is none, there is nothing to draw, or the file cannot be written.
    """
    with styled(wanted.sheet):
        cycle = own_colours()
    names = names_of(folders) if names is None else names
    reading = read(folders)
    unused = unknown(reading, names)
    reading = renamed(reading, names)
    if wanted.measure is None:
        measure = measures_of(reading.runs)[0][0]
    else:
        measure, *more = measures_named(wanted.measure, own_measures(reading.runs, names))
        if more:
            raise BadInput(f"--measure {wanted.measure}: a figure is of one measure")
    check_target(wanted.target, measure)
    baseline = names.among(names.baseline or RANDOM, {run.label for run in reading.runs})
    criterion = Criterion(measure, wanted.target, baseline)
    comparing, kept, shown = _kept(reading.runs, wanted, criterion, names)
    charts = charts_of(measure)[:1] if wanted.kind == "curves" else ()
    study = study_of(replace(reading, runs=tuple(kept)), criterion, names, charts)
    study = replace(study, looks=_looks(study, comparing, names, cycle))
    drawing = _drawing(study, path, wanted, shown, as_given=bool(names.strategies))
    make_folder(path.parent)
    try:
        drawing()
    except (RuntimeError, ValueError, TypeError) as error:
        if not wanted.sheet.styles:
            raise
        lines = str(error).splitlines() or [type(error).__name__]
        reason = next(
            (line for line in lines if line.startswith("! ")), lines[0]
        )  # "! " is how LaTeX's errors begin
        raise BadInput(
            f"--style {' '.join(wanted.sheet.styles)}: nothing can be drawn with it: {reason}"
        ) from error
    n = sum(run.label in shown for run in kept)
    return Drawn(n, len(study.settings), reading, tuple(unused))


def _kept(
    runs: Sequence[Run], wanted: Wanted, criterion: Criterion, names: Names
) -> tuple[list[Run], list[Run], set[str]]:
    """Choose runs.

    Returns:
        All that make queries; those that the figure needs, with ceilings and, of a heat map, the baseline; and the
        strategies that it shows.
    """
    comparing, _ = set_apart(runs, criterion.measure.key)
    if not comparing:
        raise BadInput("no run has finished a round yet")
    kept = chosen(comparing, wanted.selection, names)
    shown = {run.label for run in kept}
    if wanted.kind == "heatmap":
        settings = {run.setting for run in kept}
        kept = [r for r in comparing if r.setting in settings and r.label in {*shown, criterion.baseline}]
    ids, keys = {id(run) for run in comparing}, {key(run) for run in kept}
    if wanted.kind == "curves":
        kept += [run for run in runs if id(run) not in ids and key(run) in keys]
    return comparing, kept, shown


def _drawing(
    study: Study, path: Path, wanted: Wanted, shown: Collection[str], as_given: bool
) -> Callable[[], None]:
    """Return what draws the figure; refuse one of nothing."""
    if wanted.kind == "ranks":
        ranking = ranking_of(study.settings)
        if ranking is None or not can_rank(ranking):
            raise BadInput(f"--figure ranks: {_too_few(study, finished_in_all=True)}")
        return partial(draw_ranks, ranking, path, wanted.sheet)
    if wanted.kind == "heatmap":
        heat = heat_of(study, shown, as_given)
        if heat is None:
            raise BadInput(f"--figure heatmap: {_too_few(study)}")
        return partial(draw_heatmap, heat, path, wanted.sheet)
    (chart,) = study.charts
    noise = next((other for other in OF_NOISE if other.y == chart.y), None)
    if noise is not None:  # a share, beside that of the pool
        chart = replace(chart, base=noise.base, whole=noise.whole, ceiling=False)
    found = chart_figures(study, path.parent, (chart,))
    if not found:
        raise BadInput(f"--figure curves: no run has {chart.y}")
    return partial(draw, replace(found[0], path=path, target=wanted.target), study.looks, wanted.sheet)


def _looks(study: Study, comparing: Sequence[Run], names: Names, cycle: Sequence[str]) -> Looks:
    """Return the looks of the report, or others where two strategies of the figure would have the same colour.

    Args:
        study: of the figure.
        comparing: all runs of the report that make queries.
        names: give order and colours.
        cycle: colours of the user's style; none where empty.
    """
    labels = names.in_order(sorted({run.label for run in comparing}))
    bounds = {run.label for run in comparing if run.is_bound}
    colours = {names.among(label, labels): colour for label, colour in names.colours.items()}
    baseline = study.criterion.baseline
    of_report = looks_of(labels, baseline, bounds, _from(cycle, labels, baseline, bounds) | colours)
    looks: dict[str, Look] = {label: look for label, look in of_report.items() if label in study.looks}
    of_lines = [
        colour for label, (colour, *_) in looks.items() if label not in bounds and colour != REFERENCE
    ]
    if len(set(of_lines)) < len(of_lines):
        own = [*study.looks]
        return looks_of(own, baseline, bounds, _from(cycle, own, baseline, bounds) | colours)
    return looks


def _from(cycle: Sequence[str], labels: Sequence[str], baseline: str, bounds: set[str]) -> dict[str, str]:
    """Return colours of a cycle for strategies in order."""
    rest = [label for label in labels if label != baseline and label not in bounds]
    return {label: cycle[i % len(cycle)] for i, label in enumerate(rest)} if cycle else {}


def _too_few(study: Study, finished_in_all: bool = False) -> str:
    done = [set(setting.contenders) for setting in study.settings if setting.area]
    labels = (set.intersection(*done) if finished_in_all else set.union(*done)) if done else set()
    where = "finished in all settings" if finished_in_all else "finished"
    return (
        f"needs three strategies that are {where}, and two settings; of what is chosen there are {len(labels)}, and "
        f"{len(done)}"
    )
