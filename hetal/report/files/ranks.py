"""The critical-difference diagram of mean ranks (Demsar, JMLR 2006), whose bars join strategies that do not differ."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hetal.report.analyse.styles import COLOURS
from hetal.report.files.figures import PAGE, Ruler, Sheet, inches, save, styled, written
from hetal.report.stats.ranks import Ranking

# Of more strategies than this, or where their names leave the axis less than so many inches, names stand in one column.
MOST, LEAST = 14, 1.3

GREY = "#b8b8b8"


def can_rank(ranking: Ranking | None) -> bool:
    """Return whether there is something to draw: three strategies in two settings."""
    return ranking is not None and ranking.n_settings > 1 and len(ranking.ranks) > 2


def draw_ranks(ranking: Ranking, path: Path, sheet: Sheet | None = None) -> None:
    """Write the diagram to `path` in every format of the sheet; few strategies hang on both sides of the axis."""
    sheet = sheet or Sheet()
    with styled(sheet):
        ruler, width = Ruler(), sheet.width or PAGE
        size = rcParams["font.size"]
        lines = {
            label: "\n".join(ruler.wrap(label, size, 0.4 * width)) + f"  {rank:.2f}"
            for label, rank in ranking.ranks.items()
        }
        half = -(-len(lines) // 2)
        left, right = (
            ruler.widest([*lines.values()][part], size) for part in (slice(half), slice(half, None))
        )
        figure = Figure(figsize=(width, 1))
        ax = figure.add_axes((0, 0, 1, 1))
        ax.set_axis_off()
        ax.grid(False)
        if len(lines) <= MOST and width - left - right - 0.36 >= LEAST:
            height = _two_sided(ax, ranking, lines, (left + 0.18, width - right - 0.18))
        else:
            height = _one_column(ax, ranking, lines, ruler.widest([*lines.values()], size), width)
        if sheet.title:
            title = ruler.wrap(sheet.title, rcParams["axes.titlesize"], width)
            height += len(title) * 1.25 * inches("axes.titlesize") + 0.05
            ax.text(width / 2, height - 0.02, written("\n".join(title)), ha="center", va="top",
                    fontsize=rcParams["axes.titlesize"], fontweight="bold")  # fmt: skip
        figure.set_size_inches(width, height)
        ax.set(xlim=(0, width), ylim=(0, height))
        save(figure, path, sheet.formats)


def ranks_html(path: Path) -> str:
    """Return the SVG of a diagram as part of HTML, in the colour of its text."""
    svg = path.with_name(path.name + ".svg").read_text()
    svg = svg[svg.index("<svg") :]
    return svg.replace("#000000", "currentColor").replace("fill: #ffffff", "fill: none")


def _two_sided(ax: Axes, ranking: Ranking, lines: dict[str, str], ends: tuple[float, float]) -> float:
    """Draw names on both sides of the axis, whose ends are given in inches; return the height of it all."""
    half, line = -(-len(lines) // 2), 1.25 * inches("font.size")
    step = line * max(text.count("\n") + 1 for text in lines.values()) + 0.035
    bars = 0.07 * len(ranking.groups)
    first = step * (half - 0.5) + 0.03
    axis = first + bars + 0.14
    place = _axis(ax, ranking, axis, ends)
    for i, (label, text) in enumerate(lines.items()):
        is_left = i < half
        y = first - step * (i if is_left else len(lines) - 1 - i)
        x, end = place(ranking.ranks[label]), ends[0] - 0.06 if is_left else ends[1] + 0.06
        ax.plot([x, x, end], [axis, y, y], color=rcParams["text.color"], lw=0.7, marker="")
        gap = -0.04 if is_left else 0.04
        ax.text(end + gap, y, written(text), ha="right" if is_left else "left", va="center")
    for i, group in enumerate(ranking.groups):
        bar = [place(ranking.ranks[group[0]]) - 0.02, place(ranking.ranks[group[-1]]) + 0.02]
        ax.plot(
            bar, [axis - 0.08 - 0.07 * i] * 2, color=COLOURS[1], lw=2.4, marker="", solid_capstyle="round"
        )
    return axis + 0.55


def _one_column(ax: Axes, ranking: Ranking, lines: dict[str, str], names: float, width: float) -> float:
    """Draw a line for every strategy, best first, its rank as a dot, and bars beside them; return the height."""
    line = 1.25 * inches("font.size")
    pitch = min(0.075, 0.25 * (width - names) / max(len(ranking.groups), 1))
    ends = (names + 0.2, width - 0.15 - pitch * len(ranking.groups))
    heights = [line * (text.count("\n") + 1) + 0.015 for text in lines.values()]
    axis = 0.05 + sum(heights)
    place = _axis(ax, ranking, axis, ends)
    rows, y = {}, axis
    for label, height in zip(lines, heights, strict=True):
        rows[label] = y - height / 2
        y -= height
    for label, text in lines.items():
        x = place(ranking.ranks[label])
        ax.plot(
            [names + 0.1, width - 0.08], [rows[label]] * 2, color=rcParams["grid.color"], lw=0.5, marker=""
        )
        ax.plot([names + 0.1, x], [rows[label]] * 2, color=GREY, lw=0.7, marker="")
        ax.plot([x], [rows[label]], color=COLOURS[0], marker="o", ms=3.4, ls="")
        ax.text(names + 0.06, rows[label], written(text), ha="right", va="center")
    for i, group in enumerate(ranking.groups):
        bar = [rows[group[0]] + 0.03, rows[group[-1]] - 0.03]
        x = ends[1] + 0.12 + pitch * i
        ax.plot([x, x], bar, color=COLOURS[1], lw=min(2.4, 40 * pitch), marker="", solid_capstyle="round")
    return axis + 0.55


def _axis(ax: Axes, ranking: Ranking, height: float, ends: tuple[float, float]) -> Callable[[float], float]:
    """Draw the axis of ranks, and the critical difference above it; return where a rank is, in inches."""
    k, ink = len(ranking.ranks), rcParams["text.color"]

    def place(rank: float) -> float:
        return ends[0] + (rank - 1) / (k - 1) * (ends[1] - ends[0])

    ax.plot(ends, [height] * 2, color=ink, lw=0.8, marker="")
    # Each number needs the room of three figures.
    step = next(
        s for s in (1, 2, 5, 10, 20, 50, k) if s * (ends[1] - ends[0]) / (k - 1) >= 2 * inches("font.size")
    )
    for rank in sorted({1, *range(step, k + 1, step)} - ({2} if step == 2 else set())):
        ax.plot([place(rank)] * 2, [height, height + 0.04], color=ink, lw=0.8, marker="")
        ax.text(place(rank), height + 0.06, str(rank), ha="center", va="bottom")
    top, most = height + 0.3, min(1 + ranking.critical_difference, float(k))
    ax.plot([place(1), place(most)], [top] * 2, color=ink, lw=1.6, marker="", solid_capstyle="butt")
    # Without an end where it goes on beyond the axis.
    for end in (1, most)[: 2 if 1 + ranking.critical_difference <= k else 1]:
        ax.plot([place(end)] * 2, [top - 0.03, top + 0.03], color=ink, lw=0.8, marker="")
    ax.text(
        place(1), top + 0.06, f"critical difference {ranking.critical_difference:.2f}", ha="left", va="bottom"
    )
    return place
