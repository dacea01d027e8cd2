"""What strategies are compared by: a measure of rounds, a target, and the strategy that others are measured against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hetal.errors import BadInput
from hetal.record.measures import DERIVED, MEASURES, OF_A_ROUND, Measure
from hetal.report.analyse.series import is_known, series
from hetal.report.load.own import OWN
from hetal.report.load.records import Run

# The strategy that all others are measured against, unless another is named.
RANDOM = "random"

# The measures that have a page of their own unless others are asked for, as far as records hold them.
USUAL = ("accuracy", "balanced_accuracy", "macro_f1", "nll", "ece", "clean_share", "right_share")

# A class with so many times the rows of another makes a pool or a test set imbalanced.
IMBALANCED = 5

# With more runs than this, only the first measure is analysed unless others are asked for.
MOST_RUNS = 2000


@dataclass(frozen=True)
class Criterion:
    """What strategies are compared by.

    Attributes:
        measure: of rounds; one direction of it is better.
        target: value that labels are counted to; None for that of the baseline at its end, at the same seed.
        baseline: the strategy that all others are measured against.
        why: why this measure comes first, a sentence; empty where that needs no reason.
    """

    measure: Measure = MEASURES["accuracy"]
    target: float | None = None
    baseline: str = RANDOM
    why: str = ""

    @property
    def name(self) -> str:
        """The measure in words."""
        return self.measure.name.removeprefix("test ")

    @property
    def area(self) -> str:
        """What the area under its curve is called."""
        return "AULC" if self.measure.key == "accuracy" else f"AULC of {self.name}"

    @property
    def final(self) -> str:
        """What it is called at the end."""
        return f"final {self.name}"

    @property
    def unit(self) -> str:
        """Its unit, as the heading of a column ends."""
        return " %" if self.measure.unit == "share" else ""


# What strategies are compared by unless something else is asked for.
BY_ACCURACY = Criterion()


def measures_named(text: str, own: Sequence[Measure] = ()) -> list[Measure]:
    """Return the measures that a list of their keys names, such as "accuracy,nll".

    Args:
        text: the list.
        own: measures of the user's own, which are named with or without "measures/".

    Raises:
        BadInput: there is no such measure of rounds, or no direction of it is better.
    """
    keys = list(dict.fromkeys(key.strip() for key in text.split(",")))
    known = {m.key: m for m in (*OF_A_ROUND, *DERIVED) if m.better is not None and is_known(m.key)}
    known |= {name: m for m in own if (name := m.key.removeprefix(OWN)) not in known}
    of_key = {**known, **{m.key: m for m in own}}
    for key in keys:
        if key not in of_key:
            raise BadInput(f"--measure {key or repr(text)}: must be of {', '.join(known)}")
    return list(dict.fromkeys(of_key[key] for key in keys))


def check_held(measures: Sequence[Measure], runs: Sequence[Run]) -> None:
    """Refuse a measure that no run has.

    Raises:
        BadInput: it is named.
    """
    for measure in measures:
        if runs and all(np.isnan(series(run, measure.key)).all() for run in runs):
            raise BadInput(f"--measure {measure.key}: no run has it")


def check_target(target: float | None, measure: Measure) -> None:
    """Refuse a target that no value of its measure can be.

    Raises:
        BadInput: a share is in [0, 1], and of hetal's own measures none is below 0.
    """
    if target is None:
        return
    if measure.unit == "share" and not 0 <= target <= 1:
        raise BadInput(f"--target {target}: must be in [0, 1], since {measure.key} is a share")
    if measure.unit != "number" and target < 0:
        raise BadInput(f"--target {target}: must be a number from 0")


def measures_of(runs: Sequence[Run], own: Sequence[Measure] = ()) -> tuple[list[Measure], str]:
    """Return the measures that tell runs apart, the one that leads first; and why that is not accuracy.

    They are the usual ones, and those of the user's own.

    A measure that says what an earlier one says, such as balanced accuracy on balanced test sets, is left out, and so
    is one that is the same in all rounds. Of more than `MOST_RUNS` runs the first is all.
    """
    why = imbalance(runs)
    order = (
        [*USUAL] if not why else ["balanced_accuracy", *(key for key in USUAL if key != "balanced_accuracy")]
    )
    if not any((~np.isnan(series(run, order[0]))).any() for run in runs):
        order, why = [*USUAL], ""
    known_as = {**MEASURES, **{measure.key: measure for measure in own}}
    order += [measure.key for measure in own]
    few = runs[:: max(len(runs) // MOST_RUNS, 1)]
    found: dict[str, np.ndarray] = {}
    for key in order:
        values = np.concatenate([series(run, key) for run in few]) if few else np.empty(0)
        known = values[~np.isnan(values)]
        is_constant = len(known) == 0 or np.ptp(known) == 0
        if key == order[0] or not (
            is_constant or any(np.allclose(values, v, equal_nan=True) for v in found.values())
        ):
            found[key] = values
    return [known_as[key] for key in (order[:1] if len(runs) > MOST_RUNS else found)], why


def imbalance(runs: Sequence[Run]) -> str:
    """Return a sentence on the most imbalanced classes, in the pool or the test set; empty where all are balanced.

    A pool is imbalanced where its clean rows are, and its distinct images of the same classes too: a class that all
    noise is of has few clean rows left, but no fewer images than others.
    """
    most, where = 0.0, ""
    for run in runs:
        test, clean, images = (
            run.pool.get(f"{what}_per_class") or [1] for what in ("test", "clean", "images")
        )
        for ratio, what in ((_ratio(test, test), "test set"), (_ratio(clean, images), "pool")):
            if ratio > most:
                most, where = ratio, f"the {what} of {run.setting}"
    if most < IMBALANCED:
        return ""
    return (
        f"Balanced accuracy comes first, since the largest class of {where} has {most:,.0f} times the rows of the "
        "smallest: it counts every class alike, where accuracy may be high for a network that never names a small one."
    )


def _ratio(counts: Sequence[int], others: Sequence[int]) -> float:
    """Return how many times the largest class has the rows of the smallest, by two counts the lower; 1 of none."""
    if len(counts) != len(others):
        return 1.0
    largest, smallest = int(np.argmax(counts)), int(np.argmin(counts))
    return min(of[largest] / max(of[smallest], 1) for of in (counts, others))
