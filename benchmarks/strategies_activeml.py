"""Queries of scikit-activeml's strategies, one a process: `python -m benchmarks.strategies_activeml JSON`.

Run by `strategies.py` with an interpreter that has scikit-activeml. Prints what a query took, how many of hetal's picks
are those of this library, or how many different rows it picks, as JSON. It gets the features and class probabilities
that hetal's side has, of every row.
"""

from __future__ import annotations

import inspect
import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from skactiveml import pool as theirs
from skactiveml.base import SkactivemlClassifier
from sklearn.preprocessing import normalize

from benchmarks.measuring import free_memory, limit_memory, measure
from benchmarks.strategies_data import Data, Task

# How far a score may be under the highest one, relative to it, to count as the highest: hetal's are of float32.
TOLERANCE = 1e-5


class Linear(SkactivemlClassifier):
    """A fitted linear classifier, or an ensemble of them, without biases."""

    def __init__(self, weight_KCD: np.ndarray, classes: list[int]) -> None:
        super().__init__(classes=classes)
        self.weight_KCD = weight_KCD
        self.classes_ = np.array(classes)

    def fit(self, X: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None) -> Linear:
        return self

    def sample_proba(self, X: np.ndarray) -> np.ndarray:
        """Return the probabilities of all members, (K, N, C)."""
        logits = np.stack([X @ weight.T for weight in self.weight_KCD])
        logits -= logits.max(-1, keepdims=True)
        odds = np.exp(logits)
        return odds / odds.sum(-1, keepdims=True)

    def predict_proba(self, X: np.ndarray, equal: bool = False) -> Any:
        """Return mean probabilities (N, C); and, if asked for, equal uncertainties (N,)."""
        probs = self.sample_proba(X).mean(0)
        return (probs, np.ones(len(X))) if equal else probs

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the most probable class of each row."""
        return self.predict_proba(X).argmax(1)


@dataclass(frozen=True)
class Method:
    """How scikit-activeml's strategy is made, and how picks are compared with it.

    Attributes:
        make: from the task's numbers.
        compared: "each": every pick, after the ones before it, has the highest score; "top": all have the highest
            scores; "set": the rows are the same ones; "joint": as "each", until samples replace exact sums; "": picks
            are random.
        in_full: whether time is not proportional to picks.
        unit: whether features are scaled to norm 1 for it.
    """

    make: Callable[[dict[str, float]], Any]
    compared: str
    in_full: bool = False
    unit: bool = False


def _members(kind: type, **settings: Any) -> Any:
    return kind(sample_predictions_method_name="sample_proba", random_state=0, **settings)


METHODS: dict[str, Method] = {
    "random": Method(lambda _: theirs.RandomSampling(random_state=0), "", in_full=True),
    "confidence": Method(
        lambda _: theirs.UncertaintySampling("least_confident", random_state=0), "top", in_full=True
    ),
    "margin": Method(
        lambda _: theirs.UncertaintySampling("margin_sampling", random_state=0), "top", in_full=True
    ),
    "entropy": Method(lambda _: theirs.UncertaintySampling("entropy", random_state=0), "top", in_full=True),
    "bald": Method(lambda _: _members(theirs.GreedyBALD), "top", in_full=True),
    "batchbald": Method(
        lambda number: _members(theirs.BatchBALD, n_MC_samples=int(number["samples"])), "joint"
    ),
    "coreset": Method(lambda _: theirs.CoreSet(random_state=0), "each"),
    "badge": Method(lambda _: theirs.Badge(random_state=0), "each"),
    # Weighted k-means, with equal weights.
    "kmeans": Method(lambda _: theirs.Clue({"equal": True}, random_state=0), "set", in_full=True),
    "typiclust": Method(
        lambda number: theirs.TypiClust(k=int(number["neighbours"]), random_state=0),
        "set",
        in_full=True,
        unit=True,
    ),
    "probcover": Method(
        lambda number: theirs.ProbCover(
            n_classes=10, deltas=[number["delta"]] if "delta" in number else None, random_state=0
        ),
        "each",
        unit=True,
    ),
    "maxherding": Method(
        lambda number: theirs.MaxHerding(
            metric_dict={"gamma": (number["bandwidth"] * number["spread"]) ** -2}, random_state=0
        ),
        "each",
    ),
    "dropquery": Method(
        lambda number: theirs.DropQuery(n_dropout_samples=int(number["passes"]), random_state=0),
        "",
        in_full=True,
    ),
}


class Query:
    """A strategy of scikit-activeml on the rows of a task."""

    def __init__(self, task: Task) -> None:
        data = Data(task)
        self.method = METHODS[task.alg]
        unit_MD = normalize(data.x_MD.double().numpy())
        # The root mean squared distance of two different images.
        self.numbers = {**task.numbers, "spread": np.sqrt(2 * unit_MD.var(0, ddof=1).sum())}
        self.x = data.x_MD.double().numpy()[data.source_N.numpy()]
        if self.method.unit:
            self.x = normalize(self.x)
        self.y = np.full(len(self.x), np.nan)
        self.y[data.labelled_L.numpy()] = data.labels().numpy()
        self.classifier = Linear(data.weight_KCD.double().numpy(), list(range(task.n_classes)))
        self.strategy: Any = None

    def begin(self) -> None:
        """Make the strategy anew."""
        self.strategy = self.method.make(self.numbers)

    def __call__(self, n: int, also: list[int] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return n rows and the score (n, N) of every row before each pick; rows of `also` count as labelled."""
        y = self.y.copy()
        y[also or []] = 0
        takes = inspect.signature(self.strategy.query).parameters
        needs = {}
        for name in ("clf", "ensemble", "estimator"):
            if name in takes:
                needs = {name: self.classifier, f"fit_{name}": False}
        picks, score = self.strategy.query(self.x, y, batch_size=n, return_utilities=True, **needs)
        return np.asarray(picks), np.asarray(score)


