"""The page: an analysis rendered by the templates."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

from hetal.record.measures import MEASURES
from hetal.report.analyse.acquired import MOST_SEEDS
from hetal.report.analyse.analysis import Analysis
from hetal.report.analyse.curves import says_something
from hetal.report.analyse.results import Numbers
from hetal.report.analyse.setting import in_order
from hetal.report.page import text
from hetal.report.page.acquired import depth, lines_of, shown_of
from hetal.report.page.data import page_data, script_json
from hetal.report.page.epochs import capped
from hetal.report.page.glyphs import MARKERS
from hetal.report.page.matrices import Cell, matrices_of
from hetal.report.page.pictures import REJECTED, Shown
from hetal.report.page.provenance import provenance_of
from hetal.report.page.settings import heat_map, records_of
from hetal.report.page.summary import summary_of
from hetal.report.stats.intervals import ENOUGH_SEEDS

# More pairs than this are in comparisons.csv only: their table would be most of the page.
MOST_PAIRS = 3000

# More missing runs, records whose rows cannot be counted, and phases of a round than these are not listed.
MOST_MISSING, MOST_UNCOUNTED, MOST_PHASES = 500, 5, 12

CONTENTS = (
    ("summary", "Summary"), ("curves", "Learning curves"), ("settings", "Over all settings"),
    ("noise", "Noise"), ("acquired", "Acquired labels"),
    ("numbers", "Numbers"), ("pairs", "Pairwise comparisons"), ("pictures", "Acquired examples"), ("cost", "Cost"),
    ("completeness", "Completeness"), ("provenance", "Provenance"),
)  # fmt: skip


def render(
    analysis: Analysis,
    title: str,
    pictures: Sequence[Shown] | None = None,
    ranks_svg: str = "",
    refresh: float | None = None,
    pages: Mapping[str, str] | None = None,
    is_whole: bool = True,
) -> str:
    """Return the page.

    Args:
        analysis: all numbers.
        title: of the page.
        pictures: of what was acquired, a setting each; None leaves the section out.
        ranks_svg: the critical-difference diagram, as part of HTML; empty where there is none.
        refresh: the page reloads itself every so many seconds.
        pages: files of the pages by every measure, this one included, by the measure's name; None of a single one.
        is_whole: the page has what does not depend on the measure too.
    """
    study = analysis.study
    numbers = [n for n in _numbers(analysis) if n.n]
    phases = list(dict.fromkeys(phase for n in numbers for phase in n.seconds))[:MOST_PHASES]
    common = analysis.common
    listed = common.missing[:MOST_MISSING]
    assets = files("hetal.report.page") / "assets"
    noise_charts = {
        setting.name: [c for c in study.charts if c.of_noise and says_something(c, setting, study.curves)]
        for setting in study.settings
    }
    matrices, acquired = matrices_of(analysis), lines_of(analysis)
    is_there = {
        "settings": matrices and len(study.settings) > 1,
        "noise": any(noise_charts.values()),
        "acquired": acquired or common.uncounted,
        "numbers": numbers,
        "pairs": matrices,
        "cost": phases,
        "pictures": any(not one.is_empty for one in pictures or ()),
    }
    absent = {name for name, there in is_there.items() if not there}
    if not is_whole:
        absent |= {"noise", "acquired", "pictures", "cost", "completeness", "provenance"}
    contents = [item for item in CONTENTS if item[0] not in absent]
    seeds = [len(runs) for s in study.settings for runs in s.runs.values()]
    return (
        _environment()
        .get_template("page.html")
        .render(
            title=title,
            refresh=None if refresh is None else f"{refresh:g}",
            css=(assets / "page.css").read_text(),
            js=(assets / "charts.js").read_text() + (assets / "page.js").read_text(),
            data=script_json(page_data(study)),
            when=time.strftime("%F %H:%M"),
            analysis=analysis,
            common=common,
            settings=study.settings,
            looks=study.looks,
            criterion=study.criterion,
            measure=study.criterion.measure,
            pages=pages or {},
            runs=study.reading.runs,
            finished=sum(run.summary is not None for run in study.reading.runs),
            contents=contents,
            sections=[name for name, _ in contents],
            summary=summary_of(analysis),
            facets={
                key: sorted({s.facets[key] for s in study.settings}, key=in_order)
                for key in ("data", "noise", "network")
            },
            choices=[
                c
                for c in study.charts
                if c.is_choice and any(says_something(c, s, study.curves) for s in study.settings)
            ],
            noise_charts=noise_charts,
            acquired=acquired,
            acquired_shown=shown_of(common.acquired),
            most_seeds=max(seeds, default=0),
            counted_seeds=MOST_SEEDS,
            most_uncounted=MOST_UNCOUNTED,
            numbers=numbers,
            best=_best(numbers, study.criterion.measure.sign),
            some_noise=any(n.clean_share.mean < 1 for n in numbers),
            some_reach=any(n.paired for n in numbers),
            some_saving=any(
                n.label != study.criterion.baseline and not math.isnan(n.saving.mean) for n in numbers
            ),
            some_memory=not all(math.isnan(n.peak_memory_mb) for n in numbers),
            capped=capped(study.reading.runs) if is_whole else "",
            least_seeds=min((n.n for n in numbers if n.n > 1), default=ENOUGH_SEEDS),
            enough_seeds=ENOUGH_SEEDS,
            matrices=matrices,
            records=records_of(analysis),
            heat=heat_map(analysis),
            no_cell=Cell(),
            pairs=[c for comparisons in analysis.comparisons.values() for c in comparisons],
            most_pairs=MOST_PAIRS,
            ranks_svg=ranks_svg,
            pictures=pictures,
            phases=phases,
            longest=max((sum(n.seconds.values()) for n in numbers), default=0.0),
            missing=common.missing,
            most_missing=MOST_MISSING,
            commands=list(dict.fromkeys(m.command for m in listed if m.command)),
            provenance=provenance_of(study.reading.runs),
        )
    )


def _numbers(analysis: Analysis) -> list[Numbers]:
    """Return the results of every strategy in every setting, strategies in the order of their looks."""
    return [
        by_label[label]
        for by_label in analysis.numbers.values()
        for label in analysis.study.looks
        if label in by_label
    ]


def _best(numbers: Sequence[Numbers], sign: int) -> dict[str, float]:
    """Return the best mean area of every setting, bounds left out; `sign` is -1 where smaller is better."""
    best: dict[str, float] = {}
    for n in numbers:
        if n.n and n.competes:
            best[n.setting] = sign * max(sign * n.area.mean, sign * best.get(n.setting, n.area.mean))
    return best


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("hetal.report.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "markers": MARKERS,
        "nan": math.nan,
        "rejected": REJECTED,
        "clean": MEASURES["queried_clean_share"],
        "memory": MEASURES["peak_memory_mb"],
    }
    environment.filters |= {
        "many": text.many,
        "mean": text.mean,
        "depth": depth,
        "ends": text.ends,
        "percent": text.percent,
        "scaled": text.scaled,
        "better": text.better,
        "interval_text": text.interval,
        "number_text": text.number,
        "p_value": text.p_value,
        "sort_value": text.sort_value,
    }
    return environment
