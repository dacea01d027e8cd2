"""A picture of a pool: a sample of its rows, and how often each right label is sold as each label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from hetal.machine.files import write_atomically
from hetal.noise.show.corrupted import Corrupted
from hetal.noise.show.counts import Counts
from hetal.noise.show.look import CLEAN, INK, NOISY, PALE, PLAIN, QUIET, short
from hetal.noise.show.samples import draw_samples

WIDTH, HEIGHT = 9.6, 4.2  # inches
TOP = 3.33  # of what has axes
MATRIX_WIDTH = 2.2
DPI = 110
COLOURS = 200

# Of more classes than this a matrix is not legible; and than this, neither are the numbers in it.
MOST_CLASSES, MOST_NUMBERED = 30, 12

# Bars of what is sold wrongly, where there is no matrix.
LISTED = 14


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
    with rc_context(PLAIN):
        figure = Figure(figsize=(WIDTH, HEIGHT), facecolor="white", dpi=DPI)
        _write_head(figure, counts, words)
        has_regions = len(counts.region_rows) > 0
        if has_regions:
            _draw_regions(_axes(figure, 0.55, 0.26, 5.0, 0.56), counts)
        bottom = 1.27 if has_regions else 0.32
        draw_samples(figure, made, _box(0.15, bottom, 5.5, 3.45 - bottom), has_regions)
        if counts.n_classes <= MOST_CLASSES:
            _draw_matrix(figure, counts, made.class_names)
        else:
            _draw_wrong(_axes(figure, 7.3, 0.42, 1.9, 2.85), counts, made.class_names)
        picture = _picture(
            figure, is_colourful=made.pool.images_M.dim() == 4 and made.pool.images_M.shape[1] == 3
        )
    write_atomically(path, lambda file: picture.save(file, format="png", optimize=True))


def _picture(figure: Figure, is_colourful: bool) -> Image.Image:
    """Return a figure as an image, with few colours where it needs no more: its file is then half as large."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    return picture if is_colourful else picture.quantize(COLOURS, dither=Image.Dither.NONE)


def _box(left: float, bottom: float, width: float, height: float) -> tuple[float, float, float, float]:
    """Return a box in inches as shares of the figure."""
    return left / WIDTH, bottom / HEIGHT, width / WIDTH, height / HEIGHT


def _axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    return figure.add_axes(_box(left, bottom, width, height))


def _write_head(figure: Figure, counts: Counts, words: str) -> None:
    """Write the settings, the shares of clean and right rows, and what the colours mean."""
    left, line = 0.15 / WIDTH, 1 / HEIGHT
    size = min(11.0, 11.0 * 92 / max(len(words), 1))
    figure.text(left, 1 - 0.3 * line, words, size=size, weight="bold", color=INK, family="DejaVu Sans Mono")
    total = counts.total
    facts = [
        f"{total.rows:,} rows, {total.images:,} distinct",
        f"{counts.kinds[0].rows / total.rows:.0%} clean",
        f"{total.right / total.rows:.0%} sold right",
        *[f"{total.rejected / total.rows:.0%} rejected"] * counts.has_rejected,
    ]
    y = 1 - 0.56 * line
    figure.text(left, y, ",  ".join(facts), size=8.5, color=QUIET)


def _write_key(figure: Figure, left: float, blue: str, orange: str) -> None:
    """Write what blue and orange mean in the axes below."""
    for x, color, what in ((left, CLEAN, blue), (left + 0.08 * len(blue) + 0.08, NOISY, orange)):
        figure.text(x / WIDTH, 3.38 / HEIGHT, what, size=8, weight="bold", color=color)


