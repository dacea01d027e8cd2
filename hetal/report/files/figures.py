"""Style of the figures, their files, SVG and PNG, and the critical-difference diagram."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from hetal.machine.files import write_atomically
from hetal.report.analyse.styles import COLOURS
from hetal.report.stats.ranks import Ranking

# Names come from records: a "$" in one does not begin a formula.
PLAIN_TEXT: Any = {"text.parse_math": False}
STYLE: Any = {
    **PLAIN_TEXT,
    "font.size": 8,
    "axes.titlesize": 9,
    "svg.fonttype": "path",
    "axes.linewidth": 0.7,
}


def draw_ranks(ranking: Ranking, path: Path) -> str:
    """Write a critical-difference diagram (Demsar, JMLR 2006): strategies joined by a bar do not differ at 0.05.

    Returns:
        The SVG as part of HTML, in the colour of its text; empty, and no file, for fewer than three strategies or two
        settings.
    """
    if ranking.n_settings < 2 or len(ranking.ranks) < 3:
        return ""
    ranks, most = ranking.ranks, ranking.critical_difference
    half = -(-len(ranks) // 2)
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 1.0 + 0.2 * half + 0.07 * len(ranking.groups)), layout="constrained")
        ax = figure.subplots()
        ax.set_axis_off()
        first = -0.25 - 0.15 * len(ranking.groups)
        ax.set(xlim=(-0.4, len(ranks) + 1.4), ylim=(first - 0.75 * (half - 1) - 0.4, 1.8))
        ax.plot([1, len(ranks)], [0.6, 0.6], color="black", lw=1)
        for rank in range(1, len(ranks) + 1):
            ax.plot([rank, rank], [0.6, 0.75], color="black", lw=1)
            ax.text(rank, 0.85, str(rank), ha="center")
        ax.plot([1, min(1 + most, len(ranks))], [1.5, 1.5], color="black", lw=2)
        ax.text(min(1 + most, len(ranks)) + 0.08, 1.5, f"critical difference {most:.2f}", va="center")
        for i, (name, value) in enumerate(ranks.items()):
            left = i < half
            y = first - 0.75 * (i if left else len(ranks) - 1 - i)
            end = 0.9 if left else len(ranks) + 0.1
            ax.plot([value, value, end], [0.6, y, y], color="black", lw=0.8)
            ax.text(
                end + (-0.06 if left else 0.06), y, f"{name}  {value:.2f}", ha="right" if left else "left",
                va="center",
            )  # fmt: skip
        for i, group in enumerate(ranking.groups):
            ends = [ranks[group[0]] - 0.04, ranks[group[-1]] + 0.04]
            ax.plot(ends, [0.4 - 0.17 * i] * 2, color=COLOURS[1], lw=3, solid_capstyle="round")
        save(figure, path)
    svg = path.with_name(path.name + ".svg").read_text()
    svg = svg[svg.index("<svg") :]
    return svg.replace("#000000", "currentColor").replace("fill: #ffffff", "fill: none")


@rc_context({"svg.hashsalt": "hetal"})  # the same bytes each time
def save(figure: Figure, path: Path) -> None:
    """Write `path`.svg and `path`.png."""
    if figure.get_layout_engine() is not None:  # the layout is computed once, which takes most of the time
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    write_atomically(
        path.with_name(path.name + ".svg"),
        lambda file: figure.savefig(file, format="svg", metadata={"Date": None}),
    )
    write_atomically(
        path.with_name(path.name + ".png"), lambda file: figure.savefig(file, format="png", dpi=200)
    )
