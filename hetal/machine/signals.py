"""Signals: Ctrl-C, SIGTERM and SIGHUP stop a run after the current epoch, with all finished rounds on disk."""

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

# Windows has no SIGHUP, the signal of a closed terminal.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Supervisor:
    """The process that started this one as a worker of a sweep, if any.

    Attributes:
        stop_requested: returns whether the supervisor has ended, or wants this process to stop.
        present: whether there is a supervisor. It prints all messages on signals, and kills workers itself.
    """

    stop_requested: Callable[[], bool] = staticmethod(lambda: False)
    present = False

    @classmethod
    def check(cls) -> None:
        """Stop here if the supervisor wants it.

        Raises:
            Stopped: the supervisor wants this process to stop.
        """
        if cls.stop_requested():
            raise Stopped(None)


class SafeStop:
    """A context manager that defers signals until `check` is called.

    A handler installed by someone else, such as a cluster's job runner, stays in place, and an ignored signal (nohup)
    stays ignored.

    Args:
        should_stop: another reason to stop, called at most once a second.
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
        """Stop here if a signal or `should_stop` requested it.

        Raises:
            Stopped: a stop was requested.
        """
        if self._signal is not None:
            raise Stopped(self._signal)
        if time.monotonic() - self._asked >= 1:
            self._asked = time.monotonic()
            Supervisor.check()
            if self._should_stop():
                raise Stopped(None)

    def _note(self, number: int, frame: FrameType | None) -> None:
        is_second = self._signal is not None
        self._signal = number
        if Supervisor.present:
            return
        if is_second:  # stop at once
            raise Stopped(number)
        write_stderr(b"stopping after this epoch; once more stops at once\n")


def write_stderr(line: bytes) -> None:
    """Write to standard error from a signal handler, where `print` is unsafe: it may have interrupted one."""
    with suppress(OSError):  # such as a closed terminal
        os.write(2, line)
