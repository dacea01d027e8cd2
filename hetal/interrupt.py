"""SIGINT and SIGTERM end a run at the next safe point: after an epoch, with everything finished on disk."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from hetal.errors import Stopped


class SafeStop:
    """Holds signals back until `check` is called; as a context.

    A handler that someone else has installed, such as a cluster's job runner, is left in place.

    Args:
        also: another reason to stop, asked at most once a second.
    """

    def __init__(self, also: Callable[[], bool] = lambda: False) -> None:
        self._also = also
        self._asked = time.monotonic()
        self._signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> SafeStop:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
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
            if self._also():
                raise Stopped(None)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._signal is not None:  # the second time it is meant at once
            raise Stopped(number)
        self._signal = number
        # Straight to the descriptor: what is interrupted may be in the middle of a print.
        os.write(2, b"stopping after this epoch; once more stops at once\n")
