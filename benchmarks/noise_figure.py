"""A picture of every noise, from the real configs: `python -m benchmarks.noise_figure [docs/figures/noise.png]`.

Each panel shows rows drawn at random from a pool, as a random query would buy them. Under each image stands the label
that a query of the row buys; rows whose label is noise have a red frame. Deterministic, and takes a few seconds.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import torch
from hydra.utils import instantiate
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec

import hetal.app.resolvers  # noqa: F401 (configs use them)
from hetal.noise import NoisyPool
from hetal.rng import stream
from tests.command_line import REPOSITORY, composed

CLEAN, NOISY = "#3b4252", "#c62828"
CLASSES = ("#2f6db5", "#e08a1e", "#3a9d5d", "#8a4fa3")
N_ROWS, N_COLUMNS = 3, 9

# By the overrides of a run, what its panel says.
PANELS = {
    "noise=clean": "The training set as it is",
    "noise=blank": "All-zero images; labels uniform over the classes",
    "noise=diverse": "Solid colours; each has three classes to draw its label from",
    "noise=class": "Class 1: uniform labels, and copies of its first 100 images",
    "noise=copies": "Class 0: uniform labels, and copies of its rows with their labels",
    "+experiment=four_moons": "data=four_moons noise=copies, mult 1.5; colours are labels",
}


def pool_of(override: str) -> NoisyPool:
    """Return the pool that a run with this override queries, at seed 0."""
    cfg = composed(override, "tracker=none", root=Path("multirun"))
    task = instantiate(cfg.data, _convert_="all")(rng=stream(0, "data"))
    pool: NoisyPool = instantiate(cfg.noise, _convert_="all")(task.train, task.n_classes, stream(0, "noise"))
    return pool


def draw_images(figure: Figure, slot: SubplotSpec, pool: NoisyPool) -> None:
    """Draw rows of a pool of grey images in a grid."""
    grid = slot.subgridspec(N_ROWS, N_COLUMNS, hspace=0.5, wspace=0.22)
    ids = torch.randperm(len(pool), generator=stream(0, "figure"))[: N_ROWS * N_COLUMNS].tolist()
    for k, row in enumerate(ids):
        ax = figure.add_subplot(grid[k // N_COLUMNS, k % N_COLUMNS])
        noisy = bool(pool.is_noisy_N[row])
        ax.imshow(pool.images_M[pool.source_N[row], 0], cmap="gray", vmin=0, vmax=255)
        ax.set(xticks=[], yticks=[])
        for spine in ax.spines.values():
            spine.set(edgecolor=NOISY if noisy else "#b8bec9", linewidth=1.6 if noisy else 0.8)
        color, weight = (NOISY, "bold") if noisy else (CLEAN, "normal")
        ax.set_xlabel(int(pool.labels_N[row]), color=color, weight=weight, fontsize=9, labelpad=2.5)


def draw_points(ax: Axes, pool: NoisyPool) -> None:
    """Draw the distinct points of a pool in the plane in the colours of their labels."""
    images, first = pool.source_N.unique(return_inverse=True)
    label = torch.empty_like(images).scatter_(0, first, pool.labels_N)
    points = pool.images_M[images]
    order = torch.randperm(len(images), generator=stream(0, "figure"))
    colors = [CLASSES[c] for c in label[order].tolist()]
    ax.scatter(*points[order].T, c=colors, s=1.6, linewidths=0)
    ax.set(xticks=[], yticks=[], xlim=(-1.6, 6.6), ylim=(-1.2, 1.75))
    for spine in ax.spines.values():
        spine.set(edgecolor="#b8bec9", linewidth=0.8)
    style = {"fontsize": 8.5, "va": "center"}
    ax.text(-1.45, 1.5, "class 0: uniform labels, each point 7 times", color=NOISY, weight="bold", **style)
    for c, x, y in ((1, 1.0, -0.95), (2, 4.0, 1.5), (3, 5.0, -0.95)):
        ax.text(x, y, f"class {c}", color=CLEAN, ha="center", **style)


def draw(path: Path) -> None:
    """Write the picture."""
    mpl.rcParams.update({"font.family": "DejaVu Sans", "axes.titlesize": 9})
    figure = plt.figure(figsize=(11, 9.4), dpi=110, facecolor="white")
    grid = figure.add_gridspec(
        3, 2, left=0.025, right=0.975, top=0.875, bottom=0.03, hspace=0.42, wspace=0.09
    )
    style = {"fontsize": 9.5, "va": "top"}
    figure.text(0.025, 0.98, "Noise settings", fontsize=15, weight="bold", color=CLEAN, va="top")
    what = "Random rows of each pool of digits at four noisy rows per clean row, with the label that a query buys."
    figure.text(0.025, 0.951, what, color=CLEAN, **style)
    figure.text(
        0.975, 0.951, "Red frame: the label is noise.", color=NOISY, weight="bold", ha="right", **style
    )
    for k, (override, what) in enumerate(PANELS.items()):
        slot, pool = grid[k // 2, k % 2], pool_of(override)
        write_title(figure, slot, override, what, 1 - float(pool.is_noisy_N.double().mean()))
        if pool.images_M.dim() == 2:
            draw_points(figure.add_subplot(slot), pool)
        else:
            draw_images(figure, slot, pool)
    figure.savefig(path)
    plt.close(figure)


def write_title(figure: Figure, slot: SubplotSpec, setting: str, what: str, clean_share: float) -> None:
    """Write what a panel shows above it."""
    box = slot.get_position(figure)
    figure.text(
        box.x0, box.y1 + 0.029, setting, fontsize=10.5, weight="bold", color=CLEAN, family="DejaVu Sans Mono"
    )
    figure.text(box.x0, box.y1 + 0.0105, what, fontsize=9, color=CLEAN)
    figure.text(box.x1, box.y1 + 0.029, f"{clean_share:.0%} clean", fontsize=9.5, color=CLEAN, ha="right")


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else REPOSITORY / "docs" / "figures" / "noise.png")
