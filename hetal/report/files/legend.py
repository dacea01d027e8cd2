"""A legend below a figure, in as many columns as its texts leave room for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from matplotlib import rcParams
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hetal.report.files.figures import Ruler, inches, written


def add_legend(figure: Figure, handles: Mapping[str, Any]) -> float:
    """Add a legend at the lower edge of a figure; return its height in inches.

    Args:
        figure: as wide as it is to be.
        handles: what is drawn, by its names, which are wrapped where they are wider than the figure.
    """
    ruler, size = Ruler(), rcParams["legend.fontsize"]
    em, width = inches("legend.fontsize"), float(figure.get_figwidth()) - 0.1
    handle = (rcParams["legend.handlelength"] + rcParams["legend.handletextpad"]) * em
    names = ["\n".join(ruler.wrap(name, size, width - handle)) or " " for name in handles]
    widths = [handle + ruler.widest([name], size) for name in names]
    columns = _columns(widths, width, rcParams["legend.columnspacing"] * em)
    drawn = figure.legend(
        [*handles.values()], [" "] * len(names), loc="lower center", ncols=columns, borderaxespad=0.4
    )
    # Set afterwards, since matplotlib leaves out what begins with "_".
    for text, name in zip(drawn.get_texts(), names, strict=True):
        text.set_text(written(name))
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    return float(drawn.get_window_extent(renderer).height) / figure.dpi


def _columns(widths: Sequence[float], width: float, gap: float) -> int:
    """Return in how many columns things of these widths fit, filled from the top, the first columns longest."""
    for columns in range(len(widths), 1, -1):
        long, extra = divmod(len(widths), columns)
        ends = [0]
        for i in range(columns):
            ends.append(ends[-1] + long + (i < extra))
        parts = [max(widths[a:b]) for a, b in pairwise(ends)]
        if sum(parts) + gap * (columns - 1) <= width:
            return columns
    return 1
