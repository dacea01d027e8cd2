"""The report as one HTML page that needs nothing else: tables written here, charts drawn from the data it carries."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from hetal.report.analyse.ceiling import Ceiling
from hetal.report.analyse.completeness import missing
from hetal.report.analyse.penalties import ranking
from hetal.report.analyse.results import Curve
from hetal.report.analyse.series import (
    clean_labels,
    column,
    cumulative_share,
    distinct_share,
    labels,
    pseudo_clean_share,
    seconds,
)
from hetal.report.analyse.setting import Setting
from hetal.report.files.figures import Look
from hetal.report.load.labelling import noise_of
from hetal.report.load.reading import Reading
from hetal.report.load.records import Run
from hetal.report.page import acquired, pairs, provenance, sections
from hetal.report.page.markup import MARKERS
from hetal.report.page.summary import head, summary
from hetal.report.stats.intervals import Floats

# What can be drawn: id, title, x axis, y axis, and how each is read from a run.
Measure = tuple[str, str, str, str, Callable[[Run], Floats], Callable[[Run], Floats]]
MEASURES: tuple[Measure, ...] = (
    ("accuracy", "Accuracy against labels", "labels", "test accuracy (%)", labels, lambda r: column(r, "accuracy")),
    ("time", "Accuracy against wall time", "seconds", "test accuracy (%)", seconds, lambda r: column(r, "accuracy")),
    ("ece", "Calibration error", "labels", "expected calibration error (%)", labels, lambda r: column(r, "ece")),
    ("clean_share", "Clean share of each query", "labels", "clean rows of a query (%)", labels,
     lambda r: column(r, "clean_share")),
    ("cumulative", "Clean share of all queries so far", "labels", "clean rows so far (%)", labels, cumulative_share),
    ("clean_labels", "Accuracy against clean labels", "clean labels bought", "test accuracy (%)", clean_labels,
     lambda r: column(r, "accuracy")),
    ("distinct", "Distinct images of each query", "labels", "distinct images of a query (%)", labels, distinct_share),
    ("pseudo_clean", "Right pseudo-labels of clean rows", "labels", "right, of clean rows (%)", labels,
     lambda r: column(r, "pseudo_accuracy_clean")),
    ("pseudo_noisy", "Right pseudo-labels of noisy rows", "labels", "right, of noisy rows (%)", labels,
     lambda r: column(r, "pseudo_accuracy_noisy")),
    ("pseudo_share", "Clean share of pseudo-labelled rows", "labels", "clean rows among pseudo-labelled (%)", labels,
     pseudo_clean_share),
)  # fmt: skip
WITH_BASE_RATE = ("clean_share", "cumulative")
WITH_CEILING = ("accuracy", "time", "clean_labels")
# Shares of a query, on one scale from nothing to all of it.
WHOLE = ("clean_share", "cumulative", "distinct", "pseudo_clean", "pseudo_noisy", "pseudo_share")
# What the learning curves can show; of the last three, what there is.
CURVES = ("accuracy", "time", "ece", "pseudo_clean", "pseudo_noisy", "pseudo_share")

# Of more runs than this, the single seeds are not carried: the page stays under a few megabytes.
MOST_RUNS = 2000

CONTENTS = (
    ("summary", "Summary"), ("curves", "Learning curves"), ("noise", "Noise"), ("budget", "Budget"),
    ("numbers", "Numbers"), ("contests", "Who beats whom"), ("bought", "Pictures"), ("cost", "Cost"),
    ("completeness", "Completeness"), ("provenance", "Provenance"),
)  # fmt: skip


def curves(settings: Sequence[Setting]) -> dict[tuple[str, str, str], Curve]:
    """Return every curve by setting, strategy and measure; of `MOST_RUNS` runs at most, with single seeds."""
    few = sum(len(runs) for s in settings for runs in s.runs.values()) <= MOST_RUNS
    return {
        (setting.name, label, measure[0]): setting.curve(label, measure[4], measure[5], few)
        for setting in settings
        for label in setting.runs
        for measure in MEASURES
    }


def page(
    title: str,
    reading: Reading,
    settings: Sequence[Setting],
    drawn: Mapping[tuple[str, str, str], Curve],
    look: Mapping[str, Look],
    pictures: str,
    ranks_svg: str,
    ceilings: Mapping[str, Ceiling] | None = None,
) -> str:
    """Return the whole page.

    Args:
        title: of the page.
        reading: what was read.
        settings: of its runs.
        drawn: see `curves`.
        look: colour, dash and marker of every strategy.
        pictures: HTML of what was bought first, possibly empty.
        ranks_svg: the critical-difference diagram, or nothing.
        ceilings: what all labels at once come to, by setting, where that was run.
    """
    names = [s.name for s in settings]
    compared = {s.name: s.comparisons() for s in settings}
    numbers = [s.numbers(label) for s in settings for label in look if label in s.finished]
    verdicts = [v for s in settings if (v := s.verdict()) is not None]
    ranks = ranking(settings)
    lost = missing(reading, settings)
    finished = sum(run.summary is not None for run in reading.runs)
    titles = {m[0]: m[1] for m in MEASURES}
    there = {measure for (_, _, measure), curve in drawn.items() if curve.x}
    facets = {name: sorted({_facets(s)[name] for s in settings}) for name in ("data", "noise", "network")}
    body = [
        head(title, len(reading.runs), finished, len(lost), time.strftime("%F %H:%M")),
        sections.contents([item for item in CONTENTS if item[0] != "bought" or pictures]),
        provenance.flags(reading.flags, [note for s in settings for note in s.notes]),
        summary(verdicts, numbers, look, ranks),
        sections.controls(look, facets),
        sections.curves(names, [(key, titles[key]) for key in CURVES if key in there]),
        sections.panel(names),
        acquired.budget(settings, look),
        sections.numbers(numbers, look, settings[0].target),
        pairs.contests(compared, settings, look, ranks, ranks_svg),
        pictures,
        sections.cost(numbers, look),
        provenance.completeness(lost),
        provenance.provenance(reading),
    ]
    source = files("hetal.report.page")
    return Template((source / "templates" / "page.html").read_text()).substitute(
        title=escape(title),
        css=(source / "assets" / "page.css").read_text(),
        js=(source / "assets" / "charts.js").read_text() + (source / "assets" / "page.js").read_text(),
        body="\n".join(body),
        data=_script_json(_data(settings, drawn, look, ceilings or {})),
    )


def _facets(setting: Setting) -> dict[str, str]:
    """Return what the page filters settings by."""
    run = next(iter(next(iter(setting.runs.values())).values()))
    return {"data": run.choices["data"], "noise": noise_of(run), "network": run.choices["model"]}


def _data(
    settings: Sequence[Setting],
    drawn: Mapping[tuple[str, str, str], Curve],
    look: Mapping[str, Look],
    ceilings: Mapping[str, Ceiling],
) -> dict[str, Any]:
    """Return what the page's charts are drawn from."""
    few = sum(len(runs) for s in settings for runs in s.runs.values()) <= MOST_RUNS
    measures = {
        m: {
            "title": title, "x": x, "y": y, "base_rate": m in WITH_BASE_RATE, "ceiling": m in WITH_CEILING,
            "whole": m in WHOLE,
        }
        for m, title, x, y, _, _ in MEASURES
    }  # fmt: skip
    found = []
    for setting in settings:
        series: dict[str, dict[str, Any]] = {m: {} for m in measures}
        for label in setting.runs:
            for m in measures:
                series[m][label] = _curve(drawn[setting.name, label, m], few)
        ceiling = ceilings.get(setting.name)
        found.append(
            {
                "name": setting.name,
                "facets": _facets(setting),
                "base_rate": _rounded(setting.base_rate),
                "ceiling": _rounded(asdict(ceiling)) if ceiling else None,
                "series": series,
            }
        )
    return {"settings": found, "looks": look, "markers": MARKERS, "measures": measures}


def _curve(curve: Curve, with_seeds: bool) -> dict[str, Any]:
    """Return a curve as the page carries it: of a seed only heights, where they stand at the x of the mean."""
    found = {key: _rounded(getattr(curve, key)) for key in ("x", "mean", "low", "high", "n")}
    found["seeds"] = []
    for line in curve.seeds if with_seeds else ():
        alike = [x for x, _ in line] == curve.x[: len(line)]
        found["seeds"].append(_rounded([y for _, y in line] if alike else line, digits=4))
    return found


def _rounded(value: Any, digits: int = 5) -> Any:
    """Return plain JSON values with so many digits; NaN is null."""
    if isinstance(value, dict):
        return {key: _rounded(item, digits) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item, digits) for item in value]
    if isinstance(value, float):
        return None if math.isnan(value) else float(f"{value:.{digits}g}")
    return value


def _script_json(value: Any) -> str:
    """Return JSON that cannot end the script element it stands in."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
