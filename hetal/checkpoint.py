"""The state of a round in progress, on disk every so often: a long round need not begin again."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from hetal.files import write_atomically

State = dict[str, Any]


class Checkpoint:
    """Where one round keeps its state.

    The file begins with a hash of the rest; it is read without unpickling anything but tensors and plain values.

    Args:
        path: the file.
        round: the round whose state it is to hold.
        minutes: wall time between two writes; 0 writes after every epoch, None never.
    """

    def __init__(self, path: Path, round: int, minutes: float | None) -> None:
        self._path = path
        self._round = round
        self._minutes = minutes
        self._written = time.monotonic()

    def load(self) -> State | None:
        """Return the state that was kept of this round; None where there is none, or the file is damaged."""
        try:
            digest, content = self._path.read_bytes().split(b"\n", 1)
        except (OSError, ValueError):
            return None
        if digest.decode(errors="replace") != hashlib.sha256(content).hexdigest():
            return None
        kept: State = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
        return kept["state"] if kept["round"] == self._round else None

    def keep(self, state: Callable[[], State], now: bool = False) -> None:
        """Write the state if it is time to; with `now`, whatever the time.

        Raises:
            BadInput: the file cannot be written.
        """
        if self._minutes is None or not (now or time.monotonic() - self._written >= 60 * self._minutes):
            return
        buffer = io.BytesIO()
        torch.save({"round": self._round, "state": state()}, buffer)
        content = buffer.getvalue()
        digest = hashlib.sha256(content).hexdigest().encode()
        write_atomically(self._path, lambda file: file.writelines([digest, b"\n", content]))
        self._written = time.monotonic()
