"""Wall time of each phase of a round, and of what a GPU computes, without waiting for it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Clock:
    """Measures the wall time of phases: `with clock("train"): ...`.

    Attributes:
        seconds: of each phase so far; 0 for a phase that was not entered.
    """

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Add the time spent inside the `with` block to `phase`."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[phase] += time.perf_counter() - began


class Stopwatch:
    """Adds up the time of `with` blocks on a device: `with watch: ...`.

    A GPU computes after a block has ended; its events are waited for only when the time is read.

    Args:
        device: that computes.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._seconds = 0.0
        self._began = 0.0
        self._events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    def __enter__(self) -> None:
        if self._device.type == "cuda":
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            self._events.append((start, end))
        else:
            self._began = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        if self._device.type == "cuda":
            self._events[-1][1].record()
        else:
            self._seconds += time.perf_counter() - self._began

    def reset(self) -> None:
        """Forget the time so far."""
        self._seconds, self._events = 0.0, []

    @property
    def seconds(self) -> float:
        """The time of all blocks so far."""
        for start, end in self._events:
            end.synchronize()
            self._seconds += start.elapsed_time(end) / 1000
        self._events = []
        return self._seconds
