"""What a run and a job of a sweep cost beyond their work: `HETAL_DATA=... python -m benchmarks.sweep`.

Writes docs/SWEEPS.md in a quarter of an hour; with `--parts` only what is asked for is measured, and the rest of the
page stays. The work of a job is what its record says of it: seconds of training, scoring, selecting and testing.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from tests.command_line import REPOSITORY, TOY

TRACKERS = {
    "none": ["tracker=none"],
    "disabled": ["tracker=wandb", "tracker.mode=disabled"],
    "offline": ["tracker=wandb", "tracker.mode=offline"],
}
STANDARD = [
    "data=fashion_mnist", "data.n_train=4000", "noise=class", "mult=x4", "model=mlp", "alg=badge", "train=fast",
    "n_start=200", "n_query=200", "n_end=1400", "device=cpu",
]  # fmt: skip
AROUND = ("imports", "config", "parts", "data and noise", "record", "display", "figure", "tracker")


def sweep(options: argparse.Namespace) -> Iterator[str]:
    """Run many toy jobs with each tracker."""
    yield (
        f"{options.jobs} toy jobs of three rounds, {options.at_once} at once by `hydra/launcher=parallel`, in "
        "processes that run one job after the other. Overhead is what a job takes of its core beyond its work: "
        "composing the config, data, noise, the record's files, the figure, the tracker, and its share of "
        "the start of the processes. CPU time is that of the processes that the sweep waited for, the work "
        "included; other load of the machine does not count in it.\n"
    )
    yield "| tracker | wall | runs finished | work of a job | overhead of a job | CPU of a job | processes left |"
    yield "|---|---|---|---|---|---|---|"
    for tracker in options.trackers:
        yield _sweep(tracker, options.jobs, options.at_once)


def _sweep(tracker: str, n_jobs: int, at_once: int) -> str:
    mark = {"HETAL_BENCHMARK": uuid.uuid4().hex}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        line = [
            sys.executable, "launch.py", "-m", "alg=random,badge", f"seed=range({n_jobs // 2})", *TOY,
            *TRACKERS[tracker], "hydra/launcher=parallel", f"hydra.launcher.n_jobs={at_once}", f"root={root}",
        ]  # fmt: skip
        began, cpu_before = time.monotonic(), cpu_seconds()
        done = subprocess.run(line, cwd=REPOSITORY, env={**os.environ, **mark}, stdout=subprocess.DEVNULL)
        wall, cpu = time.monotonic() - began, cpu_seconds() - cpu_before
        work = [
            sum(json.loads(path.read_text())["seconds"].values())
            for path in root.glob("default/*/summary.json")
        ]
    time.sleep(2)  # for what ends with its parent
    overhead = (wall * at_once - sum(work)) / n_jobs
    return (
        f"| {tracker} | {wall:.0f} s | {len(work)} of {n_jobs}, exit status {done.returncode} | "
        f"{sum(work) / n_jobs:.2f} s | **{overhead:.2f} s** | {cpu / n_jobs:.2f} s | {processes(mark)} |"
    )


def startup(options: argparse.Namespace) -> Iterator[str]:
    """Time single toy runs."""
    yield (
        f"A single toy run, from the start of its process; medians of {options.repeats}. W&B starts in the background "
        "while the first round trains; a toy run, which trains for a tenth of a second, has to wait for it.\n"
    )
    yield "| tracker | to the first batch | of it imports | to the end | waiting for the tracker |"
    yield "|---|---|---|---|---|"
    for tracker in options.trackers:
        found = [costs([*TOY, *TRACKERS[tracker]]) for _ in range(options.repeats)]
        columns = ("to the first batch", "imports", "whole", "tracker")
        yield f"| {tracker} | " + " | ".join(f"{_median(found, c):.2f} s" for c in columns) + " |"


def standard(options: argparse.Namespace) -> Iterator[str]:
    """Time what surrounds the work of a standard run."""
    yield f"`python launch.py {' '.join(STANDARD)}`; medians of {options.standard_repeats}.\n"
    found = {
        tracker: [costs([*STANDARD, *TRACKERS[tracker]]) for _ in range(options.standard_repeats)]
        for tracker in options.trackers
    }
    yield "| seconds, and share of the whole | " + " | ".join(f"tracker {name}" for name in found) + " |"
    yield "|---|" + "---|" * len(found)
    for part in ("whole", "work", *AROUND):
        cells = []
        for runs in found.values():
            share = statistics.median(run.get(part, 0.0) / run["whole"] for run in runs)
            cells.append(f"{_median(runs, part):.2f} ({share:.1%})")
        yield f"| {part} | " + " | ".join(cells) + " |"


def costs(overrides: list[str]) -> Mapping[str, float]:
    """Return the seconds of each part of one run, see `benchmarks.costs`."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "costs.json"
        line = [sys.executable, "-m", "benchmarks.costs", out, *overrides, f"root={folder}/runs"]
        subprocess.run(line, cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
        return json.loads(out.read_text())


def _median(runs: list[Mapping[str, float]], part: str) -> float:
    return statistics.median(run.get(part, 0.0) for run in runs)


def cpu_seconds() -> float:
    """Return what all children that have ended, and theirs, have used of the processor."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def processes(mark: Mapping[str, str]) -> int:
    """Return how many processes run that were started, by whatever way, with `mark` in their environment (Linux)."""
    found = 0
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            found += all(value.encode() in path.read_bytes() for value in mark.values())
    return found


PARTS = {
    "A job of a sweep": sweep,
    "Start of a run": startup,
    "A standard run": standard,
}


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = {part.__name__: title for title, part in PARTS.items()}
    parser.add_argument("--parts", nargs="*", default=list(names), choices=names)
    parser.add_argument("--trackers", nargs="*", default=list(TRACKERS), choices=TRACKERS)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--standard-repeats", type=int, default=3)
    parser.add_argument("--note", default="", help="what a reader should know of the machine at the time")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs" / "SWEEPS.md")
    options = parser.parse_args()
    page = _read(options.out)
    for name in options.parts:
        about = f"Measured on {os.cpu_count()} CPU cores{options.note and '; ' + options.note}."
        page[names[name]] = "\n".join([about, "", *PARTS[names[name]](options)])
        print(page[names[name]], flush=True)
        sections = [f"## {title}\n\n{page[title]}\n" for title in PARTS if title in page]
        head = "# What a run costs beyond its work\n\nWritten by `python -m benchmarks.sweep`.\n"
        options.out.write_text("\n".join([head, *sections]))


def _read(path: Path) -> dict[str, str]:
    """Return the sections of a page that was written before, by title."""
    text = path.read_text() if path.exists() else ""
    found = (section.split("\n", 1) for section in text.split("\n## ")[1:])
    return {title: body.strip("\n") for title, body in found}


if __name__ == "__main__":
    main()
