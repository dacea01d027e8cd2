"""The interface of trackers, which show learning curves beside the record; the record never depends on them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from hetal.experiment import Setup
from hetal.record.history import History
from hetal.record.schema import Round
from hetal.record.writer import Record
from hetal.watch.watcher import Watcher


class Tracker(Watcher, ABC):
    """A watcher that shows learning curves outside the console, and says where."""

    @abstractmethod
    def start(self, setup: Setup, history: History) -> None:
        """Open the tracker's run, or continue it, and show the rounds on record that it lacks."""

    def show_finished(self, record: Record, rounds: list[Round], summary: dict[str, Any]) -> None:
        """Show a run that was finished before this process started; does nothing unless overridden.

        Args:
            record: of the run, or of a longer run that contains it.
            rounds: of the run.
            summary: of `rounds`.
        """

    @abstractmethod
    def round(self, row: Round) -> None:
        """Show a round that is on record."""

    @abstractmethod
    def finish(self, summary: dict[str, Any] | None) -> None:
        """End the run: with its summary, or with None if it was cut short."""

    def where(self) -> str | None:
        """Return a line that says where the curves are, or None."""
        return None


class NullTracker(Tracker):
    """The tracker that shows nothing."""

    def start(self, setup: Setup, history: History) -> None:
        """Do nothing."""

    def round(self, row: Round) -> None:
        """Do nothing."""

    def finish(self, summary: dict[str, Any] | None) -> None:
        """Do nothing."""
