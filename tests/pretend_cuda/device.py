"""The pretended device: its memory, its generator, its one queue of work, and the graph that is being captured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tests.pretend_cuda.notes import Notes, place

if TYPE_CHECKING:
    from tests.pretend_cuda.graph import Recording

CUDA = torch.device("cuda", 0)
CAPTURING = "CUDA error: operation not permitted when stream is capturing"


class Mixed(RuntimeError):
    """What CUDA says where tensors are on different devices."""


class Device:
    """One device.

    Args:
        memory: bytes it has; more raise torch.OutOfMemoryError.

    Attributes:
        notes: what was seen.
        rng: state of its generator.
        live, peak: bytes of the tensors that are alive, and the most there were.
        recording: the graph that is being captured, or None.
    """

    def __init__(self, memory: int) -> None:
        self.notes = Notes()
        self.memory = memory
        self.rng = torch.Generator().manual_seed(0).get_state()
        self.live = self.peak = 0
        self.recording: Recording | None = None
        self._holders: dict[int, int] = {}  # tensors that are alive by the storage that they lie in
        self._pinned: dict[int, Tensor] = {}  # kept alive, so that no address is used again
        self._copies: list[tuple[Tensor, Tensor]] = []  # to the host and not waited for: target, content
        self._sources: list[
            tuple[Tensor, Tensor, str]
        ] = []  # from the host likewise: source, as it was, place

    def refuse(self, what: object, why: str) -> None:
        """Raise what CUDA raises where tensors are on different devices."""
        self.notes.mixed.append((place(), str(what), why))
        raise Mixed(f"{why} ({what} at {place()})")

    def launch(self, name: str) -> None:
        """Count an operation that starts a kernel."""
        self.notes.launches[name] += 1

    # Waiting

    def wait(self, what: str, times: int = 1) -> None:
        """Note that the host waits for the device; what was copied without waiting has then arrived."""
        if not times:
            return
        if self.recording is not None:
            self.recording.is_valid = False
            raise RuntimeError(f"{CAPTURING} ({what} at {place()})")
        self.notes.syncs[place(), what] += times
        self.arrive()

    def arrive(self) -> None:
        """Let all copies that nobody waited for take place."""
        for target, content in self._copies:
            target.copy_(content)
        for source, content, where in self._sources:
            if not same_bytes(source, content):
                self.notes.races.append(
                    f"{where}: its source was overwritten before the copy can have taken place"
                )
        self._copies, self._sources = [], []

    # Copies between host and device; of plain tensors, the device's being what a pretending tensor holds

    def upload(self, target: Tensor, source: Tensor, non_blocking: bool) -> None:
        """Copy from the host."""
        what = "host to device"
        self.notes.copied[place(), what] += source.nbytes
        if non_blocking and self.is_pinned(source) and _lies_dense(source):
            if self.recording is None:
                self._sources.append((source, source.clone(), place()))
        else:
            self.wait(what if self.is_pinned(source) else f"{what}, not pinned")
        target.copy_(source)

    def download(self, target: Tensor, source: Tensor, non_blocking: bool) -> None:
        """Copy to the host; what is not waited for arrives when the device is waited for, and is garbage until then."""
        what = "device to host"
        self.notes.copied[place(), what] += source.nbytes
        if non_blocking and self.is_pinned(target):
            if self.recording is not None:  # takes place when the graph is replayed
                return
            self._copies.append((target, source.to(target.dtype, copy=True)))
            poison(target)
        else:
            self.wait(what)
            target.copy_(source)

    def pin(self, tensor: Tensor) -> Tensor:
        """Have the memory of a tensor of the host pass for pinned."""
        self._pinned[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    def is_pinned(self, tensor: Tensor) -> bool:
        """Return whether a tensor of the host lies in pinned memory."""
        return tensor.untyped_storage().data_ptr() in self._pinned

    # Memory

    def hold(self, content: Tensor) -> Hold | None:
        """Count the memory of `content` for as long as what is returned is alive."""
        storage = content.untyped_storage()
        key, size = storage.data_ptr(), storage.nbytes()
        if not size:
            return None
        if key not in self._holders:
            if self.live + size > self.memory:
                raise torch.OutOfMemoryError(
                    f"CUDA out of memory. Tried to allocate {size} bytes, of {self.memory} are {self.live} in use."
                )
            self.live += size
            self.peak = max(self.peak, self.live)
        self._holders[key] = self._holders.get(key, 0) + 1
        return Hold(self, key, size)

    def release(self, key: int, size: int) -> None:
        """Count one holder less of the memory at an address."""
        self._holders[key] -= 1
        if not self._holders[key]:
            del self._holders[key]
            self.live -= size

    def is_held(self, key: int) -> bool:
        """Return whether a tensor is alive that lies in the storage at this address."""
        return key in self._holders

    # Randomness

    @contextmanager
    def drawing(self, draws: bool = True) -> Iterator[None]:
        """Inside the `with` block, draw from the device's generator where torch draws from the CPU's."""
        if not draws:
            yield
            return
        kept = torch.default_generator.get_state()
        torch.default_generator.set_state(self.rng)
        try:
            yield
        finally:
            self.rng = torch.default_generator.get_state()
            torch.default_generator.set_state(kept)

    def set_rng(self, state: Tensor) -> None:
        """Set the generator's state."""
        if self.recording is not None:
            raise RuntimeError(f"{CAPTURING} (a generator is set at {place()})")
        self.rng = state.clone()


class Hold:
    """Stands for one tensor that uses memory of the device, and belongs to it."""

    __slots__ = ("_device", "_key", "_size")

    def __init__(self, device: Device, key: int, size: int) -> None:
        self._device, self._key, self._size = device, key, size

    def __del__(self) -> None:
        self._device.release(self._key, self._size)


def _lies_dense(tensor: Tensor) -> bool:
    """Return whether the bus takes a tensor as it lies; any other is gathered first, into memory that is not pinned."""
    return tensor.is_contiguous() or (
        tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    )


def poison(tensor: Tensor) -> None:
    """Overwrite a plain tensor with what shows: NaN, or -1."""
    if tensor.dtype == torch.bool:
        tensor.fill_(True)
    elif tensor.dtype.is_floating_point or tensor.dtype.is_complex:
        tensor.fill_(torch.nan)
    else:
        tensor.fill_(torch.iinfo(tensor.dtype).max if tensor.dtype == torch.uint8 else -1)


def same_bytes(a: Tensor, b: Tensor) -> bool:
    """Return whether two plain tensors are equal, NaN counted as equal to itself."""
    return torch.equal(a, b) or bool(torch.eq(a, b).logical_or(a.isnan() & b.isnan()).all())


_active: list[Device] = []


def active() -> Device:
    """Return the device that is pretended now."""
    return _active[-1]


@contextmanager
def activated(device: Device) -> Iterator[None]:
    """Pretend to have this device inside the `with` block."""
    _active.append(device)
    try:
        yield
    finally:
        _active.pop()
