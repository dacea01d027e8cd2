"""What a user can get wrong, said in one line."""

from __future__ import annotations


class BadInput(Exception):
    """A mistake of the user's, or of the machine: the message names the setting, its value, what is allowed."""


class Held(BadInput):
    """Another process holds a record."""


class Unreadable(BadInput):
    """A file could not be read, which says nothing of what it holds."""


class Diverged(BadInput):
    """Training met a loss that is not a number."""


class Stopped(KeyboardInterrupt):
    """The user or the machine asked the run to stop, and it did so at a safe point.

    Args:
        signal: number of the signal that asked; None where another job's failure did.
    """

    def __init__(self, signal: int | None) -> None:
        super().__init__(signal)
        self.signal = signal
