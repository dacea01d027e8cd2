"""What each strategy bought first, drawn: images with noisy ones marked, or points of the plane."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from hetal.errors import BadInput
from hetal.report.analysis import Setting
from hetal.report.drawings import draw_bought, draw_plane
from hetal.report.figures import Look, save
from hetal.report.markup import about, glyph, section
from hetal.report.records import Run
from hetal.report.redraw import Drawn, redraw

# Images of each strategy; fewer where that would be more than the page should carry.
FIRST, MOST = 20, 1500
# Larger images are made smaller, in pixels.
SIDE = 64

Bought = dict[str, npt.NDArray[Any]]


def pictures(settings: Sequence[Setting], look: Mapping[str, Look], out: Path) -> str:
    """Show and draw the first purchases of every strategy in every setting, at the lowest seed that all have.

    Returns:
        HTML that carries the pictures, or says why there are none.
    """
    first = max(5, min(FIRST, MOST // max(1, sum(len(s.runs) for s in settings))))
    parts = [_setting_or_why(setting, look, out, first) for setting in settings]
    return section("bought", "What was bought", "".join(parts))


def _setting_or_why(setting: Setting, look: Mapping[str, Look], out: Path, first: int) -> str:
    try:
        return _setting(setting, look, out, first)
    except (BadInput, OSError, ValueError, LookupError) as error:
        why = escape(f"{setting.name}: not drawn: {' '.join(str(error).split())[:300]}")
        return f"<p class='note'{about(setting.name)}>{why}</p>"


def _setting(setting: Setting, look: Mapping[str, Look], out: Path, first: int) -> str:
    seeds = [set(by_seed) for by_seed in setting.runs.values()]
    shared = set.intersection(*seeds)
    runs = {
        label: by_seed[min(shared or by_seed)]
        for label in look
        if (by_seed := setting.runs.get(label)) is not None
    }
    drawn = redraw(next(iter(runs.values())))
    path = out / f"bought-{re.sub(r'[^a-z0-9._-]+', '-', setting.name.lower())}"
    images = drawn.images
    if images.ndim == 2 and images.shape[1] == 2:
        return _plane(setting.name, runs, drawn, path)
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise BadInput("its examples are neither images nor points of the plane")
    bought = {label: _bought(run, first) for label, run in runs.items()}
    save(draw_bought(bought, _as_pictures(images, bought)), path)
    return _strips(setting.name, runs, bought, images, look)


def _strips(
    name: str,
    runs: Mapping[str, Run],
    bought: Mapping[str, Bought],
    images: npt.NDArray[Any],
    look: Mapping[str, Look],
) -> str:
    shown = _as_pictures(images, bought)
    sources = {i: _data_uri(picture) for i, picture in shown.items()}
    rows = []
    for label, found in bought.items():
        columns = (found[key].tolist() for key in ("source", "labels", "is_noisy"))
        strip = "".join(_picture(sources[i], klass, noisy) for i, klass, noisy in zip(*columns, strict=True))
        tag = about("", [label])
        rows.append(f"<div class='name'{tag}>{glyph(look[label])}{escape(label)}</div>")
        rows.append(f"<div class='strip'{tag}>{strip}</div>")
    note = (
        f"The first query at seed {next(iter(runs.values())).seed}, in the order of buying, with the label that each "
        "row came with; noisy rows are framed and marked ×."
    )
    return (
        f"<div{about(name)}><h3>{escape(name)}</h3><div class='strips'>{''.join(rows)}</div>"
        f"<p class='note'>{note}</p></div>"
    )


def _picture(source: str, klass: int, noisy: bool) -> str:
    kind, mark, said = (" class='noisy'", " ×", "noisy") if noisy else ("", "", "clean")
    return f"<span{kind}><img src='{source}' alt='{said}, labelled {klass}'>{klass}{mark}</span>"


def _plane(name: str, runs: Mapping[str, Run], drawn: Drawn, path: Path) -> str:
    bought, titles, regions = {}, {}, {}
    for label, run in runs.items():
        rows = _bought(run, None)
        bought[label] = {"points": drawn.images[rows["source"]], "is_noisy": rows["is_noisy"]}
        titles[label] = (
            f"{label}: {run.rounds[-1]['accuracy']:.1%} accurate, {rows['is_noisy'].mean():.0%} noisy"
        )
        if (found := drawn.regions(run)) is not None:
            regions[label] = found
    save(draw_plane(bought, titles, drawn.test, regions), path)
    data = base64.b64encode(path.with_name(path.name + ".png").read_bytes()).decode()
    said = f"What each strategy bought in the plane, {name}"
    kept = "Tinted: the classes that the last network predicts. " if regions else ""
    lost = "" if len(regions) == len(runs) else (
        "Decision regions are drawn for runs that kept their last network (keep_network=true)."
    )  # fmt: skip
    seed = next(iter(runs.values())).seed
    return (
        f"<figure class='wide'{about(name)}><figcaption>{escape(name)}</figcaption>"
        f"<img class='plane' alt='{escape(said, True)}' src='data:image/png;base64,{data}'>"
        f"<p class='note'>All that queries bought at seed {seed}. {kept}{lost}</p></figure>"
    )


def _bought(run: Run, first: int | None) -> Bought:
    """Return the first rows that queries bought, all of them where `first` is None."""
    with np.load(run.folder / "queries.npz") as arrays:
        queried = np.flatnonzero(arrays["round"] >= 0)[:first]
        return {name: arrays[name][queried] for name in ("source", "labels", "is_noisy")}


def _as_pictures(images: npt.NDArray[Any], bought: Mapping[str, Bought]) -> dict[int, npt.NDArray[np.uint8]]:
    """Return what was bought as (H, W) or (H, W, 3) of 0..255, by distinct image."""
    low, high = (0.0, 255.0) if images.dtype == np.uint8 else (float(images.min()), float(images.max()))
    found = {}
    for i in sorted({int(i) for rows in bought.values() for i in rows["source"]}):
        picture = (images[i].astype(float) - low) / (high - low or 1)
        scaled = (255 * picture).round().clip(0, 255).astype(np.uint8)
        found[i] = scaled[0] if len(scaled) == 1 else scaled.transpose(1, 2, 0)
    return found


def _data_uri(picture: npt.NDArray[np.uint8]) -> str:
    image, file = Image.fromarray(picture), io.BytesIO()
    image.thumbnail((SIDE, SIDE))
    image.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
