"""Figures of mean curves, one small chart a setting."""

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

from hetal.record.measures import MEASURES
from hetal.report.analyse.analysis import Study
from hetal.report.analyse.ceiling import Ceiling
from hetal.report.analyse.curves import Chart, base_rates, says_something
from hetal.report.analyse.results import Curve
from hetal.report.analyse.setting import Setting
from hetal.report.analyse.styles import Look, Looks
from hetal.report.files.figures import STYLE, save

# Of one chart, in inches, and how many stand side by side: a figure fits two columns of a paper.
WIDTH, HEIGHT, COLUMNS = 2.0, 1.55, 3
# Characters of a title that fit over a chart.
TITLE = 34


@dataclass(frozen=True)
class Facet:
    """The chart of one setting.

    Attributes:
        name: of the setting.
        data: name of the data; charts of the same data have the same scale.
        curves: by strategy.
        base_rate: the share in the pool, drawn unless None.
        ceiling: what networks reach with all labels, drawn unless None.
    """

    name: str
    data: str
    curves: Mapping[str, Curve]
    base_rate: float | None = None
    ceiling: Ceiling | None = None


@dataclass(frozen=True)
class ChartFigure:
    """One figure: a chart of every setting.

    Attributes:
        facets: its charts.
        x, y: texts of the axes.
        path: without a suffix.
        whole: the y axis goes from 0 to 100%.
        is_share: values are in [0, 1], and drawn in percent.
    """

    facets: Sequence[Facet]
    x: str
    y: str
    path: Path
    whole: bool = False
    is_share: bool = True

    @property
    def scale(self) -> int:
        """What values are multiplied by."""
        return 100 if self.is_share else 1


def chart_figures(study: Study, out: Path, only: Sequence[Chart] | None = None) -> list[ChartFigure]:
    """Return the figures of a study, which `draw` writes to the folder `out`; none of what was not measured.

    Args:
        study: of the report.
        out: of the files.
        only: the charts to draw; all that are files unless given.
    """
    figures = []
    for chart in (chart for chart in study.charts if chart.is_file) if only is None else only:
        shown = [s for s in study.settings if says_something(chart, s, study.curves)]
        facets = [_facet(study, setting, chart) for setting in shown]
        if facets:
            path = out / chart.key.replace("_", "-")
            is_share = MEASURES[chart.y].unit == "share"
            figures.append(ChartFigure(facets, chart.x_axis, chart.y_axis, path, chart.whole, is_share))
    return figures


def _facet(study: Study, setting: Setting, chart: Chart) -> Facet:
    """Return the chart of one setting, without single seeds, so that it is small."""
    curves = {label: study.curves[setting.name, label, chart.key] for label in setting.runs}
    base_rate = base_rates(setting)[chart.base] if chart.base else math.nan
    return Facet(
        setting.name,
        setting.facets["data"],
        {label: replace(curve, seeds=[]) for label, curve in curves.items() if curve.x},
        None if math.isnan(base_rate) else base_rate,
        study.ceilings.get(setting.name) if chart.ceiling else None,
    )


def draw(chart: ChartFigure, looks: Looks) -> None:
    """Draw mean and 95% interval over seeds in each facet, as `path`.svg and .png."""
    with rc_context(STYLE):
        figure, axes, legend = _grid(chart, len(looks) + any(f.ceiling for f in chart.facets))
        shown: dict[str, Any] = {}
        for i, (ax, facet) in enumerate(zip(axes, chart.facets, strict=True)):
            for label in reversed([label for label in looks if label in facet.curves]):
                shown[label] = _line(ax, facet.curves[label], looks[label], chart.scale)
            if facet.base_rate is not None:
                ax.axhline(chart.scale * facet.base_rate, color="black", linestyle=":", linewidth=0.9)
            if facet.ceiling:
                shown[f"all {facet.ceiling.n_labelled:,} clean labels"] = ax.axhline(
                    chart.scale * facet.ceiling.value.mean, color="black", linestyle="-.", linewidth=0.8
                )
            _finish(ax, facet, chart, first=i % COLUMNS == 0)
        order = [label for label in looks if label in shown]
        order += [label for label in shown if label not in looks]
        figure.legend([shown[label] for label in order], order, **legend)
        save(figure, chart.path)


def _grid(chart: ChartFigure, n_labels: int) -> tuple[Figure, list[Axes], dict[str, Any]]:
    """Lay out one chart a facet above a legend, in inches, since matplotlib's own layout takes seconds."""
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


def _line(ax: Axes, curve: Curve, look: Look, scale: int) -> Any:
    colour, dash, marker = look
    (line,) = ax.plot(
        curve.x, _times(scale, curve.mean), dash, color=colour, marker=marker or None, markersize=3.2, linewidth=1.3,
        markevery=-(-len(curve.x) // 12) or 1,
    )  # fmt: skip
    ax.fill_between(
        curve.x, _times(scale, curve.low), _times(scale, curve.high), color=colour, alpha=0.15, lw=0
    )
    return line


def _finish(ax: Axes, facet: Facet, chart: ChartFigure, first: bool) -> None:
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


def _scale(chart: ChartFigure, facet: Facet) -> tuple[float, float]:
    """Return the y limits of all charts of the same data; intervals of two seeds, which can be huge, need not fit."""
    same_data = [other for other in chart.facets if other.data == facet.data]
    heights = [other.ceiling.value.mean for other in same_data if other.ceiling]
    for curve in (curve for other in same_data for curve in other.curves.values()):
        heights += curve.mean
        ends = zip(curve.low, curve.high, curve.n, strict=True)
        heights += [end for low, high, n in ends if n > 2 for end in (low, high)]
    low, high = (min(heights), max(heights)) if heights else (0.0, 1.0)
    room = 0.04 * (high - low) or 0.05
    high = min(1.03, high + room) if chart.is_share else high + room
    return chart.scale * max(0.0, low - room), chart.scale * high


def _title(facet: Facet) -> list[str]:
    return textwrap.wrap(facet.name, TITLE) or [""]


def _times(scale: int, values: Sequence[float]) -> list[float]:
    return [scale * value for value in values]
