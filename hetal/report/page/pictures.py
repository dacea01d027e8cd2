"""What each strategy bought first, drawn: images with noisy ones marked, or points of the plane."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from hetal.errors import BadInput
from hetal.report.analyse.setting import Setting
from hetal.report.files.acquired import draw_bought, draw_plane
from hetal.report.files.figures import Look, save
from hetal.report.load.purchases import Array, bought_by, shown
from hetal.report.load.records import Run
from hetal.report.load.untrusted import said
from hetal.report.page.markup import about, glyph, section

# Images of each strategy; fewer where that would be more than the page should carry.
FIRST, MOST = 20, 1500
# Characters of a setting in the name of a file.
LONGEST_FILE = 100

Shown = Mapping[str, Array]


def pictures(settings: Sequence[Setting], look: Mapping[str, Look], out: Path) -> str:
    """Show and draw the first purchases of every strategy in every setting, at the lowest seed that all have.

    Nothing is read but what the runs left, see `hetal.watch.pictures`.

    Returns:
        HTML that carries the pictures, or says why there are none.
    """
    first = max(5, min(FIRST, MOST // max(1, sum(len(s.runs) for s in settings))))
    parts = [_setting_or_why(setting, look, out, first) for setting in settings]
    return section("bought", "What was bought", "".join(parts))


def _setting_or_why(setting: Setting, look: Mapping[str, Look], out: Path, first: int) -> str:
    try:
        return _setting(setting, look, out, first)
    except BadInput as error:
        why = escape(f"{setting.name}: not drawn: {error}")
        return f"<p class='note'{about(setting.name)}>{why}</p>"


def _setting(setting: Setting, look: Mapping[str, Look], out: Path, first: int) -> str:
    seeds = [set(by_seed) for by_seed in setting.runs.values()]
    shared = set.intersection(*seeds)
    runs = {
        label: by_seed[min(shared or by_seed)]
        for label in look
        if (by_seed := setting.runs.get(label)) is not None
    }
    read = {label: _shown_or_why(run, first) for label, run in runs.items()}
    found = {label: kept for label, kept in read.items() if not isinstance(kept, str)}
    lost = {label: why for label, why in read.items() if isinstance(why, str)}
    if not found:
        raise BadInput(next(iter(lost.values())))
    seed = next(iter(runs.values())).seed
    digest = hashlib.sha256(setting.name.encode()).hexdigest()[:8]
    short = re.sub(r"[^a-z0-9._-]+", "-", setting.name.lower())
    path = out / f"bought-{short if len(short) <= LONGEST_FILE else f'{short[:LONGEST_FILE]}-{digest}'}"
    images, plane = ({label: f for label, f in found.items() if (k in f)} for k in ("images", "points"))
    html = _strips(setting.name, seed, images, look, path) if images else ""
    if plane:
        html += _plane(setting.name, seed, plane, {label: runs[label] for label in plane}, path)
    why = "".join(f"<li>{escape(label)}: {escape(reason)}</li>" for label, reason in lost.items())
    return html + (f"<ul class='note'{about(setting.name)}>{why}</ul>" if why else "")


def _check_rows(found: Shown, bought: Mapping[str, Array]) -> None:
    """Refuse pictures of other rows than the record's; a run in progress may have drawn its next round already."""
    queried = bought["round"] >= 0
    for name in ("labels", "is_noisy"):
        recorded = bought[name][queried][: len(found[name])]
        if not np.array_equal(found[name][: len(recorded)], recorded):
            raise BadInput("pictures.npz is damaged: it shows other rows than were bought")


def _shown_or_why(run: Run, first: int) -> Shown | str:
    try:
        found = shown(run.folder / "pictures.npz", first)
        _check_rows(found, bought_by(run))
        return found
    except FileNotFoundError:
        return "runs keep pictures only of images with 1 or 3 channels and of points of the plane"
    except (OSError, BadInput) as error:
        return said(error)


def _strips(name: str, seed: int, found: Mapping[str, Shown], look: Mapping[str, Look], path: Path) -> str:
    drawn = {
        label: {"pictures": f["images"][f["image"]], "is_noisy": f["is_noisy"]} for label, f in found.items()
    }
    save(draw_bought(drawn), path)
    sources: dict[bytes, str] = {}
    rows = []
    for label, f in found.items():
        columns = (drawn[label]["pictures"], f["labels"].tolist(), f["is_noisy"].tolist())
        strip = "".join(
            _picture(_data_uri(pixels, sources), klass, noisy)
            for pixels, klass, noisy in zip(*columns, strict=True)
        )
        tag = about("", [label])
        rows.append(f"<div class='name'{tag}>{glyph(look[label])}{escape(label)}</div>")
        rows.append(f"<div class='strip'{tag}>{strip}</div>")
    note = (
        f"The first query at seed {seed}, in the order of buying, with the label that each "
        "row came with; noisy rows are framed and marked ×."
    )
    return (
        f"<div{about(name)}><h3>{escape(name)}</h3><div class='strips'>{''.join(rows)}</div>"
        f"<p class='note'>{note}</p></div>"
    )


def _picture(source: str, klass: int, noisy: bool) -> str:
    kind, mark, what = (" class='noisy'", " ×", "noisy") if noisy else ("", "", "clean")
    return f"<span{kind}><img src='{source}' alt='{what}, labelled {klass}'>{klass}{mark}</span>"


def _plane(name: str, seed: int, found: Mapping[str, Shown], runs: Mapping[str, Run], path: Path) -> str:
    titles = {
        label: f"{label}: {runs[label].rounds[-1]['accuracy']:.1%} accurate, {f['is_noisy'].mean():.0%} noisy"
        for label, f in found.items()
    }
    regions = {label: (f["x"], f["y"], f["classes"]) for label, f in found.items() if "classes" in f}
    save(draw_plane(found, titles, next(iter(found.values()))["test"], regions), path)
    data = base64.b64encode(path.with_name(path.name + ".png").read_bytes()).decode()
    what = f"What each strategy bought in the plane, {name}"
    kept = "Tinted: the classes that the last network predicts. " if regions else ""
    lost = "" if len(regions) == len(runs) else (
        "Decision regions are drawn for runs that kept their last network (keep_network=true)."
    )  # fmt: skip
    return (
        f"<figure class='wide'{about(name)}><figcaption>{escape(name)}</figcaption>"
        f"<img class='plane' alt='{escape(what, True)}' src='data:image/png;base64,{data}'>"
        f"<p class='note'>All that queries bought at seed {seed}. {kept}{lost}</p></figure>"
    )


def _data_uri(pixels: Array, known: dict[bytes, str]) -> str:
    """Return an image of 0..255 as what the page shows; `known` remembers what was asked before."""
    key = repr(pixels.shape).encode() + pixels.tobytes()
    if key not in known:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG", optimize=True)
        known[key] = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    return known[key]
