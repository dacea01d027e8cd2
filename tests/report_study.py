"""A small study for the tests of the report: three strategies, two noises, and a clear order among them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.synthetic import write_queries, write_run

ALGORITHMS = ("badge", "coreset", "random")
NOISES = ("blank", "class")


def accuracy_of(alg: str, noise: str, seed: int) -> list[float]:
    """Return made-up accuracies: badge is 10 points over coreset, coreset 5 over random, class 20 under blank."""
    start = 0.5 + {"badge": 0.15, "coreset": 0.05, "random": 0.0}[alg] - (0.2 if noise == "class" else 0.0)
    jitter = ((seed * 7 + len(alg)) % 5 - 2) * 0.004
    return [start + 0.05 * t + jitter for t in range(4)]


def write_study(
    root: Path, seeds: Iterable[int], algorithms: Sequence[str] = ALGORITHMS, noises: Sequence[str] = NOISES
) -> Path:
    """Write the records of a study, and return its folder."""
    for seed in seeds:
        for alg in algorithms:
            for noise in noises:
                folder = write_run(
                    root, f"alg={alg}", f"noise={noise}", "name=study",
                    seed=seed, accuracy=accuracy_of(alg, noise, seed),
                )  # fmt: skip
                write_queries(folder)
    return root / "study"
