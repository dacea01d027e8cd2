"""Figures of what was acquired: rows of images, and points of the plane with decision regions."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from hetal.report.analyse.pictures import Images, Pictures, Points
from hetal.report.files.figures import PLAIN_TEXT, save
from hetal.report.files.parallel import Task

CLEAN, NOISY = "#111111", "#d55e00"
# Pale, so that points stand out; the borders between regions are drawn too.
REGIONS = ("#cfe3f1", "#fbe6c2", "#cdeadf", "#f2d9e6", "#e3e3e3", "#f7f4c0", "#d9d2ea", "#e8d6c3")

# Between an image and the edge of its place.
GAP = 0.06

# Characters of a setting in the name of a file.
LONGEST_NAME = 100

Array = npt.NDArray[Any]


@rc_context(PLAIN_TEXT)
def save_pictures(pictures: Pictures, out: Path, add: Callable[[Task], None]) -> Path | None:
    """Write the figure of one setting to the folder `out`.

    Args:
        pictures: of the setting.
        out: of the files.
        add: does a task later, that of images, which the page does not need.

    Returns:
        The PNG of the plane; None where there are no points of the plane.
    """
    path = out / f"bought-{_file_name(pictures.setting)}"
    if pictures.images:
        add(partial(_save_images, pictures.images, path))
    if not pictures.points:
        return None
    save(draw_plane(pictures.points), path)
    return path.with_name(path.name + ".png")


def _save_images(images: Mapping[str, Images], path: Path) -> None:
    save(draw_images(images), path)


@rc_context(PLAIN_TEXT)
def draw_images(images: Mapping[str, Images]) -> Figure:
    """Draw a row of images for every strategy, noisy ones framed and crossed."""
    most = max(1, *(len(rows.is_noisy) for rows in images.values()))
    left = 0.25 + 0.075 * max(map(len, images))
    width, height = 0.34 * most + left, 0.34 * len(images)
    figure = Figure(figsize=(width, height))
    # One axes for all, and one image for every row: an axes for every image takes matplotlib a hundred times as long.
    ax = figure.add_axes((left / width, 0.0, 1 - left / width, 1.0))
    ax.set_axis_off()
    clean: list[Rectangle] = []
    noisy: list[Rectangle] = []
    for i, (label, rows) in enumerate(images.items()):
        ax.text(-0.15, i + 0.5, label, ha="right", va="center", fontsize=8)
        ax.imshow(
            np.concatenate([*rows.pixels], axis=1), cmap="gray", vmin=0, vmax=255, interpolation="nearest",
            extent=(0, len(rows.pixels), i + 1, i), aspect="auto",
        )  # fmt: skip
        for j, is_noisy in enumerate(rows.is_noisy):
            frame = Rectangle((j + GAP, i + GAP), 1 - 2 * GAP, 1 - 2 * GAP)
            (noisy if is_noisy else clean).append(frame)
    ax.set(xlim=(0, most), ylim=(len(images), 0))
    edges = [Rectangle((round(f.get_x() - GAP), round(f.get_y() - GAP)), 1, 1) for f in (*clean, *noisy)]
    for frames, colour, line in (
        (edges, "white", 72 * 0.34 * 2 * GAP),
        (clean, "#cccccc", 0.5),
        (noisy, NOISY, 1.6),
    ):
        ax.add_collection(PatchCollection(frames, facecolor="none", edgecolor=colour, linewidth=line))
    ax.plot(
        [f.get_x() + f.get_width() for f in noisy], [f.get_y() for f in noisy], linestyle="", marker="x",
        color=NOISY, markersize=3.5, mew=1.2, clip_on=False,
    )  # fmt: skip
    return figure


@rc_context(PLAIN_TEXT)
def draw_plane(acquired: Mapping[str, Points]) -> Figure:
    """Draw the rows that every strategy acquired in the plane, over the test set and, where kept, decision regions."""
    test = next(iter(acquired.values())).test
    columns = min(len(acquired), 3)
    rows = -(-len(acquired) // columns)
    width, height = np.ptp(test, axis=0)
    tall = 3.1 * min(2.0, 0.1 + height / (width or 1))
    figure = Figure(figsize=(3.1 * columns, (tall + 0.3) * rows + 0.35), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for ax in axes.flat:
        ax.set_axis_off()
    marks: list[Any] = []
    for ax, (label, strategy) in zip(axes.flat, acquired.items(), strict=False):
        if strategy.regions is not None:
            _regions(ax, *strategy.regions)
        ax.scatter(*test.T, s=0.4, color="#9a9a9a", alpha=0.5, lw=0, rasterized=True)
        points, noisy = strategy.points, strategy.is_noisy.astype(bool)
        marks = [
            ax.scatter(*points[~noisy].T, s=6, color=CLEAN, lw=0),
            ax.scatter(*points[noisy].T, s=7, color=NOISY, marker="x", lw=0.7),
            Line2D([], [], color="#9a9a9a", marker=".", linestyle="", markersize=2),
        ]
        ax.set_title(f"{label}: {strategy.accuracy:.1%} accurate, {noisy.mean():.0%} noisy", fontsize=9)
        ax.set_aspect("equal")
    figure.legend(
        marks, ["clean", "noisy", "test set"], loc="outside lower center", ncols=3, frameon=False,
        fontsize=8, markerscale=2,
    )  # fmt: skip
    return figure


def _regions(ax: Axes, x: Array, y: Array, classes: Array) -> None:
    colours = ListedColormap([REGIONS[i % len(REGIONS)] for i in range(int(classes.max()) + 1)])
    ax.pcolormesh(
        x, y, classes, cmap=colours, vmin=-0.5, vmax=classes.max() + 0.5, shading="nearest", rasterized=True
    )
    for klass in np.unique(classes):
        ax.contour(x, y, classes == klass, [0.5], colors="#666666", linewidths=0.5)


def _file_name(setting: str) -> str:
    """Return the name of a setting as part of the name of a file."""
    name = re.sub(r"[^a-z0-9._-]+", "-", setting.lower())
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[:LONGEST_NAME]}-{hashlib.sha256(setting.encode()).hexdigest()[:8]}"
