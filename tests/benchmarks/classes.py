"""Where is a network right that was taught noise? `python -m tests.benchmarks.classes multirun/NAME`.

Of every run of a study that kept its last network (`keep_network=true`), tests it on the test rows of the class that
noise took (`noise.noisy_class`) and on all others, and writes docs/results/NAME/classes.csv. Then
`python -m tests.benchmarks.results` fills the tables of docs/RESULTS.md with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hetal.report.records import Run
from hetal.report.redraw import redraw
from tests.benchmarks.results import keep


def by_class(run: Run) -> Iterator[dict[str, Any]]:
    """Return a row, or none where the last network was not kept."""
    drawn = redraw(run)
    classes = drawn.predicted(run, drawn.test)
    if classes is None:
        return
    is_right = classes == drawn.test_labels
    is_noise = drawn.test_labels == run.config["noise.noisy_class"]
    yield {
        "setting": run.setting, "strategy": run.label, "seed": run.seed,
        "on_noisy_class": is_right[is_noise].mean(), "on_others": is_right[~is_noise].mean(),
    }  # fmt: skip


if __name__ == "__main__":
    keep("classes", __doc__, by_class)
