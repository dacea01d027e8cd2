"""Queries of a pool of two million rows: time and memory, as Markdown.

    python -m benchmarks.scale                               # from the repository's root; writes docs/SCALE.md
    python -m benchmarks.scale --rows 50000 --picks 200 --out /tmp/scale.md     # a quick look

Makes float16 features in a folder of .npy files, 1 GiB for a million rows, then runs `data=features model=linear
noise=blank mult=1` once with each strategy, in a process of its own: one query. Memory is sampled while a run goes on,
as Linux counts it in /proc: what belongs to the process alone, and beside it the pages of files that are mapped.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]

N_CLASSES = 10
N_TEST = 10_000

STRATEGIES = (
    ("margin", ()),
    ("badge", ()),
    ("coreset", ()),
    ("fisher", ("alg.max_candidates=50000",)),
    ("fisher", ()),
)


@dataclass(frozen=True)
class Measured:
    """One run: seconds of its parts, and peaks of memory in GiB.

    Attributes:
        run: seconds of the whole command.
        train, score, select: seconds of the first round.
        private: memory of the process, without pages of files.
        pages: pages of files, which the system keeps or drops as it likes.
    """

    run: float
    train: float
    score: float
    select: float
    private: float
    pages: float


def make(folder: Path, n: int, width: int) -> None:
    """Write features in clusters, their scales falling off as in a PCA; a block at a time."""
    rng = np.random.default_rng(0)
    scale = (np.arange(1, width + 1) ** -0.5).astype(np.float32)
    centers = rng.standard_normal((N_CLASSES * 5, width), dtype=np.float32) * scale
    for part, size in (("train", n), ("test", min(n, N_TEST))):
        x = np.lib.format.open_memmap(folder / f"x_{part}.npy", "w+", np.float16, (size, width))
        cluster = rng.integers(len(centers), size=size)
        for start in range(0, size, 10_000):
            some = cluster[start : start + 10_000]
            x[start : start + 10_000] = (
                centers[some] + rng.standard_normal((len(some), width), dtype=np.float32) * scale
            )
        x.flush()
        np.save(folder / f"y_{part}.npy", cluster % N_CLASSES)


def memory(pid: int) -> tuple[float, float]:
    """Return GiB of a process's memory without pages of files, and those of such pages."""
    found = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    kib = {key: int(found.get(key, "0 kB").split()[0]) for key in ("RssAnon", "RssShmem", "RssFile")}
    return (kib["RssAnon"] + kib["RssShmem"]) / 2**20, kib["RssFile"] / 2**20


def measure(folder: Path, picks: int, alg: str, overrides: Sequence[str]) -> Measured:
    """Run one round and its query."""
    with tempfile.TemporaryDirectory() as root:
        command = [
            sys.executable, "launch.py", "data=features", f"data.path={folder}", "model=linear", "noise=blank",
            "mult=1", f"alg={alg}", *overrides, f"n_start={picks}", f"n_query={picks}", f"n_end={2 * picks}",
            "tracker=none", "train=fast", "train.max_epochs=20", "device=cpu", f"threads={os.cpu_count()}",
            f"root={root}",
        ]  # fmt: skip
        began, private, pages = time.perf_counter(), 0.0, 0.0
        with open(Path(root) / "output", "w") as output:
            process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
            while process.poll() is None:
                now = memory(process.pid) if Path(f"/proc/{process.pid}/status").exists() else (0.0, 0.0)
                private, pages = max(private, now[0]), max(pages, now[1])
                time.sleep(0.05)
        if process.returncode:
            raise SystemExit(Path(root, "output").read_text())
        run = time.perf_counter() - began
        (rounds,) = Path(root).glob("default/*/rounds.jsonl")
        seconds = json.loads(rounds.read_text().splitlines()[0])["seconds"]
    return Measured(run, seconds["train"], seconds["score"], seconds["select"], private, pages)


def head(n: int, width: int, picks: int) -> list[str]:
    """Return what the page begins with: where and how it was measured."""
    rows = f" --rows {n}" * (n != 1_000_000) + f" --picks {picks}" * (picks != 1000)
    return [
        "# Scale: two million rows on two cores",
        "",
        f"Written by `python -m benchmarks.scale{rows}` on {os.cpu_count()} CPU cores ({platform.machine()}), "
        f"torch {torch.__version__}.",
        "",
        f"A pool of {2 * n:,} rows: {n:,} vectors of {width} features, float16, in a .npy file of "
        f"{n * width * 2 / 2**30:.2g} GiB, and as many blank rows (`noise=blank mult=1`). One query of {picks:,} rows "
        f"by each strategy with `data=features model=linear`, after training on {picks:,}. Every run is a process of "
        "its own.",
        "",
        "*Scores* is the time of all forward passes, *selection* that of what follows. *Memory* is the most that "
        "belongs to the process, the interpreter and torch included. *Pages of files* are those of the data, "
        "and of unnamed files in $TMPDIR, or else /var/tmp, that hold the pool in its order and the features of all "
        f"its images, {n * width * 6 / 2**30:.2g} GiB together. The system keeps such pages where there is room, and "
        "drops them where there is none: a pool may be larger than memory. Without `alg.max_candidates`, "
        "`fisher` reads all features for every pick.",
        "",
        "| strategy | a query | scores | selection | the whole run | memory | pages of files |",
        "|---|---|---|---|---|---|---|",
    ]


def main() -> None:
    """Measure and write the page, a line as soon as it is known."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--picks", type=int, default=1000)
    parser.add_argument(
        "--folder", help="where the features go for the time being; needs 1 GiB for a million rows"
    )
    parser.add_argument("--only", nargs="*", help="of the strategies")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "SCALE.md")
    args = parser.parse_args()
    lines = head(args.rows, args.width, args.picks)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        make(Path(folder), args.rows, args.width)
        for alg, overrides in STRATEGIES:
            if args.only and alg not in args.only:
                continue
            found = measure(Path(folder), args.picks, alg, overrides)
            query = found.score + found.select
            line = (
                f"| `{' '.join([alg, *overrides])}` | {query:.0f} s | {found.score:.0f} s | {found.select:.0f} s | "
                f"{found.run:.0f} s | {found.private:.1f} GiB | {found.pages:.1f} GiB |"
            )
            print(line, file=sys.stderr)
            lines.append(line)
            args.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