def _draw_matrix(figure: Figure, counts: Counts, names: Sequence[str]) -> None:
    """Draw the shares of rows of each right label that sell each label, and beside them the number of rows."""
    c = counts.n_classes
    rows, columns = c + counts.has_foreign, c + counts.has_rejected
    n = counts.rows[:rows].numpy()
    share = counts.matrix()[:rows, :columns].numpy() / np.maximum(n, 1)[:, None]
    is_right = np.eye(rows, columns, dtype=bool)
    is_right[c:] = is_right[:, c:] = False
    depth = (share**0.6)[:, :, None]
    ink = np.where(is_right[:, :, None], _rgb(CLEAN), _rgb(NOISY))
    if counts.has_rejected:
        ink[:, -1] = _rgb(QUIET)
    sold = [*names, *["reject"] * counts.has_rejected]
    bottom = 0.9 if _is_upright(sold) else 0.45
    ax = _axes(figure, 6.3, bottom, MATRIX_WIDTH, TOP - bottom)
    ax.imshow(1 - depth * (1 - ink), aspect="auto", interpolation="nearest")
    _ticks(ax, [*names, *["none"] * counts.has_foreign], sold)
    ax.set_xlabel("label sold, % of the rows" if c <= MOST_NUMBERED else "label sold", labelpad=2)
    ax.set_ylabel("right label", labelpad=2)
    for spine in ax.spines.values():
        spine.set(edgecolor=PALE, linewidth=0.8)
    if c <= MOST_NUMBERED:
        for (i, j), part in np.ndenumerate(share):
            if part >= 0.005:
                color = "white" if part > 0.5 else INK
                ax.text(j, i, f"{100 * part:.0f}", size=6, color=color, ha="center", va="center")
    _write_key(figure, 6.3, "right", "wrong")
    _write_key(figure, 8.58, "clean", "noisy")
    _draw_rows(_axes(figure, 8.58, bottom, 0.82, TOP - bottom), counts, rows)


def _draw_rows(ax: Axes, counts: Counts, rows: int) -> None:
    """Draw the number of clean and noisy rows of each right label, beside the matrix."""
    noisy = counts.noisy[:rows].numpy()
    clean = counts.rows[:rows].numpy() - noisy
    ax.barh(range(rows), clean, color=CLEAN, height=0.72)
    ax.barh(range(rows), noisy, left=clean, color=NOISY, height=0.72)
    ax.set(ylim=(rows - 0.5, -0.5), yticks=[])
    most = int((clean + noisy).max())
    ax.set_xticks([0, most], ["0", f"{most:,}"])
    ax.set_xlabel("rows", labelpad=2)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.spines["bottom"].set(color=PALE)
    for label, side in zip(ax.get_xticklabels(), ("left", "right"), strict=True):
        label.set_ha(side)


def _draw_wrong(ax: Axes, counts: Counts, names: Sequence[str]) -> None:
    """Draw the most frequent of what is sold wrongly as bars."""
    shown = counts.wrong(LISTED)
    sold = [*names, "reject"]
    ax.barh(range(len(shown)), [one.rows for one in shown], color=NOISY, height=0.72)
    labels = [f"{short(names[one.right])} as {short(sold[one.sold])}" for one in shown]
    ax.set_yticks(range(len(shown)), labels)
    ax.set_ylim(max(len(shown), 1) - 0.5, -0.5)
    ax.set_xlabel("rows sold wrongly" if shown else "no row is sold wrongly", labelpad=2)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(PALE)


def _draw_regions(ax: Axes, counts: Counts) -> None:
    """Draw the noisy share of every region, the largest first."""
    share = counts.region_noisy.numpy() / np.maximum(counts.region_rows.numpy(), 1)
    order = np.argsort(-share, kind="stable")
    ax.bar(range(len(share)), share[order], color=NOISY, width=0.72)
    ax.set(xlim=(-0.6, len(share) - 0.4), ylim=(0, 1))
    ax.set_yticks([0, 1], ["0", "100%"])
    ax.set_xticks(range(len(share)) if len(share) <= 40 else [], order if len(share) <= 40 else [])
    ax.set_title("noisy share of each region, the noisiest first", size=8, color=INK, loc="left", pad=3)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(PALE)


def _is_upright(sold: Sequence[str]) -> bool:
    """Return whether names of labels sold are too long to stand beside each other."""
    return 0.06 * max(len(short(name)) for name in sold) > 1.3 * MATRIX_WIDTH / len(sold)


def _ticks(ax: Axes, rights: Sequence[str], sold: Sequence[str]) -> None:
    """Name rows and columns, only some where there are many."""
    every = 1 if len(rights) <= 20 else 2
    ax.set_yticks(range(0, len(rights), every), [short(name) for name in rights[::every]])
    labels = [short(name) for name in sold[::every]]
    ax.set_xticks(range(0, len(sold), every), labels, rotation=90 if _is_upright(sold) else 0)


def _rgb(color: str) -> Any:
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
