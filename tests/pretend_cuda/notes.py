"""What was seen on the pretended device, each with the file and line that asked for it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

Place = tuple[str, str]


def place() -> str:
    """Return file:line of the innermost frame of this repository, the harness itself left out; "?" if there is none."""
    frame = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if path.startswith(f"{ROOT}/") and "site-packages" not in path and not path.startswith(f"{HERE}/"):
            return f"{path[len(str(ROOT)) + 1 :]}:{frame.f_lineno}"
        frame = frame.f_back
    return "?"


class Notes:
    """Counts by (file:line, what).

    Attributes:
        syncs: times that the host waited for the device.
        unrepeatable: operations whose CUDA kernel gives other bits each time, in some torch that hetal takes.
        slower: operations that repeat only because torch was told to, by a slower kernel.
        copied: bytes over the bus, in either direction.
        saved: tensors on the device that were written to a file.
        launches: operations that start a kernel, by name; one replay of a graph is one.
        mixed: refusals, since a caller may have caught the exception: place, operation, reason.
        races: copies not waited for whose source changed, or whose target was read, too early.
    """

    def __init__(self) -> None:
        self.syncs: Counter[Place] = Counter()
        self.unrepeatable: Counter[Place] = Counter()
        self.slower: Counter[Place] = Counter()
        self.copied: Counter[Place] = Counter()
        self.saved: Counter[Place] = Counter()
        self.launches: Counter[str] = Counter()
        self.mixed: list[tuple[str, str, str]] = []
        self.races: list[str] = []

    @contextmanager
    def only(self) -> Iterator[Notes]:
        """Yield notes that hold, after the `with` block, what was counted inside it."""
        names = ("syncs", "unrepeatable", "slower", "copied", "saved", "launches")
        before, part = {name: getattr(self, name).copy() for name in names}, Notes()
        yield part
        for name in names:
            setattr(part, name, getattr(self, name) - before[name])
