"""A sample of the rows of a pool, drawn: images, strips of features, or points of the plane."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from hetal.noise.show.corrupted import Corrupted
from hetal.noise.show.look import HEIGHT, INK, LABELS, NOISY, PALE, QUIET, WIDTH, short
from hetal.record.schema import REJECT
from hetal.task import extremes

# Images in a line, and lines; the latter without and with regions below them.
COLUMNS, LINES, FEW_LINES = 10, 4, 3

# Strips of features: lines, in two columns.
STRIPS, FEW_STRIPS = 12, 8

# Points of the plane.
POINTS = 1500

Array = npt.NDArray[np.float64]
Box = tuple[float, float, float, float]


def draw_samples(figure: Figure, made: Corrupted, box: Box, few: bool) -> None:
    """Draw the first rows of a pool, whose order is random.

    Args:
        figure: to draw in.
        made: the pool.
        box: left, bottom, width and height of the place, in shares of the figure.
        few: whether there is less room.
    """
    shape = made.pool.images_M.shape[1:]
    if len(shape) == 3:
        _draw_images(figure, made, box, FEW_LINES if few else LINES)
    elif shape[0] == 2:
        _draw_plane(figure, made, box)
    else:
        _draw_strips(figure, made, box, FEW_STRIPS if few else STRIPS)


def sample(made: Corrupted, n: int) -> Array:
    """Return what the first n rows show, (n, ...), each channel or feature scaled to 0..1 by its range in the pool."""
    images_M = made.pool.images_M
    shown = images_M[made.pool.source_N[:n]].double().numpy()
    low, high = (bound.double().numpy() for bound in extremes(images_M))
    if images_M.dim() == 4:  # a colour is one only if its channels have one scale
        low, high = low.min(keepdims=True), high.max(keepdims=True)
    axes = (1, -1, *[1] * (images_M.dim() - 2))
    scaled: Array = (shown - low.reshape(axes)) / np.maximum(high - low, 1e-300).reshape(axes)
    return scaled


def caption(made: Corrupted, row: int) -> tuple[str, str]:
    """Return the label that a row sells, and the right label where it is another, else ""."""
    names = made.class_names
    sold, right = int(made.pool.labels_N[row]), int(made.oracle.true(torch.tensor([row])))
    if sold == REJECT:
        return "reject", ""
    return short(names[sold]), "" if sold == right else f"({short(names[right]) if right >= 0 else '–'})"


def _look(sold: str, right: str) -> dict[str, Any]:
    """Return the type of a caption."""
    return (
        {"color": QUIET, "weight": "normal"}
        if not right and sold != "reject"
        else {"color": NOISY, "weight": "bold"}
    )


def _paper(figure: Figure, box: Box) -> Axes:
    """Return axes without lines over a box, whose unit is the inch; many axes of their own would take seconds."""
    ax = figure.add_axes(box, xlim=(0, box[2] * WIDTH), ylim=(0, box[3] * HEIGHT), autoscale_on=False)
    ax.set_axis_off()
    return ax


def _paste(ax: Axes, picture: Array, x: float, top: float, width: float, height: float, noisy: bool) -> None:
    """Draw an image below and right of a point, framed where it is noisy."""
    extent = (x, x + width, top - height, top)
    ax.imshow(picture, cmap="gray", vmin=0, vmax=1, extent=extent, aspect="auto", interpolation="nearest")
    color, line = (NOISY, 1.8) if noisy else (PALE, 0.7)
    ax.add_patch(Rectangle((x, top - height), width, height, fill=False, edgecolor=color, linewidth=line))


def _draw_images(figure: Figure, made: Corrupted, box: Box, lines: int) -> None:
    """Draw images in a grid, noisy ones framed, each over what it sells."""
    n = min(COLUMNS * lines, len(made.pool))
    pictures = sample(made, n).transpose(0, 2, 3, 1)
    if pictures.shape[3] != 3:
        pictures = pictures.mean(3)
    ax = _paper(figure, box)
    are_names = max(map(len, made.class_names)) > 2
    right_end, upper_end = ax.get_xlim()[1], ax.get_ylim()[1]
    wide, tall = right_end / COLUMNS, upper_end / lines
    below = 0.28 if are_names else 0.19  # for labels of two lines, or one
    scale = min(0.88 * wide / pictures.shape[2], (tall - below) / pictures.shape[1])
    width, height = scale * pictures.shape[2], scale * pictures.shape[1]
    for i in range(n):
        middle, top = wide * (i % COLUMNS + 0.5), upper_end - tall * (i // COLUMNS) - 0.02
        _paste(ax, pictures[i], middle - width / 2, top, width, height, bool(made.pool.is_noisy_N[i]))
        sold, right = caption(made, i)
        text = (f"{sold}\n{right}" if are_names else f"{sold} {right}").rstrip()
        look = {**_look(sold, right), **({"weight": "normal", "size": 6} if are_names else {"size": 8})}
        ax.text(middle, top - height - 0.04, text, ha="center", va="top", linespacing=1.0, **look)
    _write_key(figure, box)


def _draw_strips(figure: Figure, made: Corrupted, box: Box, lines: int) -> None:
    """Draw vectors as strips of grey, a cell for each feature, noisy ones framed, each beside what it sells."""
    n = min(2 * lines, len(made.pool))
    vectors = sample(made, n)
    ax = _paper(figure, box)
    right_end, upper_end = ax.get_xlim()[1], ax.get_ylim()[1]
    tall, width = (upper_end - 0.03) / lines, 0.25 * right_end
    for i in range(n):
        x, top = right_end / 2 * (i // lines) + 0.01, upper_end - tall * (i % lines + 0.15)
        _paste(ax, vectors[i][None], x, top, width, 0.7 * tall, bool(made.pool.is_noisy_N[i]))
        sold, right = caption(made, i)
        at = x + width + 0.06, top - 0.35 * tall
        ax.text(*at, f"{sold} {right}", size=6.5, va="center", **_look(sold, right))
    _write_key(figure, box, f"strips: {vectors.shape[1]} features, black to white;  ")


def _write_key(figure: Figure, box: Box, what: str = "") -> None:
    """Write how to read the rows below them."""
    text = f"{what}framed: noisy;  orange: sold wrongly (and the right label)"
    figure.text(box[0], box[1] - 0.01, text, size=7, color=QUIET, va="top")


def _draw_plane(figure: Figure, made: Corrupted, box: Box) -> None:
    """Draw points of the plane in the colours of what they sell, noisy ones as crosses."""
    n = min(POINTS, len(made.pool))
    points = made.pool.images_M[made.pool.source_N[:n]].double().numpy()
    sold, noisy = made.pool.labels_N[:n].numpy(), made.pool.is_noisy_N[:n].numpy()
    left, bottom, width, height = box
    ax = figure.add_axes((left + 0.01 * width, bottom + 0.09 * height, 0.98 * width, 0.9 * height))
    colors = np.array([*LABELS, PALE])[np.where(sold < 0, len(LABELS), sold % len(LABELS))]
    for at, marker, size, width in ((~noisy, "o", 6, 0.0), (noisy, "x", 9, 0.8)):
        x, y = points[at].T
        ax.scatter(x, y, c=list(colors[at]), s=size, marker=marker, linewidths=width)
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set(edgecolor=PALE, linewidth=0.8)
    c = made.task.n_classes
    marks = [
        Line2D([], [], color=LABELS[i], marker="o", linestyle="", markersize=4)
        for i in range(c * (c <= len(LABELS)))
    ]
    marks.append(Line2D([], [], color=INK, marker="x", linestyle="", markersize=4))
    names = [f"sold as {short(name)}" for name in made.class_names[: len(marks) - 1]]
    ax.legend(
        marks, [*names, "noisy"], loc="upper left", bbox_to_anchor=(0, -0.01), ncols=min(len(marks), 6), frameon=False,
        fontsize=7, handletextpad=0.1, columnspacing=1, labelcolor=QUIET, borderaxespad=0,
    )  # fmt: skip
