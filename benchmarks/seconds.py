"""What a query and a round take: `python -m benchmarks.seconds multirun/NAME` writes docs/results/NAME/seconds.csv.

A row a round of every run of the study, of rounds that end with a query. `benchmarks.results` makes a table of them, of
the least seconds of several runs: other work on the machine can only add to them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.results import keep
from hetal.report.load.records import Run


def seconds(run: Run) -> Iterator[dict[str, Any]]:
    """Return a row a query."""
    for row in run.rounds:
        if row["n_asked"]:
            spent = row["seconds"]
            yield {
                "setting": run.setting, "n_rows": run.pool["rows"], "strategy": run.label, "seed": run.seed,
                "n_labelled": row["n_labelled"],
                "query": spent["score"] + spent["select"], "round": sum(spent.values()),
            }  # fmt: skip


if __name__ == "__main__":
    keep("seconds", __doc__, seconds)
