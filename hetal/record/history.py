"""The rounds and purchases of a run, in memory: all that the loop needs of a record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hetal.record.schema import Purchase, Round

if TYPE_CHECKING:
    from hetal.record.checkpoint import Checkpoint, State


class History:
    """What happened in a run so far. This one forgets it with the process; `Record` keeps it in a folder.

    Attributes:
        rounds: finished rounds.
        bought: the start set and what each finished round bought.
        source: what holds them, for messages.
    """

    source = "the history"

    def __init__(self) -> None:
        self.rounds: list[Round] = []
        self.purchases: list[Purchase] = []
        self._state: State | None = None

    @property
    def steps(self) -> int:
        """Optimiser steps of all rounds so far."""
        return sum(row.steps for row in self.rounds)

    def start(self, purchase: Purchase) -> None:
        """Enter the start set, unless it is there already."""
        if not self.purchases:
            self.purchases.append(purchase)

    def append(self, row: Round, purchase: Purchase, state: State | None = None) -> None:
        """Enter a finished round, what was bought with it, and the state its strategy was left in, if it has one."""
        self.rounds.append(row)
        self.purchases.append(purchase)
        self._state = state

    def strategy_state(self) -> State | None:
        """Return the state in which the strategy left its last query; None before the first."""
        return self._state

    def checkpoint(self, t: int, minutes: float | None) -> Checkpoint | None:
        """Return where round `t` keeps its state every so many minutes; None keeps none."""
        return None
