"""Where is a network right that was taught noise? `python -m benchmarks.classes multirun/NAME`.

Of every run of a study that kept its last network (`keep_network=true`), tests it on the test rows of the class that
noise took (`noise.noisy_class`) and on all others, and writes docs/results/NAME/classes.csv. Then
`python -m benchmarks.results` fills the tables of docs/STUDIES.md with it.

The data and the network are made from this checkout's configs with the overrides of the run: for studies of one's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.results import keep
from hetal.app.compose import build_experiment
from hetal.app.launch import resolved
from hetal.errors import BadInput
from hetal.experiment import Setup
from hetal.machine.device import pick_device
from hetal.report.load.records import Run
from tests.command_line import composed


def setup_of(run: Run) -> Setup:
    """Return the experiment of a run, as this checkout composes it.

    Raises:
        BadInput: its data are not those that the run was begun with.
    """
    own = [o for o in run.overrides if not o.startswith(("root=", "tracker"))]
    config = resolved(composed(*own, "tracker=none", root=run.folder.parents[1]))
    setup = build_experiment(config, run.choices["alg"]).prepare(pick_device("cpu", 1))
    if setup.fingerprint != run.data:
        raise BadInput(f"{run.folder}: the data are not those that the run was begun with")
    return setup


def by_class(run: Run) -> Iterator[dict[str, Any]]:
    """Return a row, or none where the last network was not kept."""
    path = run.folder / "network.pt"
    if run.summary is None or not path.exists():
        return
    setup = setup_of(run)
    network = setup.learner.new_network().eval()
    network.load_state_dict(torch.load(path, weights_only=True))
    with torch.inference_mode():
        logits, _ = network(setup.learner.prepare(network)(setup.task.test.images))
    labels = setup.task.test.labels.numpy()
    is_right = logits.argmax(1).numpy() == labels
    is_noise = labels == run.config["noise.noisy_class"]
    yield {
        "setting": run.setting, "strategy": run.label, "seed": run.seed,
        "on_noisy_class": is_right[is_noise].mean(), "on_others": is_right[~is_noise].mean(),
    }  # fmt: skip


if __name__ == "__main__":
    keep("classes", __doc__, by_class)
