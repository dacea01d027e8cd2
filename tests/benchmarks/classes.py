"""Where is a network right that was taught noise? `python -m tests.benchmarks.classes multirun/NAME`.

Of every run of a study that kept its last network (`keep_network=true`), tests it on the test rows of the class that
noise took (`noise.noisy_class`) and on all others, and writes docs/results/NAME/classes.csv. Then
`python -m tests.benchmarks.results` fills the tables of docs/RESULTS.md with it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hetal.report.reading import read
from hetal.report.records import Run
from hetal.report.redraw import redraw
from hetal.report.tables import write_csv
from tests.command_line import REPOSITORY


def by_class(runs: list[Run]) -> Iterator[dict[str, Any]]:
    for run in runs:
        drawn = redraw(run)
        classes = drawn.predicted(run, drawn.test)
        if classes is None:
            continue
        is_right = classes == drawn.test_labels
        is_noise = drawn.test_labels == run.config["noise.noisy_class"]
        yield {
            "setting": run.setting, "strategy": run.label, "seed": run.seed,
            "on_noisy_class": is_right[is_noise].mean(), "on_others": is_right[~is_noise].mean(),
        }  # fmt: skip


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", type=Path)
    study = parser.parse_args().study.resolve()
    runs = sorted(read([study]).runs, key=lambda run: (run.setting, run.label, run.seed))
    into = REPOSITORY / "docs" / "results" / study.name
    into.mkdir(parents=True, exist_ok=True)
    write_csv(into / "classes.csv", by_class(runs))


if __name__ == "__main__":
    main()
