"""A picture of a pool: a sample of its rows, and how often each right label is sold as each label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from hetal.machine.files import write_atomically
from hetal.noise.show.charts import draw_classes, draw_regions
from hetal.noise.show.corrupted import Corrupted
from hetal.noise.show.counts import Counts
from hetal.noise.show.look import HEIGHT, INK, PLAIN, QUIET, WIDTH, axes, box
from hetal.noise.show.samples import draw_samples

DPI = 110
COLOURS = 200

# Letters of a title in full size.
TITLE = 92


def save_picture(made: Corrupted, counts: Counts, words: str, path: Path) -> None:
    """Draw a pool.

    Args:
        made: the pool.
        counts: of it.
        words: the settings, for the title.
        path: PNG to write, atomically.

    Raises:
        BadInput: it cannot be written.
    """
    has_regions = len(counts.region_rows) > 0
    with rc_context(PLAIN):
        figure = Figure(figsize=(WIDTH, HEIGHT), facecolor="white", dpi=DPI)
        _write_head(figure, counts, words)
        if has_regions:
            draw_regions(axes(figure, 0.55, 0.26, 5.0, 0.56), counts)
        bottom = 1.27 if has_regions else 0.32
        draw_samples(figure, made, box(0.15, bottom, 5.5, 3.45 - bottom), has_regions)
        draw_classes(figure, counts, made.class_names)
        shape = made.pool.images_M.shape
        picture = _picture(figure, is_colourful=len(shape) == 4 and shape[1] == 3)
    write_atomically(path, lambda file: picture.save(file, format="png", optimize=True))


def _picture(figure: Figure, is_colourful: bool) -> Image.Image:
    """Return a figure as an image, with few colours where it needs no more: its file is then half as large."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    picture = Image.fromarray(pixels).convert("RGB")
    return picture if is_colourful else picture.quantize(COLOURS, dither=Image.Dither.NONE)


def _write_head(figure: Figure, counts: Counts, words: str) -> None:
    """Write the settings, and the shares of rows that are clean, right and rejected."""
    left, size = 0.15 / WIDTH, 11.0 * min(1, TITLE / max(len(words), 1))
    figure.text(left, 1 - 0.3 / HEIGHT, words, size=size, weight="bold", color=INK, family="DejaVu Sans Mono")
    total = counts.total
    facts = [
        f"{total.rows:,} rows, {total.images:,} distinct",
        f"{counts.kinds[0].rows / total.rows:.0%} clean",
        f"{total.right / total.rows:.0%} sold right",
        *[f"{total.rejected / total.rows:.0%} rejected"] * counts.has_rejected,
    ]
    figure.text(left, 1 - 0.56 / HEIGHT, ",  ".join(facts), size=8.5, color=QUIET)
