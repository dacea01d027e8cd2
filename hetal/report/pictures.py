"""What each strategy bought first, drawn: images with noisy ones marked, or points of the plane.

Records hold no images. The pool is drawn again from a run's own config, and shown only if it is the one that the
record was begun with.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hetal.errors import BadInput
from hetal.report.analysis import Setting
from hetal.report.figures import save
from hetal.report.reading import Run

FIRST = 20
NOISY = "#d55e00"


def pictures(settings: Sequence[Setting], out: Path) -> str:
    """Draw the first purchases of every strategy in every setting, at its lowest seed.

    Returns:
        HTML that carries the drawings, or says why there are none.
    """
    parts = []
    for i, setting in enumerate(settings):
        name = f"bought-{i}"
        attribute = escape(setting.name, True)
        try:
            _draw(setting, out / name)
        except (BadInput, OSError, ValueError, LookupError) as error:
            why = escape(f"{setting.name}: not drawn: {' '.join(str(error).split())[:300]}")
            parts.append(f"<p class='note' data-setting='{attribute}'>{why}</p>")
            continue
        data = base64.b64encode((out / f"{name}.png").read_bytes()).decode()
        parts.append(
            f"<figure data-setting='{attribute}'><figcaption>{escape(setting.name)}</figcaption>"
            f"<img alt='What each strategy bought first, {attribute}' src='data:image/png;base64,{data}'></figure>"
        )
    note = f"The first {FIRST} rows of the first query at the lowest seed; noisy ones are marked in orange."
    return (
        f"<section id='bought'><h2>What was bought first</h2><div class='pictures'>{''.join(parts)}</div>"
        f"<p class='note'>{note}</p></section>"
    )


def _draw(setting: Setting, path: Path) -> None:
    runs = {label: by_seed[min(by_seed)] for label, by_seed in sorted(setting.runs.items())}
    images_M = _images(next(iter(runs.values())))
    if images_M.ndim == 2 and images_M.shape[1] != 2:
        raise BadInput("its examples are neither images nor points of the plane")
    if images_M.ndim == 2:
        _draw_points(runs, images_M, path)
        return
    figure = Figure(figsize=(0.32 * FIRST + 1.3, 0.36 * len(runs) + 0.1))
    axes = figure.subplots(len(runs), FIRST, squeeze=False)
    figure.subplots_adjust(
        left=1.3 / (0.32 * FIRST + 1.3), right=0.995, top=0.98, bottom=0.02, wspace=0.12, hspace=0.12
    )
    low, high = float(images_M.min()), float(images_M.max())
    for row, (label, run) in zip(axes, runs.items(), strict=True):
        bought = _bought(run)
        row[0].text(-0.3, 0.5, label, transform=row[0].transAxes, ha="right", va="center", fontsize=7)
        for ax, image, noisy in zip(row, bought["source"], bought["is_noisy"], strict=False):
            picture = (images_M[image].astype(float) - low) / (high - low or 1)
            shown = picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)
            ax.imshow(shown, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            _frame(ax, noisy)
        for ax in row[len(bought["source"]) :]:
            ax.set_axis_off()
    save(figure, path)


def _draw_points(runs: dict[str, Run], images_M: Any, path: Path) -> None:
    columns = min(len(runs), 3)
    rows = -(-len(runs) // columns)
    figure = Figure(figsize=(2.6 * columns, 1.9 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, (label, run) in zip(axes.flat, runs.items(), strict=False):
        with np.load(run.folder / "queries.npz") as arrays:
            source, noisy = arrays["source"], arrays["is_noisy"]
        ax.scatter(*images_M.T, s=0.3, color="#d9d9d9", lw=0)
        ax.scatter(*images_M[source[~noisy]].T, s=4, color="#0072b2", lw=0)
        ax.scatter(*images_M[source[noisy]].T, s=4, color=NOISY, marker="x", lw=0.6)
        ax.set_title(f"{label}: {noisy.mean():.0%} noisy", fontsize=8)
    save(figure, path)


def _frame(ax: Axes, noisy: bool) -> None:
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set(visible=bool(noisy), color=NOISY, linewidth=1.6)


def _bought(run: Run) -> dict[str, Any]:
    with np.load(run.folder / "queries.npz") as arrays:
        first = arrays["round"] == 0
        return {name: arrays[name][first][:FIRST] for name in ("source", "is_noisy")}


def _images(run: Run) -> Any:
    """Return the distinct images of the run's pool, drawn again, as a numpy array.

    Raises:
        BadInput: the data cannot be had, or have changed since.
    """
    # Here, since torch takes longer to import than a report without pictures takes to make.
    import yaml

    from hetal.build import build
    from hetal.device import pick_device
    from hetal.setup import prepare

    config = yaml.safe_load((run.folder / ".hydra" / "config.yaml").read_text())
    if root := os.environ.get("HETAL_DATA"):
        config["data"] |= {"root": root} if "root" in config["data"] else {}
    if "download" in config["data"]:
        config["data"]["download"] = False
    config["tracker"] = None
    parts = build(config)
    given = ("data", "noise", "model", "train", "finetune", "n_start", "n_query", "n_end", "seed")
    setup = prepare(
        **{name: parts[name] for name in given}, strategy=parts["alg"], device=pick_device("cpu", 1)
    )
    about = json.loads((run.folder / "provenance.json").read_bytes())
    if setup.fingerprint != about["data"]:
        raise BadInput("the data are not those that the run was begun with")
    return setup.pool.images_M.numpy()
