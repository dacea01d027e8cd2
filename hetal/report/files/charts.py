"""Figures of mean curves, one small chart a setting."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hetal.report.analyse.analysis import Study
from hetal.report.analyse.ceiling import Ceiling
from hetal.report.analyse.curves import Chart, base_rates, says_something
from hetal.report.analyse.results import Curve
from hetal.report.analyse.setting import Setting
from hetal.report.analyse.styles import Look, Looks
from hetal.report.files.figures import COLUMN, PAGE, Ruler, Sheet, inches, save, styled, written
from hetal.report.files.legend import add_legend

# In inches: between charts, and above the first and right of the last.
GAP, EDGE = 0.36, 0.06
# Intervals of more strategies than this in one chart are drawn paler.
MOST_BANDS = 6


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

    @property
    def title(self) -> str:
        """The setting and its seeds."""
        counts = {n for curve in self.curves.values() for n in curve.n}
        n = f"{min(counts)} to {max(counts)}" if len(counts) > 1 else f"{max(counts, default=0)}"
        return f"{self.name} (n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{n})"


@dataclass(frozen=True)
class ChartFigure:
    """One figure: a chart of every setting.

    Attributes:
        facets: its charts.
        x, y: texts of the axes.
        path: without a suffix.
        whole: the y axis goes from 0 to 100%.
        is_share: values are in [0, 1], and drawn in percent.
        target: value that is drawn as a line, unless None.
    """

    facets: Sequence[Facet]
    x: str
    y: str
    path: Path
    whole: bool = False
    is_share: bool = True
    target: float | None = None

    @cached_property
    def power(self) -> int:
        """The power of ten in which values are written: 0, but for very large and very small ones."""
        heights = [value for facet in self.facets for curve in facet.curves.values() for value in curve.mean]
        most = self.unit * max(map(abs, heights), default=0.0)
        power = math.floor(math.log10(most)) if most and not self.whole else 0
        return 0 if -4 < power < 5 else power

    @property
    def unit(self) -> int:
        """What values are multiplied by in words."""
        return 100 if self.is_share else 1

    @property
    def scale(self) -> float:
        """What values are multiplied by where they are drawn."""
        return self.unit * 10.0**-self.power

    @property
    def y_axis(self) -> str:
        """Text of the y axis, with the power of ten."""
        return f"{self.y} (1e{self.power})" if self.power else self.y


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
            path = out / re.sub(r"[^a-z0-9]", "-", chart.key)
            is_share = chart.measure.unit == "share"
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


def draw(chart: ChartFigure, looks: Looks, sheet: Sheet | None = None) -> None:
    """Draw mean and 95% interval over seeds in each facet; write `path` in every format of the sheet."""
    sheet = sheet or Sheet()
    with styled(sheet):
        width = sheet.width or (COLUMN if len(chart.facets) == 1 else PAGE)
        figure, axes = Figure(figsize=(width, 1)), []
        scales = {data: _scale(chart, data) for data in {facet.data for facet in chart.facets}}
        shown: dict[str, Any] = {}
        for facet in chart.facets:
            axes.append(figure.add_axes((0, 0, 1, 1)))
            shown |= _draw_facet(axes[-1], facet, chart, looks)
            axes[-1].set_ylim(*((-3, 103) if chart.whole else scales[facet.data]))
        order = [label for label in looks if label in shown]
        order += [label for label in shown if label not in looks]
        _arrange(
            figure, axes, chart, add_legend(figure, {label: shown[label] for label in order}), sheet.title
        )
        save(figure, chart.path, sheet.formats)


def _draw_facet(ax: Axes, facet: Facet, chart: ChartFigure, looks: Looks) -> dict[str, Any]:
    """Draw the lines of one chart; return them by their names in the legend."""
    shown: dict[str, Any] = {}
    paleness = min(1.0, MOST_BANDS / max(len(facet.curves), 1))
    for label in reversed([label for label in looks if label in facet.curves]):
        shown[label] = _line(ax, facet.curves[label], looks[label], chart.scale, 0.15 * paleness)
    ink, thin = rcParams["text.color"], 0.7 * rcParams["lines.linewidth"]
    if facet.base_rate is not None:
        shown["the pool's share"] = ax.axhline(chart.scale * facet.base_rate, color=ink, ls=":", lw=thin)
    if facet.ceiling:
        height = chart.scale * facet.ceiling.value.mean
        shown[f"all {facet.ceiling.n_labelled:,} clean labels"] = ax.axhline(
            height, color=ink, ls="-.", lw=thin
        )
    if chart.target is not None:
        name = f"target {chart.unit * chart.target:g}{'%' * chart.is_share}"
        shown[name] = ax.axhline(chart.scale * chart.target, color=ink, ls=(0, (1, 3)), lw=thin)
    return shown


def _arrange(figure: Figure, axes: Sequence[Axes], chart: ChartFigure, legend: float, title: str) -> None:
    """Place charts of equal size above the legend, in inches, since matplotlib's own layout takes seconds."""
    ruler, width = Ruler(), float(figure.get_figwidth())
    size, line, tick = (
        rcParams["axes.titlesize"],
        1.25 * inches("axes.titlesize"),
        1.3 * inches("xtick.labelsize"),
    )
    columns = _columns(len(axes), width)
    rows = -(-len(axes) // columns)
    high = 1.0
    for _ in range(2):  # the height of a chart decides how its axis is named, and that how wide it is
        label = ruler.wrap(chart.y_axis, rcParams["axes.labelsize"], high + 0.3)
        left = 0.34 + 1.25 * inches("axes.labelsize") * len(label)
        wide = (width - left - EDGE - (columns - 1) * GAP) / columns
        high = min(max(0.68 * wide, 0.95), 2.0)
    titles = [ruler.wrap(facet.title, size, wide + EDGE) for facet in chart.facets]
    room = [max(map(len, titles[i * columns : (i + 1) * columns])) * line + 0.05 for i in range(rows)]
    headings = ruler.wrap(title, rcParams["axes.titlesize"], width) if title else []
    top, below = len(headings) * line + 0.03, tick + 0.08 + 1.4 * inches("axes.labelsize")
    height = top + sum(room) + rows * high + (rows - 1) * (tick + 0.08) + below + legend + 0.05
    figure.set_size_inches(width, height)
    if headings:
        figure.text(
            0.5, 1 - 0.03 / height, written("\n".join(headings)), ha="center", va="top", fontsize=size,
            fontweight="bold",
        )  # fmt: skip
    for i, ax in enumerate(axes):
        row, column = divmod(i, columns)
        y = height - top - sum(room[: row + 1]) - row * (tick + 0.08) - (row + 1) * high
        x = left + column * (wide + GAP)
        ax.set_position((x / width, y / height, wide / width, high / height))
        ax.set_title(written("\n".join(titles[i])))
        # No wider labels than these fit between ticks.
        most = int(wide / (3.5 * inches("xtick.labelsize")))
        ax.locator_params(axis="x", nbins=min(max(most, 2), 6))
        if i + columns >= len(axes):
            ax.set_xlabel(written(chart.x))
        if column == 0:
            ax.set_ylabel(written("\n".join(label)))


def _columns(n: int, width: float) -> int:
    """Return how many of `n` charts stand side by side."""
    most = 2 if width < (COLUMN + PAGE) / 2 else 4 if n == 4 or n > 9 else 3
    return min(n, most)


def _line(ax: Axes, curve: Curve, look: Look, scale: float, paleness: float) -> Any:
    colour, dash, marker = look
    (line,) = ax.plot(
        curve.x, _times(scale, curve.mean), dash, color=colour, marker=marker or None,
        markevery=-(-len(curve.x) // 8) or 1,
    )  # fmt: skip
    ax.fill_between(
        curve.x, _times(scale, curve.low), _times(scale, curve.high), color=colour, alpha=paleness, lw=0
    )
    return line


def _scale(chart: ChartFigure, data: str) -> tuple[float, float]:
    """Return the y limits of all charts of the same data; intervals of two seeds, which can be huge, need not fit."""
    same_data = [facet for facet in chart.facets if facet.data == data]
    heights = [facet.ceiling.value.mean for facet in same_data if facet.ceiling]
    heights += [] if chart.target is None else [chart.target]
    for curve in (curve for facet in same_data for curve in facet.curves.values()):
        heights += curve.mean
        ends = zip(curve.low, curve.high, curve.n, strict=True)
        heights += [end for low, high, n in ends if n > 2 for end in (low, high)]
    low, high = (min(heights), max(heights)) if heights else (0.0, 1.0)
    room = 0.04 * (high - low) or 0.05 * max(abs(high), 1.0)
    high = min(1.03, high + room) if chart.is_share else high + room
    low = low - room if low < 0 else max(0.0, low - room)
    return chart.scale * low, chart.scale * high


def _times(scale: float, values: Sequence[float]) -> list[float]:
    return [scale * value for value in values]
