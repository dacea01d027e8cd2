"""How long the report takes, and how much memory: `python -m benchmarks.report`.

Makes the records of 10,000 runs of 11 rounds (ten strategies in twenty settings at fifty seeds), runs the whole
command on them in a process of its own, and says its wall time, its processor time and the peak of its memory, worker
processes included. The pools of these runs were never drawn, so the page says of each setting why it has no pictures.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from tests.command_line import REPOSITORY
from tests.synthetic import write_queries, write_run

ALGS = (
    "random",
    "confidence",
    "margin",
    "entropy",
    "coreset",
    "badge",
    "lhd",
    "lhd_loss",
    "lhd_hidden",
    "fisher",
)
NOISES = ("clean", "blank", "diverse", "class")
MODELS = ("mlp", "mlp_dropout", "resnet", "resnet18", "vgg")


def make(root: Path, n_runs: int, n_rounds: int, n_seeds: int) -> None:
    """Write the records of a study."""
    rng = np.random.default_rng(0)
    budget = ("n_start=100", "n_query=100", f"n_end={100 * n_rounds}", "data=digits", "name=study")
    arms = [
        (f"alg={alg}", f"noise={noise}", f"model={model}", f"mult=x{mult}")
        for mult in (4, 1, 2, 8)
        for model in MODELS
        for noise in NOISES
        for alg in ALGS
        if noise != "clean" or mult == 4
    ]
    for i, arm in enumerate(arms[: -(-n_runs // n_seeds)]):
        for seed in range(min(n_seeds, n_runs - i * n_seeds)):
            accuracy = 0.9 - 0.5 / np.sqrt(np.arange(1, n_rounds + 1)) + rng.normal(0, 0.01, n_rounds)
            accuracy += 0.002 * (i % len(ALGS))
            write_queries(write_run(root, *arm, *budget, seed=seed, accuracy=accuracy.tolist()))


def measure(command: list[str]) -> str:
    """Run a command; say its seconds, those of the processor, the peak of its memory, and its exit status."""
    began, peak = time.monotonic(), 0.0
    process = subprocess.Popen(command, cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": str(REPOSITORY)})
    ended = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.02):
            peak = max(peak, _memory(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    status = process.wait()
    seconds = time.monotonic() - began
    ended.set()
    watcher.join()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime
    return f"{seconds:.1f} s ({cpu:.1f} s of processors), {peak:,.0f} MiB, exit status {status}"


def _memory(pid: int) -> float:
    """Return the memory of a process and its children in MiB; shared pages count once (Linux)."""
    total = 0.0
    for one in [pid, *_children(pid)]:
        with suppress(OSError, StopIteration, ValueError):  # it may end at any moment
            lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    return total


def _children(pid: int) -> list[int]:
    try:
        own = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return own + [grandchild for child in own for grandchild in _children(child)]


def main() -> None:
    """Make the records, unless they are there, and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--keep", type=Path, help="folder of the records, made where it does not exist")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = options.keep or Path(scratch) / "root"
        if not root.exists():
            make(root, options.runs, options.rounds, options.seeds)
        figures = measure([sys.executable, "-m", "hetal.report", str(root / "study")])
    print(f"{options.runs:,} runs of {options.rounds} rounds: {figures}")


if __name__ == "__main__":
    main()
