"""Time, memory and picks of a query by every strategy, beside scikit-activeml's, as Markdown.

    python -m benchmarks.strategies --python-activeml other/bin/python     # from the root; writes docs/QUERIES.md
    python -m benchmarks.strategies --only margin,badge --rows 5000 --picks 100 --sizes 1000 --out /tmp/queries.md

The second is a quick look. Every measurement is a process of its own. scikit-activeml lies in an environment of its
own: `python -m venv other; other/bin/pip install torch scikit-activeml`. Where it is missing, hetal alone is measured.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.measuring import ROOT, Failed, Measured, human, in_process, times
from benchmarks.strategies_data import Task
from benchmarks.strategies_hetal import strategy
from benchmarks.strategies_pairs import THEIRS, WHY, WHY_VERSION

HETAL, ACTIVEML = "benchmarks.strategies_hetal", "benchmarks.strategies_activeml"

# Seconds that a measurement may take, with the making of its data.
LIMIT = 300

# The noisy images, which share what rows there are more than images.
N_COPIED = 100
N_LABELLED = 12_000


# Strategies that are meant for smaller pools or queries, and what they are measured on where these are larger.
SMALLER = {
    "bait": Task("bait", 20_000, 20_000, 2_000, 200),
    "batchbald": Task("batchbald", 250_000, 50_100, 12_000, 100),
}


class Bench:
    """Runs measurements, and keeps the page up to date."""

    def __init__(self, python_activeml: str, threads: int, out: Path) -> None:
        self.python_activeml = python_activeml
        self.threads = threads
        self.out = out
        asked = "import skactiveml; print(skactiveml.__version__)"
        found = subprocess.run([python_activeml, "-c", asked], capture_output=True, text=True, check=False)
        self.activeml = found.stdout.strip() if found.returncode == 0 else ""
        self.lines = self._head()

    def _head(self) -> list[str]:
        beside = f"scikit-activeml {self.activeml}" if self.activeml else "scikit-activeml not installed"
        return [
            "# Queries: time, memory and picks",
            "",
            f"Written by `python -m benchmarks.strategies` on {os.cpu_count()} CPU cores ({platform.machine()}), "
            f"torch {torch.__version__}, {beside}, in one run. Features are synthetic: 128 of them, in 1,000 clusters, "
            "behind a ReLU; logits of 10 classes are a random linear layer of these, with dropout before it for "
            "strategies that need that. Every measurement is a process of its own; "
            f"threads: {self.threads}. Time is that of the whole query (hetal's: median of three where under 20 s), "
            "after the one pass over the pool that gives its outputs; other passes, such as those with dropout, are "
            "counted. Memory is the peak above what the process held with its data in. [SELECTION.md](SELECTION.md) "
            "has other sizes, and other implementations, for `badge` and `coreset`.",
            "",
        ]

    def write(self, *lines: str) -> None:
        """Add lines to the page: a full run takes twenty minutes, and may be cut short."""
        self.lines += lines
        self.out.write_text("\n".join(self.lines).rstrip() + "\n")

    def ask(self, module: str, task: Task, take_time: bool) -> dict[str, Any]:
        """Return what a process says of a task.

        Raises:
            Failed: nothing.
        """
        what = "time" if take_time else "picks"
        where = "scikit-activeml" if module == ACTIVEML else "hetal"
        print(f"  {task.alg}, {where}, {task.n_rows:,} rows: {what}", file=sys.stderr)
        python = self.python_activeml if module == ACTIVEML else sys.executable
        return in_process(python, module, {"task": asdict(task), "take_time": take_time}, LIMIT)

    def time(self, module: str, task: Task) -> Measured | Failed:
        """Measure, or say why not."""
        try:
            return Measured(**self.ask(module, task, take_time=True))
        except Failed as failed:
            print(f"    {failed}", file=sys.stderr)
            return failed


def cell(measured: Measured | Failed, task: Task) -> str:
    """Say what a query took."""
    if isinstance(measured, Failed):
        return str(measured)
    about = "about " * (measured.n_made < task.n_picks)
    return f"{about}{human(measured.seconds)}, {measured.peak:,.0f} MiB"


def alone(bench: Bench, algs: Sequence[str], n_rows: int, n_picks: int) -> None:
    """Measure every strategy on a pool of the paper's shape, where a fifth of the rows are distinct."""
    n_distinct = n_rows // 5 + N_COPIED
    task = Task("", n_rows, n_distinct, min(N_LABELLED, n_rows // 10), n_picks)
    bench.write(
        f"## Every strategy: {task.n_picks:,} of {n_rows:,} rows", "",
        f"{n_distinct:,} images are distinct: as in the paper's pool under class noise, {N_COPIED} of them are shown "
        f"by four rows in five. {task.n_labelled:,} rows, at random, are labelled. Settings are the defaults. "
        "A bound sees hidden labels.", "",
        "| `alg=` | time | memory |", "|---|---|---|",
    )  # fmt: skip
    for alg in algs:
        own = replace(task, alg=alg)
        note = " (bound)" if strategy(own).cheats else ""
        if alg in SMALLER and n_rows >= SMALLER[alg].n_rows:
            own = SMALLER[alg]
            distinct = f", all distinct, {own.n_labelled:,} labelled" if own.n_distinct == own.n_rows else ""
            note = f", {own.n_picks:,} of {own.n_rows:,} rows{distinct}"
        time, _, memory = cell(bench.time(HETAL, own), own).partition(", ")
        bench.write(f"| `{alg}`{note} | {time} | {memory} |")
    bench.write("")


def beside(bench: Bench, algs: Sequence[str], sizes: Sequence[int], n_picks: int) -> None:
    """Measure the strategies that scikit-activeml has on both sides."""
    columns = [f"{text}, {n:,} rows" for n in sizes for text in ("hetal", "scikit-activeml", "ratio")]
    bench.write(
        f"## Beside scikit-activeml: {n_picks:,} picks", "",
        f"All rows distinct, {2 * n_picks:,} of them labelled. *about*: extrapolated from fewer picks, each of which "
        "takes as long, and memory is that of the picks made.", "",
        f"| `alg=` | there | {' | '.join(columns)} |", "|---|---|" + "---|" * len(columns),
    )  # fmt: skip
    for alg in algs:
        other = THEIRS[alg]
        cells = []
        for n in sizes:
            task = Task(
                alg, n, n, 2 * n_picks, n_picks, other.overrides, other.numbers, n_members=other.n_members
            )
            ours, theirs = bench.time(HETAL, task), bench.time(ACTIVEML, task)
            both = isinstance(ours, Measured) and isinstance(theirs, Measured)
            cells += [
                cell(ours, task),
                cell(theirs, task),
                times(theirs.seconds / ours.seconds) if both else "",
            ]
        bench.write(f"| `{alg}` | `{other.name}` | {' | '.join(cells)} |")
    bench.write("")


def same_picks(bench: Bench, algs: Sequence[str]) -> None:
    """Compare picks, one by one."""
    bench.write(
        "## The same picks", "",
        "50 picks of 2,000 rows, 20 of them labelled; all rows distinct, or of 500 images, a fifth of which are shown "
        "by 16 rows each. Where a strategy picks one row after another, a pick of hetal's counts as the same if "
        "scikit-activeml gives it the highest score after the picks before it, to 1e-5 of that, since hetal's features "
        "are of float32; of equal ones either may be taken. Where it takes the highest scores, a pick counts if it is "
        "among these; where it clusters, if both choose the row. The last column says how many different rows "
        "scikit-activeml buys where 150 are asked for, of 280 without a label that show 100 images; hetal buys 150.",
        "",
        "| `alg=` | there | distinct rows | with copies | | fewer images than picks |", "|---|---|---|---|---|---|",
    )  # fmt: skip
    for alg in algs:
        other = THEIRS[alg]
        cells = ["-", "-"]
        if other.picks is not None:
            task = Task(alg, 2000, 2000, 20, 50, other.overrides, other.numbers, n_members=other.n_members)
            task = replace(task, **other.picks)
            cells[0] = ask_activeml(bench, task, with_picks=True)
            if not task.blobs:
                cells[1] = ask_activeml(bench, replace(task, n_distinct=500), with_picks=True)
        few = Task(alg, 300, 100, 20, 150, numbers=other.numbers, n_members=other.n_members)
        bought = ask_activeml(bench, few)
        bench.write(f"| `{alg}` | `{other.name}` | {' | '.join(cells)} | {other.says} | {bought} |")
    bench.write("", *(WHY if bench.activeml == WHY_VERSION else []), "")


def ask_activeml(bench: Bench, task: Task, with_picks: bool = False) -> str:
    """Say how many of hetal's picks are scikit-activeml's too; or, without these, how many rows that buys."""
    try:
        if with_picks:
            task = replace(task, picks=tuple(bench.ask(HETAL, task, take_time=False)["picks"]))
        found = bench.ask(ACTIVEML, task, take_time=False)
    except Failed as failed:
        return str(failed)
    return f"{found['right']} of {found['of']}"


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="these strategies, with commas between")
    parser.add_argument(
        "--rows", type=int, default=250_000, help="of the pool for hetal alone; 0: leave that out"
    )
    parser.add_argument("--picks", type=int, default=1000, help="there")
    parser.add_argument("--sizes", type=int, nargs="*", default=[5_000, 20_000], help="pools for both sides")
    parser.add_argument(
        "--python-activeml", default=sys.executable, help="an interpreter with scikit-activeml"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of every process")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "QUERIES.md")
    args = parser.parse_args()
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(args.threads))
    algs = sorted(path.stem for path in (ROOT / "conf" / "alg").glob("*.yaml"))
    if args.only:
        algs = [alg for alg in algs if alg in args.only.split(",")]
    bench = Bench(args.python_activeml, args.threads, args.out)
    shared = [alg for alg in THEIRS if alg in algs]
    if args.rows:
        alone(bench, algs, args.rows, args.picks)
    if bench.activeml:
        if args.sizes:
            beside(bench, shared, args.sizes, n_picks=100)
        same_picks(bench, shared)


if __name__ == "__main__":
    main()
