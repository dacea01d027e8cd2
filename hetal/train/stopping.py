"""Stopping rules of training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hetal.errors import BadInput


@dataclass(frozen=True)
class Threshold:
    """The paper's rule: stop when online and EMA train accuracy have both reached a threshold.

    Args:
        accuracy: threshold of the online accuracy of one epoch, in [0, 1].
        ema_accuracy: threshold of the EMA network's accuracy on the same rows, in [0, 1].
    """

    accuracy: float
    ema_accuracy: float

    def __call__(self, accuracies: Sequence[float], steps: int, ema_accuracy: Callable[[], float]) -> bool:
        """Return whether to stop.

        Args:
            accuracies: online train accuracy of every epoch so far, in [0, 1].
            steps: optimiser steps so far.
            ema_accuracy: computes the EMA network's train accuracy; costs a forward pass, so it is called last.
        """
        return accuracies[-1] >= self.accuracy and ema_accuracy() >= self.ema_accuracy


@dataclass(frozen=True)
class Plateau(Threshold):
    """Stop as `Threshold` does, or when accuracy has stopped rising.

    With contradictory labels on one image, 0.99 cannot be reached, and the paper's rule always trains for the maximum
    number of epochs. This rule also stops when the mean accuracy of the last `patience` epochs exceeds that of the
    `patience` epochs before by less than `min_gain`, once training has taken `min_steps` steps: with few labels an
    epoch is only a few steps, and a small gain does not mean that training has converged.

    Args:
        patience: epochs in each of the two windows, at least 1.
        min_gain: smallest rise in mean accuracy that counts as progress.
        min_steps: optimiser steps before which a plateau does not stop training.

    Raises:
        BadInput: `patience` is below 1.
    """

    patience: int
    min_gain: float
    min_steps: int

    def __post_init__(self) -> None:
        if self.patience < 1:
            raise BadInput(f"train.stop.patience={self.patience}: must be at least 1")

    def __call__(self, accuracies: Sequence[float], steps: int, ema_accuracy: Callable[[], float]) -> bool:
        """Return whether to stop; arguments as in `Threshold`."""
        n = self.patience
        if len(accuracies) >= 2 * n and steps >= self.min_steps:
            gain = (sum(accuracies[-n:]) - sum(accuracies[-2 * n : -n])) / n
            if gain < self.min_gain:
                return True
        return super().__call__(accuracies, steps, ema_accuracy)
