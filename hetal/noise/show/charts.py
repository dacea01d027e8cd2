"""Charts of what a pool holds: right labels against labels sold, rows of each class, and noise of each region."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hetal.noise.show.counts import Counts
from hetal.noise.show.look import CLEAN, HEIGHT, INK, NOISY, PALE, QUIET, WIDTH, axes, short

TOP = 3.33  # of the charts beside the sample; inches, as all places
LEFT, MATRIX_WIDTH = 6.3, 2.2
ROWS_LEFT, ROWS_WIDTH = 8.58, 0.82

# Of more classes than this a matrix is not legible; and than this, neither are the numbers in it.
MOST_CLASSES, MOST_NUMBERED = 30, 12

# Bars of what is sold wrongly, where there is no matrix.
LISTED = 8

# Numbers of regions that are written.
MOST_REGIONS = 40


def draw_classes(figure: Figure, counts: Counts, names: Sequence[str]) -> None:
    """Draw how often each right label is sold as each label, and the rows of each right label."""
    if counts.n_classes <= MOST_CLASSES:
        _draw_matrix(figure, counts, names)
        return
    _write_key(figure, LEFT, "clean", "noisy")
    _draw_many_rows(axes(figure, LEFT + 0.25, 2.35, 2.85, TOP - 2.35), counts)
    if shown := counts.wrong(LISTED):
        _draw_wrong(axes(figure, LEFT + 1.35, 0.42, 1.75, 1.5), shown, [*names, "reject"])


def draw_regions(ax: Axes, counts: Counts) -> None:
    """Draw the noisy share of every region, the largest first."""
    share = counts.region_noisy.numpy() / np.maximum(counts.region_rows.numpy(), 1)
    order = np.argsort(-share, kind="stable")
    ax.bar(range(len(share)), share[order], color=NOISY, width=0.72)
    ax.set(xlim=(-0.6, len(share) - 0.4), ylim=(0, 1))
    ax.set_yticks([0, 1], ["0", "100%"])
    numbers = order[: len(order) * (len(order) <= MOST_REGIONS)]
    ax.set_xticks(range(len(numbers)), map(str, numbers))
    ax.set_title("noisy share of each region, the noisiest first", size=8, color=INK, loc="left", pad=3)
    _open(ax)


def _open(ax: Axes) -> None:
    """Leave out the lines above and at the right of a chart."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(PALE)


def _write_key(figure: Figure, left: float, blue: str, orange: str) -> None:
    """Write what blue and orange mean in the chart below."""
    y = (TOP + 0.05) / HEIGHT
    for x, color, what in ((left, CLEAN, blue), (left + 0.08 * len(blue) + 0.08, NOISY, orange)):
        figure.text(x / WIDTH, y, what, size=8, weight="bold", color=color)


def _draw_matrix(figure: Figure, counts: Counts, names: Sequence[str]) -> None:
    """Draw the shares of rows of each right label that sell each label, and beside them the number of rows."""
    c = counts.n_classes
    rows, columns = c + counts.has_foreign, c + counts.has_rejected
    n = counts.rows[:rows].numpy()
    share = counts.matrix()[:rows, :columns].numpy() / np.maximum(n, 1)[:, None]
    is_right = np.eye(rows, columns, dtype=bool)
    is_right[c:] = is_right[:, c:] = False
    ink = np.where(is_right[:, :, None], _rgb(CLEAN), _rgb(NOISY))
    if counts.has_rejected:
        ink[:, -1] = _rgb(QUIET)
    sold = [*names, *["reject"] * counts.has_rejected]
    is_upright = 0.06 * max(len(short(name)) for name in sold) > 1.3 * MATRIX_WIDTH / len(sold)
    bottom = 0.9 if is_upright else 0.45
    ax = axes(figure, LEFT, bottom, MATRIX_WIDTH, TOP - bottom)
    ax.imshow(1 - (share**0.6)[:, :, None] * (1 - ink), aspect="auto", interpolation="nearest")
    every = 1 if rows <= 20 else 2
    rights = [*names, *["none"] * counts.has_foreign]
    ax.set_yticks(range(0, rows, every), [short(name) for name in rights[::every]])
    labels = [short(name) for name in sold[::every]]
    ax.set_xticks(range(0, columns, every), labels, rotation=90 if is_upright else 0)
    ax.set_xlabel("label sold, % of the rows" if c <= MOST_NUMBERED else "label sold", labelpad=2)
    for spine in ax.spines.values():
        spine.set(edgecolor=PALE, linewidth=0.8)
    for (i, j), part in np.ndenumerate(share):
        if c <= MOST_NUMBERED and part >= 0.005:
            color = "white" if part > 0.5 else INK
            ax.text(j, i, f"{100 * part:.0f}", size=6, color=color, ha="center", va="center")
    figure.text(
        (LEFT - 0.06) / WIDTH, (TOP + 0.05) / HEIGHT, "right label", size=7.5, color=QUIET, ha="right"
    )
    _write_key(figure, LEFT, "right", "wrong")
    _write_key(figure, ROWS_LEFT, "clean", "noisy")
    _draw_rows(axes(figure, ROWS_LEFT, bottom, ROWS_WIDTH, TOP - bottom), counts, rows)


def _draw_rows(ax: Axes, counts: Counts, rows: int) -> None:
    """Draw the number of clean and noisy rows of each right label, beside the matrix."""
    noisy = counts.noisy[:rows].numpy()
    clean = counts.rows[:rows].numpy() - noisy
    ax.barh(range(rows), clean, color=CLEAN, height=0.72)
    ax.barh(range(rows), noisy, left=clean, color=NOISY, height=0.72)
    ax.set(ylim=(rows - 0.5, -0.5), yticks=[])
    most = int((clean + noisy).max())
    ax.set_xticks([0, most], ["0", f"{most:,}"])
    zero, last = ax.get_xticklabels()
    zero.set_horizontalalignment("left")
    last.set_horizontalalignment("right")
    ax.set_xlabel("rows", labelpad=2)
    _open(ax)
    ax.spines["left"].set_visible(False)


def _draw_many_rows(ax: Axes, counts: Counts) -> None:
    """Draw the number of clean and noisy rows of each of many classes, in their order."""
    noisy = counts.noisy[:-1].numpy()
    clean = counts.rows[:-1].numpy() - noisy
    ax.stackplot(range(counts.n_classes), clean, noisy, colors=[CLEAN, NOISY], step="mid", lw=0)
    ax.set(xlim=(-0.5, counts.n_classes - 0.5))
    most = int((clean + noisy).max())
    ax.set_yticks([0, most], ["0", f"{most:,}"])
    ax.set_xticks([0, counts.n_classes - 1])
    ax.set_xlabel("rows of each right label", labelpad=-6)
    _open(ax)


def _draw_wrong(ax: Axes, wrong: Sequence[Sequence[int]], names: Sequence[str]) -> None:
    """Draw transitions, at least one, as bars."""
    ax.barh(range(len(wrong)), [rows for _, _, rows in wrong], color=NOISY, height=0.72)
    ax.set_yticks(range(len(wrong)), [f"{short(names[i])} as {short(names[j])}" for i, j, _ in wrong])
    ax.set_ylim(LISTED - 0.5, -0.5)
    ax.set_xticks([0, wrong[0][2]])
    ax.set_xlabel("rows sold wrongly", labelpad=2)
    _open(ax)


def _rgb(color: str) -> Any:
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
