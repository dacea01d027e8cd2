"""Strategies that scikit-activeml has too: settings that make both the same, and how their picks are compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Theirs:
    """A strategy that scikit-activeml has too.

    Attributes:
        name: of its class there.
        overrides: settings of hetal's, and
        numbers: settings of theirs that make both the same strategy.
        picks: fields of the task by which picks are compared that differ from 2,000 rows and 20 labels; None where
            picks are random.
        says: about that comparison.
        n_members: of the ensemble that both read.
    """

    name: str
    overrides: tuple[str, ...] = ()
    numbers: dict[str, float] = field(default_factory=dict)
    picks: dict[str, Any] | None = field(default_factory=dict)
    says: str = ""
    n_members: int = 1


THEIRS: dict[str, Theirs] = {
    "random": Theirs("RandomSampling", picks=None, says="random"),
    "confidence": Theirs("UncertaintySampling"),
    "margin": Theirs("UncertaintySampling"),
    "entropy": Theirs("UncertaintySampling"),
    "bald": Theirs("GreedyBALD", n_members=10, says="ensemble of 10"),
    "batchbald": Theirs(
        "BatchBALD",
        numbers={"samples": 500},
        picks={
            "numbers": {"samples": 10_000},
            "overrides": ("alg.n_configurations=10000", "alg.restart_below=0"),
            "n_picks": 5,
        },
        says="ensemble of 10; the picks of which joint probabilities are exact in both",
        n_members=10,
    ),
    "coreset": Theirs("CoreSet"),
    "kmeans": Theirs(
        "Clue", picks={"blobs": 50, "n_labelled": 0}, says="equal weights; 50 tight groups of rows"
    ),
    "typiclust": Theirs(
        "TypiClust",
        numbers={"neighbours": 20},
        picks={"blobs": 60, "n_labelled": 10},
        says="60 tight groups of rows",
    ),
    "probcover": Theirs(
        "ProbCover", picks={"overrides": ("alg.delta=0.5",), "numbers": {"delta": 0.5}}, says="radius 0.5"
    ),
    "maxherding": Theirs("MaxHerding", numbers={"bandwidth": 1.0}),
    "dropquery": Theirs("DropQuery", numbers={"passes": 3}, picks=None, says="random"),
    "badge": Theirs("Badge", picks={"n_picks": 1}, says="the first; all others are random"),
}

# What is behind the last column of the comparison of picks, as read in the code of one version.
WHY_VERSION = "1.0.1"
WHY = (
    "Rows bought twice: `Badge` lets picked rows take part again once all distances are 0; `TypiClust` draws at "
    "random among all rows, picked ones included, once every cluster has had its turn (and fails if none has one, "
    "where all rows are equal); `BatchBALD` breaks ties of copies twice, once for the row that later picks are "
    "conditioned on and once for the row that it returns.",
)
