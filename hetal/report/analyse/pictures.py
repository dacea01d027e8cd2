"""Pictures of what every strategy acquired in a setting: images of the first rows, or points of the plane."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hetal.errors import BadInput
from hetal.report.analyse.setting import Setting
from hetal.report.analyse.styles import Looks
from hetal.report.load.acquired import Array, acquired_rows, read_pictures
from hetal.report.load.records import Run
from hetal.report.load.untrusted import describe

# Images of each strategy; fewer where these would be too many for the page.
FIRST, MOST = 20, 1500

NOT_KEPT = "runs keep pictures only of images with 1 or 3 channels and of points of the plane"


@dataclass(frozen=True)
class Images:
    """The first rows that one strategy acquired, in the order of acquisition.

    Attributes:
        pixels: (n, H, W) or (n, H, W, 3) of 0..255.
        labels: (n,), the label that each row came with.
        is_noisy: (n,).
        classes: names of the classes, in order; () where they are numbers only.
    """

    pixels: Array
    labels: Array
    is_noisy: Array
    classes: Sequence[str] = ()


@dataclass(frozen=True)
class Points:
    """All rows that one strategy acquired in the plane.

    Attributes:
        points: (n, 2).
        is_noisy: (n,).
        test: (m, 2), points of the test set.
        accuracy: of the last network.
        regions: x (w,), y (h,) and class (h, w) that the last network predicts on a grid; None where not kept.
    """

    points: Array
    is_noisy: Array
    test: Array
    accuracy: float
    regions: tuple[Array, Array, Array] | None


@dataclass(frozen=True)
class Pictures:
    """The pictures of one setting, at the lowest seed that all strategies have.

    Attributes:
        setting: name of the setting.
        seed: of the runs; of the first strategy where there is no common one.
        images: by strategy.
        points: by strategy.
        missing: why a strategy has no picture, by strategy.
    """

    setting: str
    seed: int
    images: Mapping[str, Images] = field(default_factory=dict)
    points: Mapping[str, Points] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)


def pictures_of(settings: Sequence[Setting], looks: Looks) -> Iterator[Pictures]:
    """Yield the pictures of every setting, read from what the runs left, see `hetal.watch.pictures`.

    Args:
        settings: of the report.
        looks: gives the order of strategies.
    """
    first = max(5, min(FIRST, MOST // max(1, sum(len(s.runs) for s in settings))))
    for setting in settings:
        yield _pictures(setting, looks, first)


def _pictures(setting: Setting, looks: Looks, first: int) -> Pictures:
    shared = set.intersection(*(set(by_seed) for by_seed in setting.runs.values()))
    runs = {
        label: by_seed[min(shared or by_seed)]
        for label in looks
        if (by_seed := setting.runs.get(label)) is not None
    }
    images: dict[str, Images] = {}
    points: dict[str, Points] = {}
    missing: dict[str, str] = {}
    for label, run in runs.items():
        arrays = _read_or_reason(run, first)
        if isinstance(arrays, str):
            missing[label] = arrays
        elif "images" in arrays:
            pixels = arrays["images"][arrays["image"]]
            images[label] = Images(pixels, arrays["labels"], arrays["is_noisy"], run.classes)
        else:
            regions = (arrays["x"], arrays["y"], arrays["classes"]) if "classes" in arrays else None
            points[label] = Points(
                arrays["points"], arrays["is_noisy"], arrays["test"], run.rounds[-1]["accuracy"], regions
            )
    return Pictures(setting.name, next(iter(runs.values())).seed, images, points, missing)


def _read_or_reason(run: Run, first: int) -> Mapping[str, Array] | str:
    """Return the arrays of pictures.npz, or why there are none."""
    try:
        arrays = read_pictures(run.folder / "pictures.npz", first)
        _check_rows(arrays, acquired_rows(run))
        return arrays
    except FileNotFoundError:
        return NOT_KEPT
    except (OSError, BadInput) as error:
        return describe(error)


def _check_rows(arrays: Mapping[str, Array], rows: Mapping[str, Array]) -> None:
    """Refuse pictures of other rows than the record's; a run in progress may have drawn its next round already."""
    queried = rows["round"] >= 0
    for name in ("labels", "is_noisy"):
        recorded = rows[name][queried][: len(arrays[name])]
        if not np.array_equal(arrays[name][: len(recorded)], recorded):
            raise BadInput("pictures.npz is damaged: it shows other rows than were acquired")
