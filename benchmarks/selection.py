"""Time and memory of selection, hetal's against others', as Markdown.

    python -m benchmarks.selection                    # from the repository's root; writes docs/SELECTION.md
    python -m benchmarks.selection --sizes 5000 --queries 100 --out /tmp/selection.md     # a quick look
    python -m benchmarks.selection --imagenet         # adds the ImageNet-shaped run: 8 GB of files in --folder

Every measurement is a process of its own. scikit-activeml wants its own environment, since it pins versions:
`python -m venv other; other/bin/pip install torch scikit-activeml`, then `--python-activeml other/bin/python`.
Where it is missing, its rows are left out, and the page says so.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch

from benchmarks.measuring import ROOT, Failed, Measured, free_memory, human, in_process, times
from benchmarks.selection_methods import Setting

BADGE = ("hetal", "sequential", "scikit-learn", "scikit-activeml")
CORESET = ("hetal", "sequential", "scikit-activeml")
N_LABELLED = 12_000


def needed_memory(setting: Setting) -> float:
    """Return roughly the bytes a method takes that builds all it computes on, 0 for hetal's."""
    if setting.method.startswith("hetal"):
        return 0
    width = setting.n_classes * setting.n_features
    copies = {"sequential": 1.3, "scikit-learn": 0.8, "scikit-activeml": 2.5}[setting.method]
    if setting.query == "badge":
        return copies * setting.n_rows * width * 8
    return setting.n_rows * setting.n_labelled * 8 * 1.3 if setting.method == "sequential" else 0


class Bench:
    """Runs measurements, and remembers what it had to leave out."""

    def __init__(self, python_activeml: str) -> None:
        self.python_activeml = python_activeml
        self.notes: list[str] = []
        found = subprocess.run([python_activeml, "-c", "import skactiveml"], capture_output=True, check=False)
        self.has_activeml = found.returncode == 0
        if not self.has_activeml:
            self.notes.append(
                "scikit-activeml was not installed: its rows are left out (see the benchmark's head)."
            )

    def measure(self, setting: Setting) -> Measured | None:
        """Run one measurement in a fresh process; None where it is left out."""
        is_activeml = setting.method == "scikit-activeml"
        if is_activeml and not self.has_activeml:
            return None
        memory = free_memory()
        if (
            setting.query == "coreset"
            and setting.method == "sequential"
            and needed_memory(setting) > memory / 2
        ):
            return self._from_fewer_rows(setting, memory)
        if needed_memory(setting) > 0.8 * memory:
            return None
        print(
            f"  {setting.method}, {setting.query}, {setting.n_rows} rows, {setting.n_picks} picks",
            file=sys.stderr,
        )
        python = self.python_activeml if is_activeml else sys.executable
        try:
            return Measured(**in_process(python, "benchmarks.selection_methods", asdict(setting)))
        except Failed as failed:
            self.notes.append(f"{setting.method} on {setting.n_rows} rows ({setting.query}): {failed}.")
            return None

    def _from_fewer_rows(self, setting: Setting, memory: float) -> Measured | None:
        # Time and memory are proportional to rows: the matrix of distances to labelled rows is all there is.
        share = 0.4 * memory / needed_memory(setting)
        n = int(setting.n_rows * share)
        part = self.measure(replace(setting, n_rows=n, n_distinct=min(n, setting.n_distinct)))
        if part is None:
            return None
        self.notes.append(
            f"Sequential core-set on {setting.n_rows:,} rows: scaled up from {n:,}; all do not fit in memory."
        )
        return replace(part, seconds=part.seconds / share, peak=part.peak / share)


def table(bench: Bench, title: str, setting: Setting, methods: tuple[str, ...]) -> list[str]:
    """Compare methods in one setting, a line each."""
    lines = [f"### {title}", "", "| method | time | over hetal | peak memory (MiB) |", "|---|---|---|---|"]
    ours: float | None = None
    for method in methods:
        measured = bench.measure(replace(setting, method=method))
        if measured is None:
            lines.append(f"| {method} | left out | | |")
            continue
        ours = ours or measured.seconds
        about = "" if measured.n_made == setting.n_picks else "about "
        ratio = times(measured.seconds / ours)
        lines.append(f"| {method} | {about}{human(measured.seconds)} | {ratio} | {measured.peak:,.0f} |")
    return [*lines, ""]


