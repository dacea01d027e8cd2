"""One run of the real command, and where its time goes: `python -m benchmarks.costs OUT OVERRIDES...`.

Writes the seconds of each part to OUT, as JSON, for `benchmarks.sweep`. "to the first batch" counts from the
start of the process; "work" is what the record says: training, scoring, selecting and testing.
"""

from __future__ import annotations

import time

BEGAN = time.time()  # first of all

import functools  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import runpy  # noqa: E402
import sys  # noqa: E402
from collections import defaultdict  # noqa: E402
from pathlib import Path  # noqa: E402

REPOSITORY = Path(__file__).parents[1]

seconds: dict[str, float] = defaultdict(float)


def time_it(owner: object, name: str, part: str) -> None:
    """Add the time of every call of a function to a part."""
    function = getattr(owner, name)

    @functools.wraps(function)
    def timed(*args, **kwargs):
        began = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            seconds[part] += time.perf_counter() - began

    setattr(owner, name, timed)


def mark(owner: object, name: str, part: str) -> None:
    """Note when a function is first called, in seconds from the start."""
    function = getattr(owner, name)

    @functools.wraps(function)
    def marked(*args, **kwargs):
        seconds.setdefault(part, time.time() - BEGAN)
        return function(*args, **kwargs)

    setattr(owner, name, marked)


def main(out: Path, overrides: list[str]) -> None:
    """Run and write."""
    began = time.perf_counter()
    # What a run imports, in the order in which it does.
    import hydra  # noqa: F401

    import hetal.app.compose
    import hetal.app.launch
    import hetal.app.single_run
    import hetal.experiment
    import hetal.loop
    import hetal.record.writer
    import hetal.train.learner
    import hetal.watch.console
    import hetal.watch.wandb

    seconds["imports"] = time.perf_counter() - began
    mark(hetal.app.launch, "resolved", "launched")
    mark(hetal.train.Learner, "fit", "to the first batch")
    for name in ("check_config", "build_experiment"):
        time_it(hetal.app.compose, name, "parts")
    time_it(hetal.experiment.Experiment, "prepare", "data and noise")
    for name in ("_begin", "start", "append", "finish"):
        time_it(hetal.record.writer.Record, name, "record")
    time_it(hetal.app.single_run, "draw_curve", "figure")
    for name in ("start", "epoch", "round"):
        time_it(hetal.watch.console.Display, name, "display")
    time_it(hetal.app.single_run, "show_finished", "display")
    for kind in (hetal.watch.NullTracker, hetal.watch.WandbTracker):
        for name in ("start", "round", "finish"):
            time_it(kind, name, "tracker")
    root = next(o.split("=", 1)[1] for o in overrides if o.startswith("root="))
    sys.argv = ["launch.py", *overrides]
    runpy.run_path(str(REPOSITORY / "launch.py"), run_name="__main__")
    seconds["whole"] = time.time() - BEGAN
    (summary,) = Path(root).glob("*/*/summary.json")
    seconds["work"] = sum(json.loads(summary.read_text())["seconds"].values())
    seconds["config"] = seconds.pop("launched") - seconds["imports"]
    out.write_text(json.dumps(seconds))


if __name__ == "__main__":
    os.chdir(REPOSITORY)
    main(Path(sys.argv[1]), sys.argv[2:])
