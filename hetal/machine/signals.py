"""Ctrl-C, SIGTERM and SIGHUP end a run at the next safe point: after an epoch, with everything finished on disk."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

from hetal.errors import Stopped

# Windows has no SIGHUP, which a terminal sends when it is closed.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Supervisor:
    """What a process that another one has started and watches, a worker of a sweep, takes from it.

    Attributes:
        told_to_stop: tells whether the other process has ended, or wants this one to.
        by_another: whether there is one. It says what there is to say, and ends at once what it no longer waits for.
    """

    stop_requested: Callable[[], bool] = staticmethod(lambda: False)
    present = False

    @classmethod
    def check(cls) -> None:
        """Stop here if the other process wants it.

        Raises:
            Stopped: it does.
        """
        if cls.stop_requested():
            raise Stopped(None)


class SafeStop:
    """Holds signals back until `check` is called; as a context.

    A handler that someone else has installed, such as a cluster's job runner, is left in place, and a signal that is
    ignored, as by nohup, stays ignored.

    Args:
        should_stop: another reason to stop, asked at most once a second.
    """

    def __init__(self, should_stop: Callable[[], bool] = lambda: False) -> None:
        self._should_stop = should_stop
        self._asked = time.monotonic()
        self._signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> SafeStop:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def check(self) -> None:
        """Stop here if someone has asked for it.

        Raises:
            Stopped: someone has.
        """
        if self._signal is not None:
            raise Stopped(self._signal)
        if time.monotonic() - self._asked >= 1:
            self._asked = time.monotonic()
            Supervisor.check()
            if self._should_stop():
                raise Stopped(None)

    def _note(self, number: int, frame: FrameType | None) -> None:
        again = self._signal is not None
        self._signal = number
        if Supervisor.present:
            return
        if again:  # the second time it is meant at once
            raise Stopped(number)
        write_stderr(b"stopping after this epoch; once more stops at once\n")


def write_stderr(line: bytes) -> None:
    """Write to standard error from a signal's handler: what it interrupts may be in the middle of a print."""
    with suppress(OSError):  # nobody reads it, as where a terminal was closed
        os.write(2, line)
