"""The history of a run in memory: its rounds and purchases, as the loop needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hetal.record.schema import Purchase, Round

if TYPE_CHECKING:
    from hetal.record.checkpoint import Checkpoint, State


class History:
    """Rounds and purchases of a run so far, in memory only; the subclass `Record` keeps them on disk.

    Attributes:
        rounds: finished rounds.
        purchases: the start set, then the purchase of each finished round.
        source: where the history is stored, for messages.
    """

    source = "the history"

    def __init__(self) -> None:
        self.rounds: list[Round] = []
        self.purchases: list[Purchase] = []
        self._state: State | None = None
        self._weights: State | None = None

    def start(self, purchase: Purchase) -> None:
        """Add the start set, unless the history has one already."""
        if not self.purchases:
            self.purchases.append(purchase)

    def append(
        self, row: Round, purchase: Purchase, state: State | None = None, weights: State | None = None
    ) -> None:
        """Add a finished round.

        Args:
            row: the round.
            purchase: what it bought.
            state: of the strategy after the query, if it keeps one.
            weights: that the next round starts from, see `hetal.train.Learner.hand_on`.
        """
        self.rounds.append(row)
        self.purchases.append(purchase)
        self._state = state
        self._weights = weights

    def strategy_state(self) -> State | None:
        """Return the state of the strategy after its last query; None before the first."""
        return self._state

    def weights(self) -> State | None:
        """Return the weights that the last round ended with, for a warm start; None before the first round."""
        return self._weights

    def checkpoint(self, t: int, minutes: float | None) -> Checkpoint | None:
        """Return the checkpoint of round `t`, to be written every so many minutes; None for no checkpoint."""
        return None
