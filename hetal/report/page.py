"""The report as one HTML page that needs nothing else: tables written here, charts drawn from the data it carries."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from hetal.report import sections
from hetal.report.analysis import (
    Curve,
    Setting,
    clean_labels,
    column,
    cumulative_share,
    distinct_share,
    labels,
    mean_ranks,
    seconds,
    total_penalties,
)
from hetal.report.completeness import missing
from hetal.report.figures import Look
from hetal.report.reading import Reading, Run
from hetal.report.statistics import Floats

# What can be drawn: id, title, x axis, y axis, and how each is read from a run.
Measure = tuple[str, str, str, str, Callable[[Run], Floats], Callable[[Run], Floats]]
MEASURES: tuple[Measure, ...] = (
    ("accuracy", "Accuracy against labels", "labels", "test accuracy (%)", labels, lambda r: column(r, "accuracy")),
    ("time", "Accuracy against time", "seconds", "test accuracy (%)", seconds, lambda r: column(r, "accuracy")),
    ("clean_labels", "Accuracy against clean labels", "clean labels bought", "test accuracy (%)", clean_labels,
     lambda r: column(r, "accuracy")),
    ("clean_share", "Clean share of each query", "labels", "clean rows of a query (%)", labels,
     lambda r: column(r, "clean_share")),
    ("cumulative", "Clean share of all queries so far", "labels", "clean rows so far (%)", labels, cumulative_share),
    ("distinct", "Distinct images of each query", "labels", "distinct images of a query (%)", labels, distinct_share),
    ("ece", "Calibration error", "labels", "expected calibration error (%)", labels, lambda r: column(r, "ece")),
)  # fmt: skip
WITH_BASE_RATE = ("clean_share", "cumulative")

# More seeds than this are not carried one by one.
MOST_SEEDS = 2000


def curves(settings: Sequence[Setting]) -> dict[tuple[str, str, str], Curve]:
    """Return every curve by setting, strategy and measure."""
    return {
        (setting.name, label, measure[0]): setting.curve(label, measure[4], measure[5])
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
    """
    compared = {s.name: s.comparisons() for s in settings}
    numbers = [s.numbers(label) for s in settings for label in s.finished]
    verdicts = [v for s in settings if (v := s.verdict(compared[s.name])) is not None]
    lost = missing(reading, settings)
    finished = sum(run.summary is not None for run in reading.runs)
    body = [
        sections.head(title, len(reading.runs), finished, len(lost), time.strftime("%F %H:%M")),
        sections.verdicts(verdicts),
        sections.controls(list(look), [s.name for s in settings], look, [m[:2] for m in MEASURES]),
        sections.charts([s.name for s in settings]),
        sections.numbers(numbers),
        sections.matches(compared, settings, total_penalties(settings), mean_ranks(settings), ranks_svg),
        sections.budget(settings),
        sections.cost(numbers),
        pictures,
        sections.completeness(lost),
        sections.provenance(reading),
    ]
    source = files("hetal.report")
    return Template((source / "page.html").read_text()).substitute(
        title=escape(title),
        css=(source / "page.css").read_text(),
        js=(source / "page.js").read_text(),
        body="\n".join(body),
        data=_script_json(_data(settings, drawn, look, sum(len(s.runs) for s in settings))),
    )


def _data(
    settings: Sequence[Setting], drawn: Mapping[tuple[str, str, str], Curve], look: Mapping[str, Look], n: int
) -> dict[str, Any]:
    few = sum(len(runs) for s in settings for runs in s.runs.values()) <= MOST_SEEDS
    measures = {
        m: {"title": title, "x": x, "y": y, "base_rate": m in WITH_BASE_RATE}
        for m, title, x, y, _, _ in MEASURES
    }
    found = []
    for setting in settings:
        series: dict[str, dict[str, Any]] = {m: {} for m in measures}
        for label in setting.runs:
            for m in measures:
                curve = {k: _rounded(v) for k, v in asdict(drawn[setting.name, label, m]).items()}
                if not few or m != "accuracy":
                    curve["seeds"] = []
                series[m][label] = curve
        found.append({"name": setting.name, "base_rate": _rounded(setting.base_rate), "series": series})
    order = Counter({label: len(look) - i for i, label in enumerate(look)})
    return {
        "settings": found,
        "looks": look,
        "measures": measures,
        "order": [k for k, _ in order.most_common()],
    }


def _rounded(value: Any) -> Any:
    """Return plain JSON values with five digits; NaN is null."""
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return None if math.isnan(value) else float(f"{value:.5g}")
    return value


def _script_json(value: Any) -> str:
    """Return JSON that cannot end the script element it stands in."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
