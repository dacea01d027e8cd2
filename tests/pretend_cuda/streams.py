"""Streams and events of the pretended device: all are one queue."""

from __future__ import annotations

from typing import Any

from tests.pretend_cuda.device import CUDA, active


class Stream:
    """Stands for torch.cuda.Stream: one queue under another name."""

    _current: list[Stream]

    def __init__(self, device: Any = None, priority: int = 0) -> None:
        self.device = CUDA

    def wait_stream(self, stream: Stream) -> None: ...
    def wait_event(self, event: Event) -> None: ...

    def record_event(self, event: Event | None = None) -> Event:
        return event or Event()

    def synchronize(self) -> None:
        active().wait("Stream.synchronize")

    def query(self) -> bool:
        return True

    def is_capturing(self) -> bool:
        return active().recording is not None

    def __enter__(self) -> Stream:
        Stream._current.append(self)
        return self

    def __exit__(self, *error: object) -> None:
        Stream._current.pop()


Stream._current = [Stream()]


def default_stream(device: Any = None) -> Stream:
    return Stream._current[0]


def current_stream(device: Any = None) -> Stream:
    return Stream._current[-1]


def set_stream(stream: Stream) -> None:
    """Stand for torch.cuda.set_stream: leave streams up to this one, or enter it."""
    while len(Stream._current) > 1 and current_stream() is not stream:
        Stream._current.pop()
    if current_stream() is not stream:
        Stream._current.append(stream)


def stream(stream: Stream | None) -> Stream:
    """Stand for torch.cuda.stream: a context manager."""
    return stream or current_stream()


class Event:
    """Stands for torch.cuda.Event."""

    def __init__(
        self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False
    ) -> None:
        self._timed = enable_timing

    def record(self, stream: Stream | None = None) -> None: ...
    def wait(self, stream: Stream | None = None) -> None: ...

    def synchronize(self) -> None:
        active().wait("Event.synchronize")

    def query(self) -> bool:
        return True

    def elapsed_time(self, end: Event) -> float:
        if not (self._timed and end._timed):
            raise ValueError("Both events must be created with argument 'enable_timing=True'.")
        return 1.0
