"""The rows that a run acquired: queries.npz, and their images or points in pictures.npz; both checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hetal.errors import BadInput
from hetal.record.schema import REJECT, START, Purchase
from hetal.record.seal import CHANGED, queries_digests
from hetal.report.load.records import Run
from hetal.report.load.untrusted import read_arrays

Array = npt.NDArray[Any]

# Labels must be below this, since the page draws a bar for each class.
MOST_CLASSES = 100_000
# Largest side of an image, in pixels, and of the grid of decision regions, in points.
MOST_PIXELS, MOST_GRID = 64, 1000
# Most points drawn, and most classes of decision regions.
MOST_POINTS, MOST_REGIONS = 50_000, 64


def read_queries(path: Path, names: Sequence[str]) -> Mapping[str, Array]:
    """Return columns of queries.npz: integers, and `is_noisy`, which is boolean.

    Args:
        path: of the file.
        names: of the columns.

    Raises:
        OSError, BadInput: it is missing or damaged.
    """
    columns = read_arrays(path, names)
    if absent := [name for name in names if name not in columns]:
        raise BadInput(f"{path.name} has no array {', '.join(absent)}")
    try:
        _columns(columns)
    except BadInput as error:
        raise BadInput(f"{path.name} is damaged: {error}") from None
    return columns


def acquired_rows(run: Run) -> Mapping[str, Array]:
    """Return the columns of a run's queries.npz: rows of its start set and of its finished rounds.

    Raises:
        OSError, BadInput: it is missing or damaged, or was changed after it was written.
    """
    names = [field.name for field in dataclasses.fields(Purchase)]
    columns = read_queries(run.folder / "queries.npz", ["round", *names])
    round_ = columns["round"]
    if (round_[1:] < round_[:-1]).any():
        raise BadInput("queries.npz is damaged: its rows are not in the order of acquisition")
    if run.rounds and (digest := run.rounds[-1].get("queries_digest")):  # older records have none
        ends = np.searchsorted(round_, np.arange(START, len(run.rounds) + 1)).tolist()
        arrays: Mapping[str, Any] = columns  # which serve as tensors here
        parts = (Purchase(*(arrays[name][low:high] for name in names)) for low, high in pairwise(ends))
        if [*queries_digests(parts)][-1] != digest:
            raise BadInput(f"queries.npz {CHANGED}")
    return {name: values[round_ < len(run.rounds)] for name, values in columns.items()}


def read_pictures(path: Path, first: int) -> Mapping[str, Array]:
    """Return the arrays of pictures.npz, see `hetal.watch.pictures`: of images, or else of points of the plane.

    Args:
        path: of the file.
        first: the maximal number of rows with images; of points it is `MOST_POINTS`.

    Returns:
        `images` (k, H, W) or (k, H, W, 3) of uint8, and of each row `image`, `labels` and `is_noisy` (n,); or `points`
        (n, 2), `labels` and `is_noisy` (n,), `test` (m, 2) and, where they were kept and have at most `MOST_REGIONS`
        classes, `x` (w,), `y` (h,) and `classes` (h, w).

    Raises:
        OSError, BadInput: it is missing or damaged.
    """
    arrays = read_arrays(
        path, ("images", "image", "points", "labels", "is_noisy", "test", "x", "y", "classes")
    )
    rows: dict[str, Array] = {
        name: arrays[name] for name in ("image", "labels", "is_noisy") if name in arrays
    }
    try:
        _columns(rows)
        if {"images", "image", "labels", "is_noisy"} <= arrays.keys():
            _check_images(arrays)
            return {"images": arrays["images"], **{name: column[:first] for name, column in rows.items()}}
        if {"points", "labels", "is_noisy", "test"} <= arrays.keys():
            return _points(arrays)
    except BadInput as error:
        raise BadInput(f"{path.name} is damaged: {error}") from None
    raise BadInput(f"{path.name} holds neither images nor points")


def _check_images(arrays: Mapping[str, Array]) -> None:
    images, image = arrays["images"], arrays["image"]
    grey_or_colour = images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3)
    if (
        not grey_or_colour
        or images.dtype != np.uint8
        or not all(0 < n <= MOST_PIXELS for n in images.shape[1:3])
    ):
        raise BadInput("its images have the wrong shape or type")
    if not len(image) or image.min() < 0 or image.max() >= len(images):
        raise BadInput("it shows images that it does not hold")


def _points(arrays: Mapping[str, Array]) -> Mapping[str, Array]:
    kept = {name: arrays[name][:MOST_POINTS] for name in ("points", "labels", "is_noisy", "test")}
    for name in ("points", "test"):
        at = kept[name]
        if at.ndim != 2 or at.shape[1] != 2 or not len(at) or not _are_drawable(at):
            raise BadInput(f"its {name} are not points of the plane")
    if len(kept["points"]) != len(kept["labels"]):
        raise BadInput("its arrays differ in length")
    if "classes" not in arrays:
        return kept
    grid = {name: arrays.get(name, np.empty(0)) for name in ("x", "y", "classes")}
    if not _is_grid(**grid):
        raise BadInput("its decision regions are not a grid")
    return kept if len(np.unique(grid["classes"])) > MOST_REGIONS else {**kept, **grid}


def _columns(arrays: Mapping[str, Array]) -> None:
    """Raise BadInput unless these are columns of one length and of the right kinds."""
    if any(a.ndim != 1 for a in arrays.values()) or len({len(a) for a in arrays.values()}) != 1:
        raise BadInput("its arrays differ in length")
    if any(
        (a.dtype != bool) if name == "is_noisy" else (a.dtype.kind not in "iu") for name, a in arrays.items()
    ):
        raise BadInput("its arrays are of the wrong type")
    labels = arrays.get("labels")
    if labels is not None and len(labels) and not (labels.min() >= REJECT and labels.max() < MOST_CLASSES):
        raise BadInput("its labels are out of range")


def _is_grid(x: Array, y: Array, classes: Array) -> bool:
    axes = all(
        a.ndim == 1 and 1 < len(a) <= MOST_GRID and _are_drawable(a) and (np.diff(a) > 0).all()
        for a in (x, y)
    )
    whole = classes.shape == (len(y), len(x)) and classes.dtype.kind in "iu"
    return axes and whole and bool(classes.min() >= 0 and classes.max() < MOST_CLASSES)


def _are_drawable(numbers: Array) -> bool:
    """Return whether these are floats small enough to draw."""
    return numbers.dtype.kind == "f" and bool((np.abs(numbers.astype(float)) < 1e30).all())
