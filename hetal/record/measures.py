"""The measures of runs: name, unit, which direction is better, and where each is shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Unit = Literal["share", "count", "seconds", "MiB", "nats", "cost", "number"]
Direction = Literal["higher", "lower"]
# The report's charts and tables, the tracker's history and summary, the dashboard, and the table in a terminal.
Place = Literal["chart", "table", "tracker", "dashboard", "display"]


@dataclass(frozen=True)
class Measure:
    """One measure.

    Attributes:
        key: in rounds.jsonl, summary.json and trackers; "seconds/train" is the phase "train" of `seconds`, and
            "seconds/score+select" the sum of two phases; "measures/recall" is a measure of the user's own.
        name: in words, for axes and captions.
        unit: of its values; a share is in [0, 1] and written in percent.
        better: which direction is better; None where neither is.
        shown: the places that show it.
        heading: a short name, for columns; `name` unless given.
        digits: decimals that it is written with, of a share those of percent.
        title: of a chart over the number of labels.
    """

    key: str
    name: str
    unit: Unit
    better: Direction | None = None
    shown: tuple[Place, ...] = ()
    heading: str = ""
    digits: int = 0
    title: str = ""

    @property
    def axis(self) -> str:
        """The name with its unit, as an axis has it."""
        return f"{self.name} (%)" if self.unit == "share" else self.name

    @property
    def sign(self) -> int:
        """1 where a larger value is better, -1 where a smaller one is.

        Raises:
            ValueError: neither is.
        """
        if self.better is None:
            raise ValueError(f"{self.key}: no direction is better")
        return 1 if self.better == "higher" else -1

    @property
    def scale(self) -> int:
        """What values are multiplied by where they are written: 100 of a share, which is written in percent."""
        return 100 if self.unit == "share" else 1

    @property
    def step(self) -> str:
        """The unit of differences: points of percent of a share."""
        return {"share": "points", "count": "", "number": ""}.get(self.unit, self.unit)

    @property
    def decimals(self) -> int:
        """Decimals of means over runs."""
        return {"share": 1, "nats": 3, "seconds": 2, "count": 1, "MiB": 0, "cost": 2, "number": 3}[self.unit]

    @property
    def column(self) -> str:
        """The heading of a column of its values."""
        heading = self.heading or self.name
        return f"{heading} %" if self.unit == "share" else heading

    def value(self, row: Mapping[str, Any]) -> int | float | None:
        """Return the value in a round or a summary; None where it has none.

        Args:
            row: a line of rounds.jsonl, `vars` of a `Round`, or a summary.
        """
        field, _, phases = self.key.partition("/")
        value = row.get(field)
        if phases and value is not None:
            known = [value[phase] for phase in phases.split("+") if phase in value]
            value = sum(known) if known else None
        number: int | float | None = value
        return number

    def written(self, value: float | None) -> str:
        """Return a value as text, a share with its percent sign; nothing for None."""
        if value is None:
            return ""
        return f"{value:.{self.digits}%}" if self.unit == "share" else f"{value:.{self.digits}f}"


def _of_a_round() -> Iterator[Measure]:
    yield Measure("round", "round", "count", shown=("tracker", "display"))
    yield Measure("n_labelled", "labels", "count", None, ("chart", "tracker", "dashboard", "display"))
    yield Measure(
        "accuracy", "test accuracy", "share", "higher", ("chart", "tracker", "dashboard", "display"), "accuracy", 1,
        "Test accuracy",
    )  # fmt: skip
    yield Measure(
        "balanced_accuracy", "balanced accuracy", "share", "higher", ("chart", "tracker", "dashboard"),
        title="Balanced accuracy",
    )  # fmt: skip
    yield Measure(
        "macro_f1", "macro F1", "share", "higher", ("chart", "tracker", "dashboard"), title="Macro F1"
    )
    yield Measure(
        "nll", "negative log-likelihood", "nats", "lower", ("chart", "tracker", "dashboard"),
        title="Negative log-likelihood",
    )  # fmt: skip
    yield Measure(
        "ece", "expected calibration error", "share", "lower", ("chart", "tracker", "dashboard"),
        title="Calibration error",
    )  # fmt: skip
    yield Measure("train_accuracy", "training accuracy", "share", None, ("tracker",))
    yield Measure("steps", "optimiser steps", "count", "lower", ("tracker",))
    yield Measure("restarts", "restarts of training", "count", "lower", ("tracker",))
    yield Measure("snapshot_epoch", "epoch of the snapshot", "count", None, ("tracker",))
    yield Measure("n_asked", "rows asked for", "count", None, ("tracker",))
    yield Measure("n_bought", "rows acquired", "count", None, ("tracker",))
    yield Measure(
        "clean_share", "clean rows of a query", "share", "higher", ("chart", "tracker", "dashboard", "display"),
        "clean", 0, "Clean share of each query",
    )  # fmt: skip
    yield Measure(
        "n_distinct", "distinct images of a query", "count", "higher", ("tracker", "display"), "distinct"
    )
    yield Measure(
        "right_share", "right labels of a query", "share", "higher", ("chart", "tracker", "dashboard"), "right",
        title="Right labels of each query",
    )  # fmt: skip
    yield Measure("n_rejected", "rows of a query that were rejected", "count", "lower", ("tracker",))
    yield Measure("cost", "cost of a query", "cost", "lower", ("tracker",))
    yield Measure("epochs", "epochs", "count", "lower", ("tracker", "dashboard", "display"), title="Epochs")
    yield Measure("n_pseudo", "pseudo-labelled rows", "count", None, ("tracker",))
    yield Measure("n_pseudo_noisy", "noisy pseudo-labelled rows", "count", "lower", ("tracker",))
    yield Measure("pseudo_accuracy", "right pseudo-labels", "share", "higher", ("tracker",))
    yield Measure("pseudo_accuracy_clean", "right, of clean rows", "share", "higher", ("chart", "tracker"))
    yield Measure("pseudo_accuracy_noisy", "right, of noisy rows", "share", "higher", ("chart", "tracker"))
    yield Measure(
        "seconds/train", "seconds of training", "seconds", "lower", ("tracker", "dashboard", "display"), "train s", 1,
        "Seconds of training",
    )  # fmt: skip
    yield Measure("seconds/score", "seconds of scoring", "seconds", "lower", ("tracker",), digits=2)
    yield Measure("seconds/select", "seconds of selection", "seconds", "lower", ("tracker",), digits=2)
    yield Measure(
        "seconds/score+select", "seconds of a query", "seconds", "lower", ("display",), "query s", 2
    )
    yield Measure("seconds/test", "seconds of testing", "seconds", "lower", ("tracker",), digits=2)
    yield Measure("peak_memory_mb", "peak memory", "MiB", "lower", ("table", "tracker"), "peak memory MiB")


def _derived_from_rounds() -> Iterator[Measure]:
    """Yield measures that are computed from several fields or rounds, by the report or the tracker."""
    yield Measure("seconds_so_far", "seconds", "seconds", "lower", ("chart",))
    yield Measure("clean_labels_so_far", "clean labels acquired", "count", "higher", ("chart",))
    yield Measure(
        "clean_share_so_far", "clean rows so far", "share", "higher", ("chart", "tracker", "dashboard"),
        title="Clean share of all queries so far",
    )  # fmt: skip
    yield Measure(
        "n_distinct_so_far", "distinct images so far", "count", "higher", ("tracker", "dashboard"),
        title="Distinct images bought so far",
    )  # fmt: skip
    yield Measure("distinct_share", "distinct images per row of a query", "share", "higher", ("chart",))
    yield Measure("rejected_share", "rejected rows of a query", "share", "lower", ("chart",))
    yield Measure("cost_so_far", "cost of all queries", "cost", "lower", ("chart",))
    yield Measure("pseudo_clean_share", "clean rows among pseudo-labelled", "share", "higher", ("chart",))
    yield Measure("base_rate", "clean rows of the pool", "share", None, ("chart", "tracker", "dashboard"))


def _of_a_run() -> Iterator[Measure]:
    yield Measure(
        "area_under_curve", "area under the learning curve (AULC)", "share", "higher",
        ("table", "tracker", "dashboard", "display"), "AULC", 1, "Area under the curve",
    )  # fmt: skip
    yield Measure(
        "final_accuracy", "final accuracy", "share", "higher", ("table", "tracker", "dashboard", "display"),
        digits=1, title="Final accuracy",
    )  # fmt: skip
    yield Measure(
        "queried_clean_share", "clean share of all queries", "share", "higher", ("table", "tracker", "display"),
        "clean share",
    )  # fmt: skip
    yield Measure(
        "labels_to_reach_random", "labels to reach random's final accuracy", "count", "lower",
        ("table", "tracker", "dashboard"), title="Labels to reach the end of random choice",
    )  # fmt: skip
    yield Measure("labels_saved", "labels saved over random", "count", "higher", ("table",), "labels saved")


# In the order in which they are shown.
OF_A_ROUND = tuple(_of_a_round())
DERIVED = tuple(_derived_from_rounds())
OF_A_RUN = tuple(_of_a_run())

MEASURES: Mapping[str, Measure] = {measure.key: measure for measure in (*OF_A_ROUND, *DERIVED, *OF_A_RUN)}


def shown_in(place: Place, measures: Iterable[Measure] = MEASURES.values()) -> list[Measure]:
    """Return those of `measures` that a place shows, in order."""
    return [measure for measure in measures if place in measure.shown]
