"""State files: tensors and plain values with a checksum, for a round in progress and between rounds."""

from __future__ import annotations

import copy
import hashlib
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hetal.machine.files import write_atomically
from hetal.machine.transfer import to_host

State = dict[str, Any]


def weights_of(network: nn.Module) -> State:
    """Return copies of all parameters and buffers of a network by name, on the CPU."""
    state = network.state_dict()
    values = to_host(*(value.detach() for value in state.values()))
    return {name: value.clone() for name, value in zip(state, values, strict=True)}


def packed(state: State) -> bytes:
    """Serialise `state`, tensors and plain values, to bytes that begin with their SHA-256."""
    buffer = io.BytesIO()
    tensors: list[Tensor] = []

    def collect(tensor: Tensor) -> Tensor:
        tensors.append(tensor)
        return tensor

    _with_tensors(state, collect)
    fetched = iter(to_host(*tensors))
    torch.save(_with_tensors(state, lambda tensor: next(fetched)), buffer)
    content = buffer.getvalue()
    return hashlib.sha256(content).hexdigest().encode() + b"\n" + content


def _with_tensors(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return a value of nested dicts, lists and tuples with every tensor changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        changed = copy.copy(value)  # a state_dict has attributes
        for key, part in value.items():
            changed[key] = _with_tensors(part, change)
        return changed
    if isinstance(value, (list, tuple)):
        return type(value)(_with_tensors(part, change) for part in value)
    return value


def unpacked(data: bytes) -> State:
    """Deserialise what `packed` returned, onto the CPU; nothing but tensors and plain values is unpickled.

    Raises:
        ValueError: the content does not match its hash.
    """
    digest, content = data.split(b"\n", 1)
    if digest.decode(errors="replace") != hashlib.sha256(content).hexdigest():
        raise ValueError("its content does not fit its hash")
    state: State = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
    return state


def write_state(path: Path, state: State) -> None:
    """Write `state`, tensors and plain values, atomically.

    Raises:
        BadInput: the file cannot be written.
    """
    data = packed(state)
    write_atomically(path, lambda file: file.write(data))


def read_state(path: Path) -> State:
    """Read what `write_state` wrote, onto the CPU; nothing but tensors and plain values is unpickled.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is damaged.
    """
    return unpacked(path.read_bytes())


class Checkpoint:
    """The checkpoint file of one round.

    Args:
        path: the file.
        round: the round whose state it holds.
        minutes: wall time between two writes; 0 writes after every epoch, None never.
    """

    def __init__(self, path: Path, round: int, minutes: float | None) -> None:
        self._path = path
        self._round = round
        self._minutes = minutes
        self._written = time.monotonic()

    def load(self) -> State | None:
        """Return the saved state of this round; None if there is none or the file is damaged."""
        try:
            saved = read_state(self._path)
        except (OSError, ValueError):
            return None
        return saved["state"] if saved["round"] == self._round else None

    def keep(self, state: Callable[[], State], now: bool = False) -> None:
        """Write the state if `minutes` have passed since the last write, or at once with `now`.

        Raises:
            BadInput: the file cannot be written.
        """
        if self._minutes is None or not (now or time.monotonic() - self._written >= 60 * self._minutes):
            return
        write_state(self._path, {"round": self._round, "state": state()})
        self._written = time.monotonic()
