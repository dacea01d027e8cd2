"""The heat map of areas under the curve, strategy by setting, coloured by how far each is ahead of the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

from hetal.errors import BadInput
from hetal.report.analyse.heat import Heat
from hetal.report.files.figures import COLUMN, Ruler, Sheet, inches, save, styled, written

# Vermilion where a strategy is behind, blue where it is ahead: most of the colour-blind tell them apart.
COLOURS = LinearSegmentedColormap.from_list("hetal", ["#d55e00", "#f4c7a1", "#fafafa", "#a5cbe6", "#0072b2"])
ABSENT = "#ececec"
# Points of the values: before they are smaller than the second they lose a decimal, then are turned; they are not drawn
# smaller than the third.
SIZE, UPRIGHT, LEAST = 6.5, 5.0, 4.5
# Leads beyond this quantile have the last colour, so that one collapse does not make all others pale.
QUANTILE = 0.98
# In inches: the smallest height of a cell, the longest name of a row and of a column, and the right edge.
HIGH, LONGEST, EDGE = 0.155, 2.2, 0.06

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Cells:
    """The size of a cell in inches, that of its text in points, and whether that is turned by 90 degrees."""

    wide: float
    high: float
    size: float
    is_turned: bool


def draw_heatmap(heat: Heat, path: Path, sheet: Sheet | None = None) -> None:
    """Write the heat map to `path` in every format of the sheet; the longer of both lists runs down.

    Raises:
        BadInput: the sheet is too narrow for values that can be read.
    """
    sheet = sheet or Sheet()
    with styled(sheet):
        is_turned = len(heat.settings) > len(heat.strategies)
        rows, columns = (heat.settings, heat.strategies) if is_turned else (heat.strategies, heat.settings)
        area, lead, best = (a.T if is_turned else a for a in (heat.area_LP, heat.lead_LP, heat.is_best_LP))
        ruler, size, measure = Ruler(), rcParams["xtick.labelsize"], heat.criterion.measure
        longest = LONGEST if sheet.width is None else min(LONGEST, 0.4 * sheet.width)
        names = ["\n".join(ruler.wrap(name, size, longest)) for name in rows]
        margin = ruler.widest(names, size) + 0.1
        cells, texts = _cells(ruler, measure.scale * area, measure.decimals, margin, sheet.width)
        line = 1.2 * inches("xtick.labelsize")
        high = np.array([max(cells.high, (name.count("\n") + 1) * line + 0.02) for name in names])
        headings, top, turned = _headings(ruler, columns, size, cells.wide)
        caption = ruler.wrap(_caption(heat), size, margin + cells.wide * len(columns))
        title = ruler.wrap(sheet.title, rcParams["axes.titlesize"], margin + cells.wide * len(columns))
        above = len(title) * 1.25 * inches("axes.titlesize") + 0.04 if sheet.title else 0.02
        below = 0.36 + len(caption) * line
        width = margin + cells.wide * len(columns) + EDGE
        height = above + top + float(high.sum()) + below
        figure = Figure(figsize=(width, height))
        ax = figure.add_axes((0, 0, 1, 1))
        ax.set_axis_off()
        ax.set(xlim=(0, width), ylim=(0, height))
        x: Any = margin + cells.wide * np.arange(len(columns) + 1)
        y: Any = height - above - top - np.concatenate([[0.0], np.cumsum(high)])
        shade = np.ma.masked_invalid(measure.scale * np.where(np.isnan(area), np.nan, lead))
        colours, norm = COLOURS.with_extremes(bad=ABSENT), _norm(heat)
        mesh = ax.pcolormesh(
            x, y, shade, cmap=colours, norm=norm, edgecolors=rcParams["figure.facecolor"], lw=0.5,
        )  # fmt: skip
        inks = _inks(np.asarray(colours(norm(shade))))
        middle_x, middle_y = x[:-1] + cells.wide / 2, y[:-1] - high / 2
        _write_values(ax, middle_x, middle_y, texts, inks, best, cells)
        for i, name in enumerate(names):
            ax.text(
                margin - 0.05, middle_y[i], written(name), ha="right", va="center_baseline", fontsize=size
            )
        for j, name in enumerate(headings):
            ax.text(
                middle_x[j], y[0] + 0.04, written(name), ha="center", va="bottom", fontsize=size, rotation=90 * turned
            )  # fmt: skip
        if sheet.title:
            ax.text(
                width / 2, height - 0.02, written("\n".join(title)), ha="center", va="top",
                fontsize=rcParams["axes.titlesize"], fontweight="bold",
            )  # fmt: skip
        _legend(figure, mesh, caption, size)
        save(figure, path, sheet.formats)


def _cells(
    ruler: Ruler, values: Array, decimals: int, margin: float, width: float | None
) -> tuple[Cells, list[list[str]]]:
    """Return cells that fill the width, or as wide as their texts where it is None; and these."""
    n = values.shape[1]
    whole, fewer = (_texts(values, digits) for digits in (decimals, max(decimals - 1, 0)))
    text, short = (_widest(ruler, texts) for texts in (whole, fewer))
    if width is None:
        return Cells(max(text + 0.07, (COLUMN - margin - EDGE) / n), HIGH, SIZE, is_turned=False), whole
    wide = (width - margin - EDGE) / n
    for of, texts in ((text, whole), (short, fewer)):
        if (size := min(SIZE, SIZE * (wide - 0.02) / of)) >= UPRIGHT:
            return Cells(wide, HIGH, size, is_turned=False), texts
    size = min(SIZE, 72 * wide / 1.15)
    if size < LEAST:
        raise BadInput(
            f"--width: {n} columns do not fit in {width:g} inches, with values of {LEAST} points or more; choose "
            "a wider figure, or fewer strategies or settings"
        )
    return Cells(wide, max(HIGH, text * size / SIZE + 0.06), size, is_turned=True), whole


def _write_values(
    ax: Axes,
    x: Any,
    y: Any,
    texts: Sequence[Sequence[str]],
    inks: Sequence[Sequence[str]],
    best: Array,
    cells: Cells,
) -> None:
    """Write the value of every cell, the best of each setting bold."""
    for i, j in np.ndindex(best.shape):
        ax.text(
            x[j], y[i], written(texts[i][j]), ha="center", va="center_baseline", fontsize=cells.size,
            rotation=90 * cells.is_turned, rotation_mode="anchor", color=inks[i][j],
            fontweight="bold" if best[i, j] else "normal",
        )  # fmt: skip


def _texts(values: Array, digits: int) -> list[list[str]]:
    return [["\u2013" if np.isnan(value) else f"{value:.{digits}f}" for value in row] for row in values]


def _widest(ruler: Ruler, texts: Sequence[Sequence[str]]) -> float:
    return max(ruler.width(text, SIZE, "bold") for text in {text for row in texts for text in row})


def _headings(ruler: Ruler, names: Sequence[str], size: float, wide: float) -> tuple[list[str], float, bool]:
    """Return the headings of columns, their height, and whether they are turned, as where a word is too wide."""
    line = 1.2 * inches("xtick.labelsize")
    if all(ruler.width(word, size) <= wide - 0.04 for name in names for word in name.split()):
        wrapped = [ruler.wrap(name, size, wide - 0.04) for name in names]
        if (most := max(map(len, wrapped))) <= 4:
            return ["\n".join(lines) for lines in wrapped], most * line + 0.06, False
    room = max(1, int(wide / line))
    headings = []
    for name in names:
        lines = ruler.wrap(name, size, LONGEST if room == 1 else LONGEST / 2)
        lines = ruler.wrap(name, size, LONGEST) if len(lines) > room else lines
        headings.append("\n".join(lines[:room]) + "\u2026" * (len(lines) > room))
    return headings, ruler.widest(headings, size) + 0.1, True


def _norm(heat: Heat) -> Normalize:
    """Return the scale of colours, the same to both sides; bounds, which may be far ahead, do not set it."""
    lead = heat.lead_LP[[label not in heat.bounds for label in heat.strategies]]
    known = np.abs(lead[~np.isnan(lead)])
    most = float(np.quantile(known, QUANTILE)) if len(known) else 0.0
    most = heat.criterion.measure.scale * (most or 0.01)
    return Normalize(-most, most)


def _caption(heat: Heat) -> str:
    criterion = heat.criterion
    ahead = "ahead of" if criterion.measure.better == "higher" else "below"
    by = criterion.measure.step or "how far it is"
    return f"{criterion.area}{criterion.unit.replace(' %', ' (%)')}, coloured by {by} {ahead} {heat.against}"


def _tick(value: float, _: int) -> str:
    """Return a tick of the scale of colours, which has no room for a power of ten beside it."""
    return written(f"{value:g}".replace("-", "\u2212"))


def _inks(rgba: Array) -> list[list[str]]:
    """Return black for text on bright cells, white on dark ones."""
    bright = rgba[..., :3] @ np.array([0.299, 0.587, 0.114])
    return [["black" if value > 0.5 else "white" for value in row] for row in bright]


def _legend(figure: Figure, mesh: Any, caption: Sequence[str], size: float) -> None:
    """Draw the scale of colours at the lower edge, what it means below it."""
    width, height = (float(inches) for inches in figure.get_size_inches())
    text = len(caption) * 1.2 * inches("xtick.labelsize")
    wide = min(2.2, 0.6 * width)
    bar: Axes = figure.add_axes((0.5 - wide / 2 / width, (text + 0.2) / height, wide / width, 0.07 / height))
    scale = figure.colorbar(mesh, cax=bar, orientation="horizontal", extend="both", format=_tick)
    bar.grid(False)
    scale.outline.set_linewidth(0.4)
    bar.tick_params(labelsize=size, length=2, pad=1.5, width=0.4)
    bar.locator_params(axis="x", nbins=5)
    figure.text(0.5, 0.03 / height, written("\n".join(caption)), ha="center", va="bottom", fontsize=size)
