"""Figures of what was acquired: rows of images, and points of the plane with decision regions."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
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

CLEAN, NOISY = "#111111", "#d55e00"
# Pale, so that points stand out; the borders between regions are drawn too.
REGIONS = ("#cfe3f1", "#fbe6c2", "#cdeadf", "#f2d9e6", "#e3e3e3", "#f7f4c0", "#d9d2ea", "#e8d6c3")

# Between an image and the edge of its place.
GAP = 0.06

# Characters of a setting in the name of a file.
LONGEST_NAME = 100

Array = npt.NDArray[Any]


@rc_context(PLAIN_TEXT)
def save_pictures(pictures: Pictures, out: Path) -> Path | None:
    """Write the figure of one setting to the folder `out`.

    Returns:
        The PNG of the plane; None where there are no points of the plane.
    """
    path = out / f"bought-{_file_name(pictures.setting)}"
    if pictures.images:
        save(draw_images(pictures.images), path)
    if not pictures.points:
        return None
    save(draw_plane(pictures.points), path)
    return path.with_name(path.name + ".png")


@rc_context(PLAIN_TEXT)
def draw_images(images: Mapping[str, Images]) -> Figure:
    """Draw a row of images for every strategy, noisy ones framed and crossed."""
    most = max(1, *(len(rows.is_noisy) for rows in images.values()))
    width, height = 0.32 * most + 1.1, 0.34 * len(images) + 0.08
    figure = Figure(figsize=(width, height))
    ax = figure.add_axes((1.1 / width, 0.0, 1 - 1.1 / width, 1.0))
    ax.set(xlim=(0, most), ylim=(len(images), 0))
    ax.set_axis_off()
    clean, noisy = [], []
    # One axes for all, since one for every image takes matplotlib a thousand times as long.
    for i, (label, rows) in enumerate(images.items()):
        ax.text(-0.1, i + 0.5, label, ha="right", va="center", fontsize=8)
        for j, (picture, is_noisy) in enumerate(zip(rows.pixels, rows.is_noisy, strict=True)):
            place = (j + GAP, j + 1 - GAP, i + 1 - GAP, i + GAP)
            ax.imshow(
                picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest", extent=place, aspect="auto"
            )
            (noisy if is_noisy else clean).append((j, i))
    ax.set(xlim=(0, most), ylim=(len(images), 0))
    for places, colour, line in ((clean, "#cccccc", 0.5), (noisy, NOISY, 1.6)):
        frames = [Rectangle((j + GAP, i + GAP), 1 - 2 * GAP, 1 - 2 * GAP) for j, i in places]
        ax.add_collection(PatchCollection(frames, facecolor="none", edgecolor=colour, linewidth=line))
    ax.plot(
        [j + 1 - GAP for j, _ in noisy], [i + GAP for _, i in noisy], linestyle="", marker="x", color=NOISY,
        markersize=3.5, mew=1.2, clip_on=False,
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
