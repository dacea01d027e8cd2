"""The interface of all that follows a run: told what happens, it changes nothing of the result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

from hetal.experiment import Setup
from hetal.machine.signals import SafeStop
from hetal.record.history import History
from hetal.record.schema import Purchase, Round
from hetal.train.fit import Fit


class Watcher:
    """Follows one run. A watcher overrides what it needs; what stands here does nothing."""

    def start(self, setup: Setup, history: History) -> None:
        """Begin with a run, of which `history` may hold some rounds already."""

    def epoch(self, epoch: int, accuracy: float) -> None:
        """Take note of a finished epoch of the round in progress, and of its online train accuracy in [0, 1]."""

    def query(self) -> AbstractContextManager[None]:
        """Return a context in which the strategy is asked."""
        return nullcontext()

    def purchase(self, purchase: Purchase, fit: Fit) -> None:
        """Take note of a purchase before its round is on record, so that what is kept of it is never missing."""

    def round(self, row: Round) -> None:
        """Take note of a round that is on record."""

    def finish(self, summary: dict[str, Any] | None) -> None:
        """End with the run: with its summary, or with None where it was cut short. Called however it ends."""


class Watchers:
    """Several watchers as one: all are told in their order, and finished in reverse.

    Args:
        watchers: in this order.
    """

    def __init__(self, watchers: Sequence[Watcher] = ()) -> None:
        self._watchers = tuple(watchers)

    def start(self, setup: Setup, history: History) -> None:
        """Let all begin with a run."""
        for watcher in self._watchers:
            watcher.start(setup, history)

    def epoch(self, epoch: int, accuracy: float) -> None:
        """Tell all of a finished epoch."""
        for watcher in self._watchers:
            watcher.epoch(epoch, accuracy)

    @contextmanager
    def query(self) -> Iterator[None]:
        """Let all follow a query, which is made inside."""
        with ExitStack() as stack:
            for watcher in self._watchers:
                stack.enter_context(watcher.query())
            yield

    def purchase(self, purchase: Purchase, fit: Fit) -> None:
        """Tell all of a purchase that is not on record yet."""
        for watcher in self._watchers:
            watcher.purchase(purchase, fit)

    def round(self, row: Round) -> None:
        """Tell all of a round that is on record."""
        for watcher in self._watchers:
            watcher.round(row)

    def finish(self, summary: dict[str, Any] | None) -> None:
        """Finish all, whatever one of them raises, those that have not started included."""
        with ExitStack() as stack:  # which calls the last first
            for watcher in self._watchers:
                stack.callback(watcher.finish, summary)


class StopBetweenEpochs(Watcher):
    """Ends a run after an epoch, once `stop` was asked to.

    Args:
        stop: holds signals back meanwhile.
    """

    def __init__(self, stop: SafeStop) -> None:
        self._stop = stop

    def epoch(self, epoch: int, accuracy: float) -> None:
        """Stop here if someone has asked for it.

        Raises:
            Stopped: someone has.
        """
        self._stop.check()
