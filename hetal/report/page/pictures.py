"""The pictures of what was acquired, in the page's own form: images as data URIs."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from hetal.record.schema import REJECT
from hetal.report.analyse.pictures import NOT_KEPT, Images, Pictures
from hetal.report.load.acquired import Array

#: In place of the label of a row that gave none.
REJECTED = "rejected"


@dataclass(frozen=True)
class Picture:
    """One acquired row: its image as a data URI, its label, and whether it is noisy."""

    source: str
    label: str
    is_noisy: bool


@dataclass(frozen=True)
class Shown:
    """The pictures of one setting.

    Attributes:
        setting: name of the setting.
        seed: of the runs.
        strips: strategies and their images.
        plane: data URI of the figure of the plane; empty where there is none.
        has_regions: whether any decision regions are drawn, and `all_regions` whether those of every strategy.
        missing: strategies, and why they have no picture.
    """

    setting: str
    seed: int
    strips: Sequence[tuple[str, Sequence[Picture]]]
    plane: str
    has_regions: bool
    all_regions: bool
    missing: Sequence[tuple[str, str]]

    @property
    def some_noisy(self) -> bool:
        """Whether any of the rows in `strips` is noisy."""
        return any(picture.is_noisy for _, pictures in self.strips for picture in pictures)

    @property
    def is_empty(self) -> bool:
        """Whether there is no picture, and nothing wrong with any."""
        return not self.strips and not self.plane and all(reason == NOT_KEPT for _, reason in self.missing)


def shown(pictures: Pictures, plane: Path | None) -> Shown:
    """Return the pictures of one setting; `plane` is the PNG of the plane, if there is one."""
    known: dict[bytes, str] = {}
    strips = []
    for label, rows in pictures.images.items():
        columns = zip(rows.pixels, _named(rows), rows.is_noisy.tolist(), strict=True)
        strips.append((label, [Picture(_data_uri(pixels, known), *rest) for pixels, *rest in columns]))
    regions = [points.regions is not None for points in pictures.points.values()]
    return Shown(
        setting=pictures.setting,
        seed=pictures.seed,
        strips=strips,
        plane=_png(plane.read_bytes()) if plane else "",
        has_regions=any(regions),
        all_regions=all(regions),
        missing=list(pictures.missing.items()),
    )


def _named(rows: Images) -> list[str]:
    """Return the labels by name, or number where there is none."""
    names = {**dict(enumerate(rows.classes)), REJECT: REJECTED}
    return [names.get(label, str(label)) for label in rows.labels.tolist()]


def _data_uri(pixels: Array, known: dict[bytes, str]) -> str:
    """Return an image of 0..255 as a data URI; `known` caches them."""
    key = repr(pixels.shape).encode() + pixels.tobytes()
    if key not in known:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG", optimize=True)
        known[key] = _png(file.getvalue())
    return known[key]


def _png(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()
