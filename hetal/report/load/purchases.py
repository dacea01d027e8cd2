"""What a run left of its purchases, checked: the rows of queries.npz, and what pictures.npz shows of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hetal.errors import BadInput
from hetal.record.schema import START, Bought
from hetal.record.seal import CHANGED, queries_digests
from hetal.report.load.records import Run
from hetal.report.load.untrusted import arrays_of

Array = npt.NDArray[Any]

# Labels are below this: of each class there is a bar.
MOST_CLASSES = 100_000
# Of a picture, in pixels a side; of the grid of decision regions, in points a side.
MOST_PIXELS, MOST_GRID = 64, 1000
# Points that are drawn, and classes whose regions are.
MOST_POINTS, MOST_REGIONS = 50_000, 64


def queries(path: Path, names: Sequence[str]) -> Mapping[str, Array]:
    """Return columns of queries.npz: whole numbers, but for `is_noisy`, which is true or false.

    Args:
        path: of the file.
        names: of the columns.

    Raises:
        OSError, BadInput: it is missing or damaged.
    """
    found = arrays_of(path, names)
    if absent := [name for name in names if name not in found]:
        raise BadInput(f"{path.name} has no array {', '.join(absent)}")
    try:
        _columns(found)
    except BadInput as error:
        raise BadInput(f"{path.name} is damaged: {error}") from None
    return found


def bought_by(run: Run) -> Mapping[str, Array]:
    """Return the columns of a run's queries.npz, of its start set and its finished rounds.

    Raises:
        OSError, BadInput: it is missing or damaged, or was changed after it was written.
    """
    columns = [field.name for field in dataclasses.fields(Bought)]
    found = queries(run.folder / "queries.npz", ["round", *columns])
    round_ = found["round"]
    if (round_[1:] < round_[:-1]).any():
        raise BadInput("queries.npz is damaged: its rows are not in the order of buying")
    if run.rounds and (digest := run.rounds[-1].get("queries_digest")):  # older records have none
        ends = np.searchsorted(round_, np.arange(START, len(run.rounds) + 1)).tolist()
        held: Mapping[str, Any] = found  # arrays do for tensors here
        parts = (Bought(*(held[name][low:high] for name in columns)) for low, high in pairwise(ends))
        if [*queries_digests(parts)][-1] != digest:
            raise BadInput(f"queries.npz {CHANGED}")
    return {name: values[round_ < len(run.rounds)] for name, values in found.items()}


def shown(path: Path, first: int) -> Mapping[str, Array]:
    """Return what pictures.npz holds, see `hetal.watch.pictures`: `images`, else points of the plane.

    Args:
        path: of the file.
        first: rows at most, of images; of points `MOST_POINTS`.

    Returns:
        `images` (k, H, W) or (k, H, W, 3) of uint8, and of each row `image`, `labels` and `is_noisy` (n,); or `points`
        (n, 2), `labels` and `is_noisy` (n,), `test` (m, 2) and, where they were kept and can be told apart, `x` (w,),
        `y` (h,) and `classes` (h, w).

    Raises:
        OSError, BadInput: it is missing or damaged.
    """
    found = arrays_of(path, ("images", "image", "points", "labels", "is_noisy", "test", "x", "y", "classes"))
    rows: dict[str, Array] = {name: found[name] for name in ("image", "labels", "is_noisy") if name in found}
    try:
        _columns(rows)
        if {"images", "image", "labels", "is_noisy"} <= found.keys():
            _check_images(found)
            return {"images": found["images"], **{name: column[:first] for name, column in rows.items()}}
        if {"points", "labels", "is_noisy", "test"} <= found.keys():
            return _points(found)
    except BadInput as error:
        raise BadInput(f"{path.name} is damaged: {error}") from None
    raise BadInput(f"{path.name} holds neither images nor points")


def _check_images(found: Mapping[str, Array]) -> None:
    images, image = found["images"], found["image"]
    grey_or_colour = images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3)
    if (
        not grey_or_colour
        or images.dtype != np.uint8
        or not all(0 < n <= MOST_PIXELS for n in images.shape[1:3])
    ):
        raise BadInput("its images are none")
    if not len(image) or image.min() < 0 or image.max() >= len(images):
        raise BadInput("it shows images that it does not hold")


def _points(found: Mapping[str, Array]) -> Mapping[str, Array]:
    kept = {name: found[name][:MOST_POINTS] for name in ("points", "labels", "is_noisy", "test")}
    for name in ("points", "test"):
        at = kept[name]
        if at.ndim != 2 or at.shape[1] != 2 or not len(at) or not _are_drawable(at):
            raise BadInput(f"its {name} are none of the plane")
    if len(kept["points"]) != len(kept["labels"]):
        raise BadInput("its arrays differ in length")
    if "classes" not in found:
        return kept
    grid = {name: found.get(name, np.empty(0)) for name in ("x", "y", "classes")}
    if not _is_grid(**grid):
        raise BadInput("its decision regions are no grid")
    return kept if len(np.unique(grid["classes"])) > MOST_REGIONS else {**kept, **grid}


def _columns(found: Mapping[str, Array]) -> None:
    """Raise BadInput unless these are columns of one length, of the kinds that they should be."""
    if any(a.ndim != 1 for a in found.values()) or len({len(a) for a in found.values()}) != 1:
        raise BadInput("its arrays differ in length")
    if any(
        (a.dtype != bool) if name == "is_noisy" else (a.dtype.kind not in "iu") for name, a in found.items()
    ):
        raise BadInput("its arrays are of other kinds")
    labels = found.get("labels")
    if labels is not None and len(labels) and not (labels.min() >= 0 and labels.max() < MOST_CLASSES):
        raise BadInput("its labels are none")


def _is_grid(x: Array, y: Array, classes: Array) -> bool:
    axes = all(
        a.ndim == 1 and 1 < len(a) <= MOST_GRID and _are_drawable(a) and (np.diff(a) > 0).all()
        for a in (x, y)
    )
    whole = classes.shape == (len(y), len(x)) and classes.dtype.kind in "iu"
    return axes and whole and bool(classes.min() >= 0 and classes.max() < MOST_CLASSES)


def _are_drawable(numbers: Array) -> bool:
    """Tell whether these are numbers of a size that drawing can take differences of."""
    return numbers.dtype.kind == "f" and bool((np.abs(numbers.astype(float)) < 1e30).all())
