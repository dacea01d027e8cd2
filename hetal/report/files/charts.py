"""Learning curves and their like as files, one small chart a setting."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hetal.report.analyse.ceiling import Ceiling
from hetal.report.analyse.results import Curve
from hetal.report.analyse.setting import Setting
from hetal.report.files.figures import STYLE, Look, save
from hetal.report.page.page import MEASURES, WHOLE, WITH_BASE_RATE, WITH_CEILING

# Of one chart, in inches, and how many stand side by side: a figure fits two columns of a paper.
WIDTH, HEIGHT, COLUMNS = 2.0, 1.55, 3
# Characters that fit over a chart.
TITLE = 34
# What is a file too; the page draws everything.
FILES = (
    "accuracy", "time", "clean_labels", "clean_share", "cumulative", "distinct",
    "pseudo_clean", "pseudo_noisy", "pseudo_share",
)  # fmt: skip


@dataclass(frozen=True)
class Facet:
    """What one chart shows.

    Attributes:
        name: of the setting.
        data: charts of the same data have the same scale.
        curves: by strategy.
        base_rate: share of clean rows in the pool, drawn unless None.
        ceiling: what all labels at once come to, drawn unless None.
    """

    name: str
    data: str
    curves: Mapping[str, Curve]
    base_rate: float | None = None
    ceiling: Ceiling | None = None


@dataclass(frozen=True)
class Chart:
    """One figure.

    Attributes:
        facets: its charts.
        x, y: what the axes say.
        path: without a suffix.
        whole: the y axis goes from 0 to 100%.
    """

    facets: Sequence[Facet]
    x: str
    y: str
    path: Path
    whole: bool = False


def facet(setting: Setting, curves: Mapping[str, Curve], base_rate: bool, ceiling: Ceiling | None) -> Facet:
    """Return what a chart of `setting` shows; single seeds are left out, so that it is small."""
    data = next(iter(next(iter(setting.runs.values())).values())).choices["data"]
    known = base_rate and not math.isnan(setting.base_rate)
    lean = {label: replace(curve, seeds=[]) for label, curve in curves.items() if curve.x}
    return Facet(setting.name, data, lean, setting.base_rate if known else None, ceiling)


def charts_of(
    settings: Sequence[Setting],
    drawn: Mapping[tuple[str, str, str], Curve],
    ceilings: Mapping[str, Ceiling],
    out: Path,
) -> list[Chart]:
    """Return the figures of a report, which `draw` writes to the folder `out`; none of what was nowhere measured.

    Args:
        settings: a chart each.
        drawn: see `hetal.report.page.page.curves`.
        ceilings: by setting.
        out: exists.
    """
    found = []
    for key, _, x, y, _, _ in (measure for measure in MEASURES if measure[0] in FILES):
        facets = [
            facet(
                setting, {label: drawn[setting.name, label, key] for label in setting.runs}, key in WITH_BASE_RATE,
                ceilings.get(setting.name) if key in WITH_CEILING else None,
            )
            for setting in settings
            if any(drawn[setting.name, label, key].x for label in setting.runs)
        ]  # fmt: skip
        if not facets:
            continue
        found.append(Chart(facets, x, y, out / key.replace("_", "-"), whole=key in WHOLE))
    return found


def draw(chart: Chart, look: Mapping[str, Look]) -> None:
    """Draw mean and 95% interval over seeds in each facet, as `path`.svg and .png."""
    with rc_context(STYLE):
        figure, axes, legend = _grid(chart, len(look) + any(f.ceiling for f in chart.facets))
        shown: dict[str, Any] = {}
        for i, (ax, facet) in enumerate(zip(axes, chart.facets, strict=True)):
            for label in reversed([label for label in look if label in facet.curves]):
                shown[label] = _line(ax, facet.curves[label], look[label])
            if facet.base_rate is not None:
                ax.axhline(100 * facet.base_rate, color="black", linestyle=":", linewidth=0.9)
            if facet.ceiling:
                shown[f"all {facet.ceiling.n_labelled:,} clean labels"] = ax.axhline(
                    100 * facet.ceiling.accuracy.mean, color="black", linestyle="-.", linewidth=0.8
                )
            _finish(ax, facet, chart, first=i % COLUMNS == 0)
        order = [label for label in look if label in shown]
        order += [label for label in shown if label not in look]
        figure.legend([shown[label] for label in order], order, **legend)
        save(figure, chart.path)


def _grid(chart: Chart, n_labels: int) -> tuple[Figure, list[Axes], dict[str, Any]]:
    """Lay out one chart a facet above a legend: in inches, since matplotlib takes seconds to find out by itself."""
    facets = chart.facets
    columns = min(len(facets), COLUMNS)
    rows = -(-len(facets) // columns)
    lines = max(len(_title(facet)) for facet in facets)
    in_legend = max(2, round(1.7 * columns))
    left, right, gap_x, gap_y = 0.5, 0.1, 0.4, 0.5 + 0.15 * lines
    top, below = 0.1 + 0.15 * lines, 0.5 + 0.17 * -(-n_labels // in_legend)
    width = left + right + columns * WIDTH + (columns - 1) * gap_x
    height = top + below + rows * HEIGHT + (rows - 1) * gap_y
    figure = Figure(figsize=(width, height))
    axes = figure.subplots(
        rows, columns, squeeze=False,
        gridspec_kw={
            "left": left / width, "right": 1 - right / width, "top": 1 - top / height, "bottom": below / height,
            "wspace": gap_x / WIDTH, "hspace": gap_y / HEIGHT,
        },
    )  # fmt: skip
    for ax in axes.flat[len(facets) :]:
        ax.set_axis_off()
    legend = {"loc": "lower center", "ncols": in_legend, "frameon": False, "borderaxespad": 0.1}
    return figure, list(axes.flat[: len(facets)]), legend


def _line(ax: Axes, drawn: Curve, look: Look) -> Any:
    colour, dash, marker = look
    (line,) = ax.plot(
        drawn.x, _percent(drawn.mean), dash, color=colour, marker=marker or None, markersize=3.2, linewidth=1.3,
        markevery=-(-len(drawn.x) // 12) or 1,
    )  # fmt: skip
    ax.fill_between(drawn.x, _percent(drawn.low), _percent(drawn.high), color=colour, alpha=0.15, lw=0)
    return line


def _finish(ax: Axes, facet: Facet, chart: Chart, first: bool) -> None:
    counts = {n for curve in facet.curves.values() for n in curve.n}
    n = f"{min(counts)} to {max(counts)}" if len(counts) > 1 else f"{max(counts, default=0)}"
    ax.set_title("\n".join(_title(facet)), loc="left", y=1.0)
    ax.text(0.98, 0.03, f"n = {n}", transform=ax.transAxes, ha="right", va="bottom", fontsize=7)
    ax.set_xlabel(chart.x, labelpad=2)
    ax.set_ylabel(chart.y if first else "")
    ax.set_ylim(*((-3, 103) if chart.whole else _scale(chart, facet)))
    ax.grid(True, color="#e4e4e4", linewidth=0.6)
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def _scale(chart: Chart, facet: Facet) -> tuple[float, float]:
    """Return the y limits of all charts of the same data; intervals of two seeds may not fit, they can be endless."""
    alike = [other for other in chart.facets if other.data == facet.data]
    heights = [other.ceiling.accuracy.mean for other in alike if other.ceiling]
    for curve in (curve for other in alike for curve in other.curves.values()):
        heights += curve.mean
        ends = zip(curve.low, curve.high, curve.n, strict=True)
        heights += [end for low, high, n in ends if n > 2 for end in (low, high)]
    low, high = (min(heights), max(heights)) if heights else (0.0, 1.0)
    room = 0.04 * (high - low) or 0.05
    return 100 * max(0.0, low - room), 100 * min(1.03, high + room)


def _title(facet: Facet) -> list[str]:
    return textwrap.wrap(facet.name, TITLE) or [""]


def _percent(values: Sequence[float]) -> list[float]:
    return [100 * value for value in values]
