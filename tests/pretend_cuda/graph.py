"""CUDA graphs of the pretended device.

As on CUDA, capturing computes nothing: once it ends, all that was written is as it was before, and what it made holds
garbage until the first replay. A replay repeats the recorded operations on the same memory with the numbers of Python
that they were captured with.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from tests.pretend_cuda.device import CAPTURING, active, poison
from tests.pretend_cuda.notes import place
from tests.pretend_cuda.streams import Stream, current_stream, default_stream


def tensors_in(values: Any) -> list[Tensor]:
    """Return all tensors in nested lists, tuples and dicts."""
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def address(tensor: Tensor) -> int:
    """Return the address of the memory that a plain tensor lies in; 0 if it has none."""
    return tensor.untyped_storage().data_ptr()


class Step(NamedTuple):
    """A recorded operation, and where its new results go: by place among the tensors that it returns."""

    run: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    results: dict[int, Tensor]
    draws: bool


class Recording:
    """What was done between the beginning and the end of a capture, in plain tensors.

    Attributes:
        steps: in order.
        is_valid: nothing was asked for that cannot be captured.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.is_valid = True
        self._rng = active().rng
        self._own: dict[
            int, Tensor
        ] = {}  # made while capturing, by address; kept alive, as in a graph's pool
        self._before: dict[int, tuple[Tensor, Any]] = {}  # other memory that was used, and what was in it

    def look(self, values: Any) -> None:
        """Remember the content of the device's memory from before the capture, before an operation uses it."""
        for tensor in tensors_in(values):
            key = address(tensor)
            if active().is_held(key) and key not in self._own and key not in self._before:
                self._before[key] = (tensor, tensor.untyped_storage().clone())

    def add(
        self, run: Any, args: Any, kwargs: Any, result: Any, draws: bool, writes: bool, allocates: bool
    ) -> None:
        """Record an operation that has been run.

        Args:
            run: does it again.
            args, kwargs: of it, plain tensors among them.
            result: what it returned; or, of an allocation, the new memory.
            draws: whether it draws random numbers.
            writes: whether it writes to its arguments.
            allocates: whether it only makes memory, so that there is nothing to do again.
        """
        given = {address(t) for t in tensors_in((args, kwargs))}
        new = {i: t for i, t in enumerate(tensors_in(result)) if address(t) and address(t) not in given}
        self._own |= {address(t): t for t in new.values()}
        if (new or writes) and not allocates:
            self.steps.append(Step(run, args, kwargs, new, draws))

    def end(self) -> None:
        """Undo what the captured operations did."""
        for tensor, content in self._before.values():
            tensor.untyped_storage().copy_(content)
        for tensor in self._own.values():
            poison(torch.empty(0, dtype=tensor.dtype).set_(tensor.untyped_storage()))
        active().rng = self._rng

    def replay(self) -> None:
        """Run all steps again.

        Raises:
            RuntimeError: memory that they use, and that is not theirs, belongs to no tensor any more.
        """
        device = active()
        if any(not device.is_held(key) for key in self._before):
            raise RuntimeError(
                "a CUDA graph uses memory of a tensor that is gone, where there may be others by now"
            )
        with torch.no_grad(), torch._C.DisableTorchFunction():
            for run, args, kwargs, results, draws in self.steps:
                with device.drawing(draws):
                    again = tensors_in(run(*args, **kwargs))
                for i, result in results.items():
                    result.copy_(again[i])


class CUDAGraph:
    """Stands for torch.cuda.CUDAGraph."""

    def __init__(self, keep_graph: bool = False) -> None:
        self._recording: Recording | None = None

    def capture_begin(self, pool: Any = None, capture_error_mode: str = "global") -> None:
        if current_stream() is default_stream():
            raise RuntimeError("CUDA graphs must be captured on a non-default stream.")
        if active().recording is not None:
            raise RuntimeError(f"{CAPTURING} (another capture begins at {place()})")
        active().recording = Recording()

    def capture_end(self) -> None:
        recording, active().recording = active().recording, None
        recording.end()
        if not recording.is_valid:
            raise RuntimeError("CUDA error: operation failed due to a previous error during capture")
        self._recording = recording

    def replay(self) -> None:
        if self._recording is None:
            raise RuntimeError("Called CUDAGraph::replay without a preceding successful capture.")
        if active().recording is not None:
            raise RuntimeError(f"{CAPTURING} (a graph is replayed at {place()})")
        active().launch("graph")
        self._recording.replay()

    def reset(self) -> None:
        self._recording = None

    def pool(self) -> tuple[int, int]:
        return (0, id(self))

    @property
    def n_operations(self) -> int:
        """How many operations a replay repeats."""
        return len(self._recording.steps) if self._recording else 0


class graph:
    """Stands for torch.cuda.graph: a context manager that captures what is inside it."""

    def __init__(
        self,
        cuda_graph: CUDAGraph,
        pool: Any = None,
        stream: Stream | None = None,
        capture_error_mode: str = "global",
    ) -> None:
        self._graph, self._pool, self._mode = cuda_graph, pool, capture_error_mode
        self._stream = stream or Stream()

    def __enter__(self) -> None:
        active().wait("torch.cuda.graph")
        self._stream.__enter__()
        self._graph.capture_begin(self._pool, self._mode)

    def __exit__(self, kind: type | None, *error: object) -> None:
        # As on CUDA: where a capture has failed, this raises over what made it fail, and the stream stays.
        if kind is not None:
            active().recording.is_valid = False
        self._graph.capture_end()
        self._stream.__exit__()
