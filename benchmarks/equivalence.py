"""Do faster settings change results? `HETAL_DATA=... python -m benchmarks.equivalence`.

Runs `train=fast` beside `train=paper` on Fashion-MNIST, and bf16 beside fp32 on digits, the same seeds on both sides,
and writes docs/EQUIVALENCE.md: paired differences with 95% t-intervals over seeds. Half an hour on one core;
interrupted, it continues.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy import stats

from tests.command_line import REPOSITORY


@dataclass(frozen=True)
class Comparison:
    """Two values of one setting, on the same line, algorithms and seeds."""

    title: str
    setting: str
    values: tuple[str, str]
    line: tuple[str, ...]
    algs: tuple[str, ...]
    seeds: int

    def run(self, root: Path) -> None:
        for value in self.values:
            subprocess.run(
                [
                    sys.executable, "launch.py", "-m", *self.line, f"{self.setting}={value}", f"root={root}",
                    f"name={self.name(value)}", f"alg={','.join(self.algs)}", f"seed=range({self.seeds})",
                    "tracker=none",
                ],
                cwd=REPOSITORY, check=True,
            )  # fmt: skip

    def name(self, value: str) -> str:
        return f"{self.setting.replace('.', '_')}_{value}"

    def read(self, root: Path) -> dict[str, list[list[dict]]]:
        """Return, by algorithm, the runs of both sides in order of their seeds."""
        return {
            alg: [
                [_read(root / self.name(value), alg, seed) for seed in range(self.seeds)]
                for value in self.values
            ]
            for alg in self.algs
        }

    def section(self, root: Path) -> list[str]:
        one, other = self.values
        both = self.read(root)
        lines = [
            f"## {self.title}",
            "",
            f"`{' '.join(self.line)}`, `{self.setting}={one}` and `={other}`, {self.seeds} seeds.",
            "",
            f"| {one}, {other}: difference | " + " | ".join(self.algs) + " |",
            "|---" * (len(self.algs) + 1) + "|",
        ]
        for name, measure in MEASURES.items():
            cells = []
            for alg in self.algs:
                first, second = (np.array([measure(run) for run in side]) for side in both[alg])
                cells.append(f"{first.mean():.1f}, {second.mean():.1f}: {interval(second - first)}")
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        cells = [
            ", ".join(
                f"{np.mean([sum(r['epochs'] for r in run['rounds']) for run in side]):,.0f}"
                for side in both[alg]
            )
            for alg in self.algs
        ]
        lines += ["| epochs of a run | " + " | ".join(cells) + " |", ""]
        if len(self.algs) > 1:
            lines += [
                "What a study compares is the gap between strategies, paired by seed (mean over labels):",
                "",
                f"| gap | {one} | {other} | {other} minus {one} |",
                "|---|---|---|---|",
            ]
        for a, b in combinations(self.algs, 2):
            gaps = [area(x) - area(y) for x, y in zip(both[a], both[b], strict=True)]
            cells = [interval(gap) for gap in (*gaps, gaps[1] - gaps[0])]
            lines.append(f"| {a} - {b} | " + " | ".join(cells) + " |")
        return [*lines, ""]


MEASURES = {
    "mean over labels": lambda run: 100 * run["area_under_curve"],
    "final accuracy": lambda run: 100 * run["final_accuracy"],
    "accuracy before any query": lambda run: 100 * run["rounds"][0]["accuracy"],
    "clean share of queries": lambda run: 100 * run["queried_clean_share"],
}

COMPARISONS = (
    Comparison(
        "Stopping on a plateau: `train=fast`",
        "train",
        ("paper", "fast"),
        (
            "data=fashion_mnist",
            "data.n_train=4000",
            "noise=class",
            "n_start=200",
            "n_query=200",
            "n_end=1400",
        ),
        ("badge", "random", "lhd"),
        5,
    ),
    Comparison(
        "Products in bfloat16: `train.precision=bf16`",
        "train.precision",
        ("fp32", "bf16"),
        ("data=digits", "noise=class", "train=fast"),
        ("badge", "lhd"),
        10,
    ),
)


def _read(folder: Path, alg: str, seed: int) -> dict:
    (run,) = folder.glob(f"{alg}-*-s{seed}-*")
    rounds = [json.loads(line) for line in (run / "rounds.jsonl").read_text().splitlines()]
    return {**json.loads((run / "summary.json").read_text()), "rounds": rounds}


def area(runs: list[dict]) -> np.ndarray:
    return np.array([100 * run["area_under_curve"] for run in runs])


def interval(values: np.ndarray) -> str:
    """Return mean and 95% t-interval, in bold where it leaves out 0."""
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    text = f"{values.mean():+.1f} ({values.mean() - half:+.1f} to {values.mean() + half:+.1f})"
    return f"**{text}**" if abs(values.mean()) > half else text


def main() -> None:
    """Run what is missing and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, default=REPOSITORY / "multirun")
    parser.add_argument("--only", nargs="*", help="settings to run; all are reported")
    parser.add_argument("--no-page", action="store_true", help="run only")
    options = parser.parse_args()
    for comparison in COMPARISONS:
        if options.only is None or comparison.setting in options.only:
            comparison.run(options.root)
    if options.no_page:
        return
    lines = [
        "# Do faster settings change results?",
        "",
        "Written by `python -m benchmarks.equivalence`. Accuracies and shares in percent; differences in "
        "percentage points, paired by seed, with 95% t-intervals over seeds, bold where they leave out 0.",
        "",
    ]
    for comparison in COMPARISONS:
        lines += comparison.section(options.root)
    (REPOSITORY / "docs" / "EQUIVALENCE.md").write_text("\n".join(lines).rstrip() + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
