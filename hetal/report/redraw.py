"""A run's pool, drawn again from its own config: records hold no images."""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hetal.errors import BadInput
from hetal.report.records import Run

# Points of the plane along its longer side at which a network is asked.
GRID = 240


@dataclass(frozen=True)
class Drawn:
    """The distinct images of a pool (M, ...), the test set's (n, ...) with labels (n,), and what trains on them."""

    images: npt.NDArray[Any]
    test: npt.NDArray[Any]
    test_labels: npt.NDArray[np.int64]
    learner: Any

    def predicted(self, run: Run, points: npt.NDArray[Any]) -> npt.NDArray[np.int64] | None:
        """Return the classes (n,) that the last network of `run` predicts for `points` (n, ...), like `test`.

        None where the run is not finished or kept no network, see `keep_network` in conf/config.yaml.

        Raises:
            BadInput: network.pt is damaged.
        """
        import torch

        path = run.folder / "network.pt"
        if run.summary is None or not path.exists():
            return None
        network = self.learner.new_network().eval()
        try:
            network.load_state_dict(torch.load(path, weights_only=True))
        except (OSError, RuntimeError, ValueError, LookupError, EOFError, pickle.UnpicklingError) as error:
            raise BadInput(f"network.pt of {run.folder.name} is damaged: {error}") from None
        with torch.inference_mode():
            logits, _ = network(self.learner.prepare(network)(torch.from_numpy(points)))
        return np.asarray(logits.argmax(1))

    def regions(self, run: Run) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]] | None:
        """Return x (w,), y (h,) and the class (h, w) that the last network of `run` predicts on points of the plane.

        None and BadInput as for `predicted`.
        """
        (left, low), (right, high) = self.test.min(0), self.test.max(0)
        room = 0.05 * max(right - left, high - low)
        step = (max(right - left, high - low) + 2 * room) / GRID
        x, y = np.arange(left - room, right + room, step), np.arange(low - room, high + room, step)
        points = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2).astype(np.float32)
        classes = self.predicted(run, points)
        return None if classes is None else (x, y, classes.reshape(len(y), len(x)))


def redraw(run: Run) -> Drawn:
    """Draw the pool of `run` again; nothing is downloaded.

    Raises:
        BadInput: the data cannot be had, or are not those that the run was begun with.
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
        **{name: parts[name] for name in given},
        strategy=parts["alg"],
        name=run.choices["alg"],
        device=pick_device("cpu", 1),
    )
    about = json.loads((run.folder / "provenance.json").read_bytes())
    if setup.fingerprint != about["data"]:
        raise BadInput("the data are not those that the run was begun with")
    return Drawn(
        setup.pool.images_M.numpy(),
        setup.task.test.images.numpy(),
        setup.task.test.labels.numpy(),
        setup.learner,
    )
