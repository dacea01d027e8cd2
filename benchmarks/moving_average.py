"""How much of LHD's moving average is still the network it started from, when it is used?

`python -m benchmarks.moving_average multirun/NAME` reads the records of a study and writes
docs/results/NAME/start.csv: for every run with an average that starts from random weights of its own
(`train.own_ema`), and every round, the weight of these weights at the snapshot, which is the product of a over its
steps, see `hetal.train.ema`. Then `python -m benchmarks.results` fills the tables of docs/STUDIES.md with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from benchmarks.results import keep
from hetal.report.load.records import Run


def weight_of_start(past_steps: int, steps: int, decay: float) -> float:
    """Return what the start of an average weighs after `steps` of its steps, where `past_steps` were counted before."""
    counted = range(past_steps + 1, past_steps + steps + 1)
    return math.prod(min(1 - 1 / (k + 1), decay) for k in counted)


def starts(run: Run) -> Iterator[dict[str, Any]]:
    """Return a row a round, of averages with a start of their own.

    None for a round that began its training again, whose steps are not told apart.
    """
    if not run.config["train.own_ema"]:
        return
    past_steps = 0
    for row in run.rounds:
        if row["snapshot_epoch"] is not None and not row["restarts"]:
            steps = row["snapshot_epoch"] * row["steps"] // row["epochs"]
            yield {
                "setting": run.setting, "strategy": run.label, "seed": run.seed, "n_labelled": row["n_labelled"],
                "snapshot_epoch": row["snapshot_epoch"],
                "weight": weight_of_start(past_steps, steps, run.config["train.ema_decay"]),
            }  # fmt: skip
        past_steps += row["steps"]


if __name__ == "__main__":
    keep("start", __doc__, starts)