def _is_highest(score: np.ndarray, row: int, rank: int = 1) -> bool:
    """Return whether the score of a row is among the `rank` highest, to within `TOLERANCE`."""
    finite = np.sort(score[np.isfinite(score)])
    return bool(score[row] >= finite[-rank] - TOLERANCE * max(abs(finite[-rank]), 1e-12))


def different(task: Task) -> int:
    """Return how many different rows without a label a query buys."""
    query = Query(task)
    query.begin()
    picks, _ = query(task.n_picks)
    return len({int(row) for row in picks if np.isnan(query.y[row])})


def agreement(task: Task) -> tuple[int, int]:
    """Return how many of hetal's picks this library would have made, and of how many that can be said."""
    query = Query(task)
    query.begin()
    picks, n = list(task.picks), task.n_picks
    if query.method.compared == "top":
        _, score = query(n)
        return sum(_is_highest(score[0], row, n) for row in picks), n
    if query.method.compared == "set":
        made, _ = query(n)
        return len(set(made.tolist()) & set(picks)), n
    if query.method.compared == "joint":
        n = min(n, int(np.log(task.numbers["samples"]) / np.log(task.n_classes) + 1e-9) + 1)
        made, score = query(n)
        for i in range(n):
            if not _is_highest(score[i], picks[i]):
                return i, n
            if not np.array_equal(
                query.x[made[i]], query.x[picks[i]]
            ):  # a tie: what follows is of other picks
                return i + 1, i + 1
        return n, n
    right = 0
    for i, row in enumerate(picks):
        _, score = query(1, also=picks[:i])
        right += _is_highest(score[0], row)
    return right, n


def main(task: Task, take_time: bool) -> None:
    """Measure, or compare."""
    warnings.filterwarnings("ignore")
    limit_memory(0.8 * free_memory())
    if not take_time:
        right, n = agreement(task) if task.picks else (different(task), task.n_picks)
        print(json.dumps({"right": right, "of": n}))
        return
    small = Query(Task(task.alg, 400, 400, 20, 3, numbers=task.numbers, n_members=task.n_members))
    small.begin()
    small(3)
    query = Query(task)

    def prepare() -> Callable[[int], object]:
        query.begin()
        return query

    print(json.dumps(asdict(measure(prepare, task.n_picks, query.method.in_full))))


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    main(Task(**given["task"]), given["take_time"])
