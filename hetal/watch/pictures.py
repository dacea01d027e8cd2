"""Pictures of a run's purchases for the report: arrays in `pictures.npz` in the run's folder.

The record holds ids and labels but no data, and a reader of it may have neither the data nor the code that loads them.
So the run itself stores the examples to show, as plain arrays:

- for images with one or three channels, the first n rows that queries bought: `images` (k, H, W) or (k, H, W, 3) uint8,
  at most `SIDE` pixels a side; `image` (n,), the image that each row shows; `labels` (n,); `is_noisy` (n,);
- for points of the plane, all n rows that queries bought: `points` (n, 2) float32, `labels` (n,), `is_noisy` (n,); the
  test set, `test` (m, 2) float32 and `test_labels` (m,); and with `keep_network=true`, the classes that the last
  network predicts on a grid: `x` (w,), `y` (h,), `classes` (h, w).

Other examples have no such file. Like the record, it is a function of the config alone: a run that was killed and
continued writes the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hetal.experiment import Setup
from hetal.record.history import History
from hetal.record.schema import Purchase
from hetal.record.writer import Record
from hetal.rng import seeded, stream
from hetal.train.fit import Fit
from hetal.watch.watcher import Watcher

FILE = "pictures.npz"
FIRST = 20  # rows whose images are stored
SIDE = 64  # pixels: larger images are scaled down
GRID = 240  # grid points along the longer side of the plane
MAX_TEST_POINTS = 20_000  # points of the test set; of a larger one, this many at equal steps

Arrays = Mapping[str, npt.NDArray[Any]]
Weights = Mapping[str, Tensor]


class Pictures(Watcher):
    """Writes the pictures of one run after every purchase.

    Args:
        record: of the run.
        keep_network: also write the weights of the last round's network, and its decision regions.
    """

    def __init__(self, record: Record, keep_network: bool) -> None:
        self._record = record
        self._keep_network = keep_network
        self._kept: int | None = None  # rows in the file that this process has written

    def start(self, setup: Setup, history: History) -> None:
        """Determine the kind of examples in the pool."""
        shape = setup.pool.images_M.shape[1:]
        self._are_points = tuple(shape) == (2,)
        self._are_images = len(shape) == 3 and shape[0] in (1, 3)
        self._setup = setup

    def purchase(self, purchase: Purchase, fit: Fit) -> None:
        """Write the pictures including this purchase and, in the last round, the network."""
        weights = None
        if self._keep_network and not len(purchase.ids):
            network = fit.fitted.networks.online
            self._record.keep_network(network)
            weights = network.state_dict()
        self._keep(purchase, weights)

    def finish(self, summary: dict[str, Any] | None) -> None:
        """Write the pictures if the run was killed after its last round, so that no purchase followed here."""
        if summary is not None and self._kept is None:
            empty = torch.empty(0).long()
            weights = self._record.kept_network() if self._keep_network else None
            self._keep(Purchase(empty, empty, empty, empty.bool()), weights)

    def _keep(self, purchase: Purchase, weights: Weights | None) -> None:
        rows = self._rows(purchase)
        if self._are_images and len(rows.ids) and self._kept != len(rows.ids):
            self._write(self._images(rows), rows)
        elif self._are_points and len(rows.ids) and (self._kept != len(rows.ids) or weights is not None):
            self._write({**self._points(rows), **self._regions(weights)}, rows)

    def _rows(self, purchase: Purchase) -> Purchase:
        """Return the rows that queries bought, `purchase` included: all of them for points, the first for images."""
        queried = [*self._record.purchases[1:], purchase]
        first = FIRST if self._are_images else None
        columns = ("ids", "labels", "source", "is_noisy")
        return Purchase(*(torch.cat([getattr(b, name).cpu() for b in queried])[:first] for name in columns))

    def _write(self, arrays: Arrays, rows: Purchase) -> None:
        labels = {"labels": rows.labels.numpy(), "is_noisy": rows.is_noisy.numpy()}
        self._record.keep_arrays(FILE, {**arrays, **labels})
        self._kept = len(rows.ids)

    def _images(self, rows: Purchase) -> Arrays:
        sources, image = rows.source.unique(return_inverse=True)
        images_M = self._setup.pool.images_M
        low, high = self._range
        shown = images_M[sources.to(images_M.device)].cpu().numpy().astype(float)
        shown = (255 * ((shown - low) / (high - low or 1))).round().clip(0, 255).astype(np.uint8)
        shown = shown[:, 0] if shown.shape[1] == 1 else shown.transpose(0, 2, 3, 1)
        return {"images": _smaller(shown), "image": image.numpy()}

    @cached_property
    def _range(self) -> tuple[float, float]:
        """Values drawn black and white: 0 and 255, or the extremes of all images if they are floats."""
        images_M = self._setup.pool.images_M
        if not images_M.is_floating_point():
            return 0.0, 255.0
        low, high = images_M.aminmax()
        return float(low), float(high)

    def _points(self, rows: Purchase) -> Arrays:
        images_M, test = self._setup.pool.images_M, self._setup.task.test
        at = np.linspace(0, len(test) - 1, min(len(test), MAX_TEST_POINTS)).round().astype(int)
        return {
            "points": _plain(images_M[rows.source.to(images_M.device)]),
            "test": _plain(test.images)[at],
            "test_labels": _small(test.labels.cpu().numpy()[at], self._setup),
        }

    def _regions(self, weights: Weights | None) -> Arrays:
        """Predict classes with these weights on a grid that covers the test set; {} without weights."""
        if weights is None:
            return {}
        test = _plain(self._setup.task.test.images).astype(float)
        (left, low), (right, high) = test.min(0), test.max(0)
        side = max(right - left, high - low) or 1.0
        margin, step = 0.05 * side, 1.1 * side / GRID
        x, y = np.arange(left - margin, right + margin, step), np.arange(low - margin, high + margin, step)
        points = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2).astype(np.float32)
        setup, device = self._setup, self._setup.pool.device
        with seeded(stream(setup.seed, "check"), device):  # initial weights, which are then replaced
            network = setup.learner.new_network().eval()
        network.load_state_dict(weights)
        with torch.inference_mode():
            logits, _ = network(setup.learner.prepare(network)(torch.from_numpy(points).to(device)))
        classes = logits.argmax(1).cpu().numpy().reshape(len(y), len(x))
        return {"x": x, "y": y, "classes": _small(classes, setup)}


def _small(classes: npt.NDArray[np.int64], setup: Setup) -> npt.NDArray[Any]:
    return classes.astype(np.min_scalar_type(setup.task.n_classes))


def _plain(points: Tensor) -> npt.NDArray[np.float32]:
    return points.cpu().numpy().astype(np.float32)


def _smaller(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Scale images (k, H, W) or (k, H, W, 3) down to at most `SIDE` pixels a side."""
    if max(images.shape[1:3]) <= SIDE:
        return images
    from PIL import Image  # not needed by most runs

    shown = []
    for pixels in images:
        picture = Image.fromarray(pixels)
        picture.thumbnail((SIDE, SIDE))
        shown.append(np.asarray(picture))
    return np.stack(shown)
