"""What a job of a sweep costs beyond its work: `python -m tests.benchmarks.sweep`.

Runs 200 toy jobs, two at once by joblib, with each tracker, and writes docs/SWEEPS.md in a quarter of an hour. The
work of a job is what its record says of it: seconds of training, scoring, selecting and testing. The rest is overhead.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.command_line import REPOSITORY, TOY

TRACKERS = {
    "none": ["tracker=none"],
    "offline": ["tracker=wandb", "tracker.mode=offline"],
    "disabled": ["tracker=wandb", "tracker.mode=disabled"],
}


def sweep(tracker: str, n_jobs: int, at_once: int) -> str:
    """Run the sweep and return its line of the table."""
    before = processes()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        line = [
            sys.executable, "launch.py", "-m", "alg=random,badge", f"seed=range({n_jobs // 2})", *TOY,
            *TRACKERS[tracker], "hydra/launcher=parallel", f"hydra.launcher.n_jobs={at_once}", f"root={root}",
        ]  # fmt: skip
        began = time.monotonic()
        done = subprocess.run(line, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
        wall = time.monotonic() - began
        work = [
            sum(json.loads(path.read_text())["seconds"].values())
            for path in root.glob("default/*/summary.json")
        ]
    time.sleep(2)  # for what ends with its parent
    leaked = len(processes() - before)
    overhead = (wall * at_once - sum(work)) / n_jobs
    return (
        f"| {tracker} | {wall:.0f} s | {len(work)} of {n_jobs}, exit status {done.returncode} | "
        f"{sum(work) / n_jobs:.2f} s | **{overhead:.2f} s** | {leaked} |"
    )


def processes() -> set[int]:
    """Return the ids of this user's running Python and W&B processes."""
    found = subprocess.run(["ps", "-u", str(os.getuid()), "-o", "pid=,comm="], capture_output=True, text=True)
    lines = (line.split(None, 1) for line in found.stdout.splitlines())
    return {int(pid) for pid, name in lines if name.startswith(("python", "wandb", "gpu_stats"))}


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--trackers", nargs="*", default=list(TRACKERS), choices=TRACKERS)
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs" / "SWEEPS.md")
    options = parser.parse_args()
    lines = [
        "# Sweeps: what a job costs beyond its work",
        "",
        f"Written by `python -m tests.benchmarks.sweep` on {os.cpu_count()} CPU cores: {options.jobs} toy jobs of "
        f"three rounds, {options.at_once} at once by `hydra/launcher=parallel`, in processes that run one job after "
        "the other. Overhead is what a job takes of its core beyond training, scoring, selecting and testing: "
        "composing the config twice, data, noise, the record's files, the figure, the tracker, and its share of "
        "the start.",
        "",
        "| tracker | wall | runs finished | work of a job | overhead of a job | processes left |",
        "|---|---|---|---|---|---|",
    ]
    for tracker in options.trackers:
        lines.append(sweep(tracker, options.jobs, options.at_once))
        print(lines[-1], flush=True)
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
