"""A training step as a CUDA graph: recorded once for each shape of batch, then started as one operation.

A small network's step is hundreds of short operations, which take a GPU less time than Python takes to start them. A
graph starts all at once, on the same memory every time. What Python computes in a step, such as a learning rate, is
recorded as the number that it was: what changes from step to step must be in tensors, which are filled before it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hetal.errors import BadInput, describe_error
from hetal.rng import global_state

Step = Callable[[Tensor, Tensor], Sequence[Tensor]]


@dataclass(frozen=True)
class _Recorded:
    graph: torch.cuda.CUDAGraph
    x_B: Tensor
    y_B: Tensor
    outputs: Sequence[Tensor]


class Graphs:
    """The graphs of one step, which Python takes at the first batch of a shape, and a graph at all that follow."""

    def __init__(self) -> None:
        self._recorded: dict[torch.Size, _Recorded | None] = {}  # None: of a shape that came once
        self._pool: Any = None

    def __call__(self, step: Step, x_B: Tensor, y_B: Tensor) -> list[Tensor]:
        """Take a step.

        Args:
            step: maps inputs (B, *image_shape) and labels (B,) to tensors, and changes others in place; all on one GPU,
                and nothing in it may wait for the GPU. The same at every call.
            x_B, y_B: its inputs.

        Raises:
            BadInput: something in it waits for the GPU, or cannot be in a graph.
        """
        shape = x_B.shape
        if shape not in self._recorded:
            self._recorded[shape] = None
            return self._first(step, x_B, y_B)
        recorded = self._recorded[shape]
        if recorded is None:
            recorded = self._recorded[shape] = self._record(step, x_B, y_B)
        else:
            recorded.x_B.copy_(x_B)
            recorded.y_B.copy_(y_B)
        recorded.graph.replay()
        return [output.clone() for output in recorded.outputs]  # the next step writes over them

    def _first(self, step: Step, x_B: Tensor, y_B: Tensor) -> list[Tensor]:
        """Take a step on the stream that is recorded from, so that libraries load there what they need."""
        stream = _stream(x_B.device)
        stream.wait_stream(torch.cuda.current_stream(x_B.device))
        with torch.cuda.stream(stream):
            outputs = step(x_B, y_B)
        torch.cuda.current_stream(x_B.device).wait_stream(stream)
        return [output.clone() for output in outputs]

    def _record(self, step: Step, x_B: Tensor, y_B: Tensor) -> _Recorded:
        x_B, y_B = x_B.clone(), y_B.clone()
        graph, stream, before = torch.cuda.CUDAGraph(), torch.cuda.current_stream(x_B.device), _drawn()
        try:
            with torch.cuda.graph(graph, pool=self._pool, stream=_stream(x_B.device)):
                outputs = step(x_B, y_B)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            torch.cuda.set_stream(stream)  # which is not restored where the end of a recording fails
            cause = error.__context__ if isinstance(error.__context__, Exception) else error
            raise BadInput(
                f"train.graph=true: a training step cannot be recorded as a CUDA graph ({describe_error(cause)}); "
                "graph=false, in a new process"
            ) from error
        if _drawn() != before:
            raise BadInput(
                "train.graph=true: the network or the loss draws random numbers on the CPU, which a CUDA graph would "
                "repeat at every step; graph=false"
            )
        self._pool = graph.pool()
        return _Recorded(graph, x_B, y_B, outputs)


@functools.cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """Return the stream that graphs are recorded from; one, since libraries keep memory for every stream."""
    return torch.cuda.Stream(device)


def _drawn() -> list[object]:
    """Return what tells whether somebody has drawn from a global generator of the CPU."""
    state = global_state()
    return [state["torch"].tolist(), state["numpy"][1].tolist(), state["numpy"][2:], state["python"]]
