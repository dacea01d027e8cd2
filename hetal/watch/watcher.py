"""The interface of watchers: notified of what happens in a run, they never change its result."""

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
    """Base class of watchers of one run; every method does nothing unless overridden."""

    def start(self, setup: Setup, history: History) -> None:
        """Called before the first round; `history` may hold earlier rounds of the run."""

    def epoch(self, epoch: int, accuracy: float) -> None:
        """Called after every epoch with its number and its online train accuracy in [0, 1]."""

    def query(self) -> AbstractContextManager[None]:
        """Return a context manager; the query is made inside its `with` block."""
        return nullcontext()

    def purchase(self, purchase: Purchase, fit: Fit) -> None:
        """Called with every purchase before its round is on record, so that files written here are never missing."""

    def round(self, row: Round) -> None:
        """Called with every round once it is on record."""

    def finish(self, summary: dict[str, Any] | None) -> None:
        """Called at the end, however the run ends: with its summary, or with None if it was cut short."""


class Watchers:
    """Several watchers as one: notified in order, and finished in reverse order.

    Args:
        watchers: in the order of notification.
    """

    def __init__(self, watchers: Sequence[Watcher] = ()) -> None:
        self._watchers = tuple(watchers)

    def start(self, setup: Setup, history: History) -> None:
        """Start all watchers."""
        for watcher in self._watchers:
            watcher.start(setup, history)

    def epoch(self, epoch: int, accuracy: float) -> None:
        """Notify all watchers of a finished epoch."""
        for watcher in self._watchers:
            watcher.epoch(epoch, accuracy)

    @contextmanager
    def query(self) -> Iterator[None]:
        """Enter the `query` contexts of all watchers; the query is made inside the `with` block."""
        with ExitStack() as stack:
            for watcher in self._watchers:
                stack.enter_context(watcher.query())
            yield

    def purchase(self, purchase: Purchase, fit: Fit) -> None:
        """Notify all watchers of a purchase that is not on record yet."""
        for watcher in self._watchers:
            watcher.purchase(purchase, fit)

    def round(self, row: Round) -> None:
        """Notify all watchers of a round that is on record."""
        for watcher in self._watchers:
            watcher.round(row)

    def finish(self, summary: dict[str, Any] | None) -> None:
        """Finish all watchers, also if one of them raises or has not been started."""
        with ExitStack() as stack:  # calls in reverse order
            for watcher in self._watchers:
                stack.callback(watcher.finish, summary)


class StopBetweenEpochs(Watcher):
    """Ends a run after an epoch if a stop was requested.

    Args:
        stop: receives the requests.
    """

    def __init__(self, stop: SafeStop) -> None:
        self._stop = stop

    def epoch(self, epoch: int, accuracy: float) -> None:
        """Stop here if it was requested.

        Raises:
            Stopped: a stop was requested.
        """
        self._stop.check()
