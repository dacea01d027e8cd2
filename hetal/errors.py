"""What a user can get wrong, said in one line."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

# Characters that would end a line or steer a terminal.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class BadInput(Exception):
    """A mistake of the user's, or of the machine: the message names the setting, its value, what is allowed.

    Args:
        message: one line; control characters in it, as in a value that it quotes, are shown by their escapes.
    """

    def __init__(self, message: str) -> None:
        super().__init__(CONTROL.sub(lambda found: ascii(found[0])[1:-1], message))


class RecordLocked(BadInput):
    """Another process holds a record."""


class Unreadable(BadInput):
    """A file could not be read, which says nothing of what it holds."""


class Diverged(BadInput):
    """Training met a loss, or a network gives an output, that is not a number."""


class Stopped(KeyboardInterrupt):
    """The user or the machine asked the run to stop, and it did so at a safe point.

    Args:
        signal: number of the signal that asked; None where another job's failure did.
    """

    def __init__(self, signal: int | None) -> None:
        super().__init__(signal)
        self.signal = signal


@contextmanager
def in_round(t: int) -> Iterator[None]:
    """Add to a `Diverged` the round it was met in."""
    try:
        yield
    except Diverged as error:
        raise Diverged(f"round {t}, {error}") from None


def make_part(part: str, make: Callable[..., Any], wanted: type[T], *args: Any, **kwargs: Any) -> T:
    """Call what a config chose for `part` of a run, which may be a user's own code, and return what it makes.

    Args:
        part: the config group, as the user types it.
        make: called with `args` and `kwargs`.
        wanted: the type of what it has to make.

    Raises:
        BadInput: it raised something, or made something else; names the part, and the line of the code.
    """
    called = getattr(make, "func", make)  # of a partial
    name = f"{part}: {getattr(called, '__module__', '')}.{getattr(called, '__qualname__', called)}"
    try:
        thing = make(*args, **kwargs)
    except BadInput:
        raise
    except Exception as error:
        raise BadInput(f"{name} fails: {describe_error(error)}") from error
    if not isinstance(thing, wanted):
        raise BadInput(f"{name} gives a {type(thing).__name__}; it must give a {wanted.__name__}")
    return thing


def _is_library(path: str) -> bool:
    """Tell whether a file is no user's: hetal's own, Python's, or of an installed package."""
    installed = f"{os.sep}lib{os.sep}python" in path or "site-packages" in path
    return installed or path.startswith(("<", os.path.dirname(__file__) + os.sep))


def describe_error(error: BaseException) -> str:
    """Return the kind and the message of an error, and the line that raised it, as one line."""
    said = " ".join(str(error).split())
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_library(frame.filename)]
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {said[:300]}{where}"
