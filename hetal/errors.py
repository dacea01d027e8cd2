"""Errors with one-line messages for the user."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

# Characters that would end a line or control a terminal.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def one_line(text: str) -> str:
    """Return text that neither ends a line nor controls a terminal: control characters are escaped, such as to \\n."""
    return CONTROL.sub(lambda match: ascii(match[0])[1:-1], text)


class BadInput(Exception):
    """An error of the user or the machine; the message names the setting, its value, and what is allowed.

    Args:
        message: one line; control characters, such as in a quoted value, are escaped.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class RecordLocked(BadInput):
    """Another process holds a record."""


class Unreadable(BadInput):
    """A file cannot be read; its content may be intact."""


class Diverged(BadInput):
    """A loss, or an output of a network, is not finite."""


class Stopped(KeyboardInterrupt):
    """The run was asked to stop, and stopped at a safe point.

    Args:
        signal: number of the signal; None if the reason is not a signal, such as the failure of another job.
    """

    def __init__(self, signal: int | None) -> None:
        super().__init__(signal)
        self.signal = signal


@contextmanager
def in_round(t: int) -> Iterator[None]:
    """Add the number of the round to a `Diverged` raised inside the `with` block."""
    try:
        yield
    except Diverged as error:
        raise Diverged(f"round {t}, {error}") from None


def make_part(part: str, make: Callable[..., Any], wanted: type[T], *args: Any, **kwargs: Any) -> T:
    """Call the function or class that a config chose for a part of a run, and check what it returns.

    It may be a user's own code.

    Args:
        part: the config group, for messages.
        make: called with `args` and `kwargs`.
        wanted: the type that it must return.

    Raises:
        BadInput: it raised an exception, or returned another type; names the part, and the line of code.
    """
    called = getattr(make, "func", make)  # of a partial
    called = called if hasattr(called, "__qualname__") else type(called)
    name = f"{part}: {getattr(called, '__module__', '')}.{called.__qualname__}"
    try:
        thing = make(*args, **kwargs)
    except BadInput:
        raise
    except Exception as error:
        if type(error).__name__ == "OutOfMemoryError":  # torch's, which need not be imported yet
            raise
        raise BadInput(f"{name} fails: {describe_error(error)}") from error
    if not isinstance(thing, wanted):
        raise BadInput(f"{name} gives a {type(thing).__name__}; it must give a {wanted.__name__}")
    return thing


def _is_library(path: str) -> bool:
    """Return whether a file belongs to hetal, the standard library or an installed package."""
    installed = f"{os.sep}lib{os.sep}python" in path or "site-packages" in path
    return installed or path.startswith(("<", os.path.dirname(__file__) + os.sep))


def reason_of(error: OSError | ValueError) -> str:
    """Return why a file cannot be read, with its name where the error has one, such as of a file in a folder."""
    name = getattr(error, "filename", None)
    reason = getattr(error, "strerror", None) or str(error)
    return f"{reason} ({name})" if name else reason


def describe_error(error: BaseException) -> str:
    """Return the type and message of an error, and the user's line of code that raised it, as one line."""
    message = " ".join(str(error).split())
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_library(frame.filename)]
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {message[:300]}{where}"
