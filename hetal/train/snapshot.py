"""LHD's snapshot: the network and its moving average at the moment T of training (LHD paper, method section).

T is the end of the fifth consecutive epoch in which the gap between the online train accuracy and the moving
average's train accuracy fell, the first such epoch of a round. If there is none, T is the last epoch.

The LHD paper's code compares the first gap with 0, so that the first epoch can count as a fall, and a restart from a
fresh network changes neither the count nor a pair already taken. `Learner(falls_over_restarts=True)` reproduces that.
"""

from __future__ import annotations

import copy

from hetal.record.checkpoint import State
from hetal.train.epoch import Training
from hetal.train.fitted import Pair


class SnapshotWatch:
    """Detects LHD's moment T during training, and keeps the pair of networks of that moment.

    Args:
        falling_epochs: consecutive epochs in which the gap has to fall.
        first_gap: what the first gap is compared with; None if it cannot count as a fall.
    """

    def __init__(self, falling_epochs: int, first_gap: float | None = None) -> None:
        self.epoch: int | None = None
        self.pair: Pair | None = None
        self._falling_epochs = falling_epochs
        self._falls = 0
        self._gap = first_gap

    def look(self, training: Training) -> bool:
        """Update with the epoch that has just ended; return whether it ended at T."""
        if self.pair is not None:
            return False
        gap = training.accuracies[-1] - training.ema_accuracy()
        self._falls = self._falls + 1 if self._gap is not None and gap < self._gap else 0
        self._gap = gap
        return self._falls == self._falling_epochs and self.keep(training)

    def keep(self, training: Training) -> bool:
        """Take the pair now unless T has been reached before; return whether it was taken."""
        if self.pair is not None:
            return False
        self.pair = copy.deepcopy(training.pair)
        self.epoch = len(training.accuracies)
        return True

    def state_dict(self) -> State:
        """Return the state of the detection, and the pair if it was taken."""
        pair = self.pair and self.pair.state_dict()
        return {"epoch": self.epoch, "falls": self._falls, "gap": self._gap, "pair": pair}

    def load_state_dict(self, state: State, like: Pair) -> None:
        """Restore what `state_dict` returned; `like` is a pair of networks of the same architecture."""
        self.epoch, self._falls, self._gap = state["epoch"], state["falls"], state["gap"]
        if state["pair"] is not None:
            self.pair = copy.deepcopy(like)
            self.pair.load_state_dict(state["pair"])