def grid(
    bench: Bench, query: str, methods: tuple[str, ...], sizes: list[int], queries: list[int]
) -> list[str]:
    """Time methods over pool sizes N and query sizes B."""
    name = "BADGE" if query == "badge" else f"Core-set, {N_LABELLED:,} labelled rows"
    lines = [
        f"### {name}: {', '.join(f'{n:,}' for n in sizes)} rows, all distinct",
        "",
        "| N | B | " + " | ".join(methods) + " |",
    ]
    lines.append("|---|---|" + "---|" * len(methods))
    for n in sizes:
        for n_picks in (b for b in queries if b < n):
            labelled = 0 if query == "badge" else N_LABELLED
            cells = []
            for method in methods:
                measured = bench.measure(Setting(method, query, n, n, n_picks, n_labelled=labelled))
                about = "about " if measured and measured.n_made < n_picks else ""
                cells.append(
                    f"{about}{human(measured.seconds)}, {measured.peak:,.0f} MiB" if measured else "-"
                )
            lines.append(f"| {n:,} | {n_picks:,} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def imagenet(bench: Bench, folder: str) -> list[str]:
    """BADGE on a pool of ImageNet's shape, its factors in files."""
    setting = Setting("hetal", "badge", 1_281_167, 1_281_167, 10_000, n_classes=1000, n_features=512)
    with tempfile.TemporaryDirectory(dir=folder or None) as scratch:
        measured = bench.measure(replace(setting, folder=scratch))
    if measured is None:
        return ["### BADGE, ImageNet-shaped: failed", ""]
    return [
        "### BADGE, ImageNet-shaped",
        "",
        "1,281,167 rows, 1,000 classes, 512 features, 10,000 picks; factors in two memory-mapped files, 7.2 GiB. "
        f"Took **{human(measured.seconds)}**, {measured.seconds / 10:.2f} ms a pick, and {measured.private:,.0f} MiB "
        "of memory besides the files' pages, which the system keeps or drops as it likes.",
        "",
    ]


def head() -> list[str]:
    """Return what the page begins with: where and how it was measured."""
    return [
        "# Selection: time and memory",
        "",
        f"Written by `python -m benchmarks.selection` on {os.cpu_count()} CPU cores ({platform.machine()}), "
        f"torch {torch.__version__}. Synthetic clustered features, 10 classes and 128 features unless said. Every "
        "measurement is a process of its own; memory is its peak above what it held with its data in. hetal's times "
        "are of the whole query (median of three where under 20 s); times with *about* are extrapolated from what "
        "3 and 15 picks took (more where those are quick), and their memory is that of the picks made. *sequential* "
        "is the published algorithm in NumPy: all rows in float64, one centre at a time. A dash: left out, would not "
        "fit in memory or is not installed.",
        "",
    ]


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="*", default=[5_000, 50_000, 250_000, 1_000_000])
    parser.add_argument("--queries", type=int, nargs="*", default=[100, 1_000, 10_000])
    parser.add_argument(
        "--no-settings", action="store_true", help="skip the named settings, measure the grid only"
    )
    parser.add_argument("--imagenet", action="store_true")
    parser.add_argument("--folder", default="", help="where the ImageNet-shaped files go for the time being")
    parser.add_argument(
        "--python-activeml", default=sys.executable, help="an interpreter with scikit-activeml"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "SELECTION.md")
    args = parser.parse_args()
    bench = Bench(args.python_activeml)
    sections: list[Callable[[], list[str]]] = []
    if not args.no_settings:
        paper = Setting("", "badge", 250_000, 50_100, 1_000)
        title = "BADGE, the paper's setting: 250,000 rows of which 50,100 distinct, 1,000 picks"
        methods = ("hetal", "hetal, every row", *BADGE[1:])
        sections.append(partial(table, bench, title, paper, methods))
        title = f"Core-set, the same pool, {N_LABELLED:,} labelled rows, 1,000 picks"
        covered = replace(paper, query="coreset", n_labelled=N_LABELLED)
        sections.append(partial(table, bench, title, covered, CORESET))
        title = "BADGE, 20,000 distinct rows, 1,000 picks"
        fewer = replace(paper, n_rows=20_000, n_distinct=20_000)
        sections.append(partial(table, bench, title, fewer, BADGE))
    if args.imagenet:
        sections.append(partial(imagenet, bench, args.folder))
    for query, methods in (("badge", BADGE), ("coreset", CORESET)):
        sections += [partial(grid, bench, query, methods, [n], args.queries) for n in args.sizes]
    lines: list[str] = []
    for section in sections:
        lines += section()
        # Written after every section: a full run takes most of an hour, and may be cut short.
        notes = ["Notes:", "", *(f"- {note}" for note in dict.fromkeys(bench.notes))] if bench.notes else []
        args.out.write_text("\n".join([*head(), *lines, *notes]).rstrip() + "\n")


if __name__ == "__main__":
    main()
