"""A CPU that pretends to be one CUDA device, so that mistakes on the CUDA path show on any machine.

    with pretend() as device:
        model = MLP(...).to("cuda")
        ...
    device.notes.syncs            # {("hetal/train/epoch.py:165", "_local_scalar_dense"): 3}: the host waited
    device.notes.unrepeatable     # operations whose CUDA kernel gives other bits each time, with their lines
    device.notes.launches         # operations that start a kernel
    device.notes.copied, device.peak  # bytes over the bus; the most bytes that were alive

Tensors "on the device" hold tensors of the CPU and compute on it, so that results are the CPU's (see `tensor`). What
CUDA would refuse raises `Mixed`, whatever the caller makes of it also stands in `device.notes.mixed`: tensors of both
devices in one operation, a CPU generator, numpy() of a CUDA tensor. Copies that are pinned and `non_blocking` do not
wait: one to the host arrives when the host next waits for the device and is NaN until then, and one whose source is
overwritten before that is in `device.notes.races`. `pretend(memory=BYTES)` raises torch.OutOfMemoryError beyond.
`with device.notes.only() as part:` counts a stretch alone.

Graphs are captured and replayed as on CUDA (see `graph`):

    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
    with torch.cuda.graph(graph):
        loss = step(static_x, static_y)   # only recorded: weights are as before, `loss` is NaN
    static_x.copy_(x); static_y.copy_(y)  # always the same tensors
    graph.replay()                        # one launch; weights are updated, `loss` is there

Inside the capture, all that waits for the device raises, and so do copies of memory that is not pinned and seeding.
Python numbers are frozen as captured. A replay raises where a tensor from before the capture is gone by then. Graphs
work with autograd inside and with torch.optim.Adam(fused=True, capturable=True). `graph.n_operations` says how many
kernels one replay stands for.

What it cannot show: missing waits between streams, mistakes inside kernels, other roundings, whether a kernel exists
for a type, and anything about time.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch

from tests.pretend_cuda import graph as graphs
from tests.pretend_cuda import streams
from tests.pretend_cuda.bindings import Bindings
from tests.pretend_cuda.device import CUDA, Device, Mixed, activated
from tests.pretend_cuda.notes import Notes
from tests.pretend_cuda.tensor import OnCuda, become, can_become

__all__ = ["CUDA", "Device", "Mixed", "Notes", "OnCuda", "pretend"]


@contextlib.contextmanager
def pretend(memory: int = 80 << 30) -> Iterator[Device]:
    """Pretend to have one CUDA device inside the `with` block, and yield what is noted of it.

    Args:
        memory: bytes that the device has.
    """
    device = Device(memory)
    was_deterministic = torch.get_deterministic_debug_mode()
    with contextlib.ExitStack() as stack:
        stack.enter_context(activated(device))
        for name, stand_in in _of_torch_cuda(device).items():
            stack.enter_context(mock.patch.object(torch.cuda, name, stand_in))
        if hasattr(torch, "accelerator"):  # not all of it in older versions
            for name, stand_in in _of_torch_accelerator(device).items():
                stack.enter_context(mock.patch.object(torch.accelerator, name, stand_in, create=True))
        stack.enter_context(mock.patch.object(torch, "autocast", _autocast(torch.autocast)))
        stack.enter_context(mock.patch.object(torch.nn.Module, "_apply", _applied(torch.nn.Module._apply)))
        # Wrappers cannot be viewed in inference mode: no_grad computes the same.
        stack.enter_context(mock.patch.object(torch.inference_mode, "__enter__", _enter_no_grad))
        stack.enter_context(mock.patch.object(torch.inference_mode, "__exit__", _leave_no_grad))
        stack.enter_context(mock.patch(*_grouping()))
        stack.enter_context(Bindings())
        try:
            yield device
        finally:
            device.arrive()
            torch.set_deterministic_debug_mode(was_deterministic)


def _of_torch_cuda(device: Device) -> dict[str, Any]:
    """Return what stands for the functions and classes of torch.cuda."""
    about = SimpleNamespace(
        uuid="GPU-pretended", name="Pretended GPU", total_memory=device.memory, major=9, minor=0,
        multi_processor_count=132,
    )  # fmt: skip

    def set_rng_state(state: torch.Tensor, device_: object = None) -> None:
        if isinstance(state, OnCuda):
            raise TypeError("RNG state must be a torch.ByteTensor")
        device.set_rng(state)

    def seed(value: int) -> None:
        device.set_rng(torch.Generator().manual_seed(value).get_state())

    def reset_peak(device_: object = None) -> None:
        device.peak = device.live

    return {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "init": lambda: None,
        "_lazy_init": lambda: None,
        "_is_in_bad_fork": lambda: False,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "set_device": lambda number: None,
        "get_device_properties": lambda number=None: about,
        "get_device_name": lambda number=None: about.name,
        "get_device_capability": lambda number=None: (about.major, about.minor),
        "is_bf16_supported": lambda including_emulation=True: True,
        "synchronize": lambda number=None: device.wait("torch.cuda.synchronize"),
        "empty_cache": lambda: None,
        "mem_get_info": lambda number=None: (device.memory - device.live, device.memory),
        "memory_allocated": lambda number=None: device.live,
        "memory_reserved": lambda number=None: device.live,
        "max_memory_allocated": lambda number=None: device.peak,
        "max_memory_reserved": lambda number=None: device.peak,
        "reset_peak_memory_stats": reset_peak,
        "get_rng_state": lambda number="cuda": device.rng.clone(),
        "set_rng_state": set_rng_state,
        "manual_seed": seed,
        "manual_seed_all": seed,
        "is_current_stream_capturing": lambda: device.recording is not None,
        "graph_pool_handle": lambda: (0, 0),
        **{name: getattr(graphs, name) for name in ("CUDAGraph", "graph")},
        **{
            name: getattr(streams, name)
            for name in ("Stream", "stream", "Event", "current_stream", "default_stream", "set_stream")
        },
    }


def _of_torch_accelerator(device: Device) -> dict[str, Any]:
    """Return what stands for the functions of torch.accelerator."""
    return {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_accelerator": lambda check_available=False: torch.device("cuda"),
        "current_device_index": lambda: 0,
        "current_stream": streams.current_stream,
        "synchronize": lambda number=None: device.wait("torch.accelerator.synchronize"),
    }


def _applied(real: Callable[..., Any]) -> Callable[..., Any]:
    """Return a stand-in of Module._apply after which parameters that have moved are the same objects, as on CUDA."""

    def applied(self: torch.nn.Module, fn: Callable[[Any], Any], recurse: bool = True) -> torch.nn.Module:
        moved = set()
        for parameter in [p for p in self.parameters(recurse) if not isinstance(p, OnCuda)]:
            with torch.no_grad():
                there = fn(parameter)
            if can_become(parameter, there):
                become(parameter, there)
                moved.add(id(parameter))
        return real(self, lambda tensor: tensor if id(tensor) in moved else fn(tensor), recurse)

    return applied


def _autocast(real: Any) -> Callable[..., Any]:
    def autocast(device_type: str, *args: Any, **kwargs: Any) -> Any:
        return real("cpu" if device_type == "cuda" else device_type, *args, **kwargs)

    return autocast


def _grouping() -> tuple[str, Callable[..., Any]]:
    """Return the name and a stand-in of what groups an optimizer's tensors by the device that C++ sees."""
    name = "_group_tensors_by_device_and_dtype"
    real = getattr(importlib.import_module("torch.optim.optimizer"), name)

    def group(lists: Any, *args: Any) -> Any:
        on_cuda = any(isinstance(tensor, OnCuda) for tensors in lists for tensor in tensors)
        grouped = real(lists, *args)
        return {(CUDA, dtype): value for (_, dtype), value in grouped.items()} if on_cuda else grouped

    return f"torch.optim.optimizer.{name}", group


def _enter_no_grad(self: Any) -> None:
    self.instead = torch.set_grad_enabled(not self.mode)


def _leave_no_grad(self: Any, *error: object) -> None:
    self.instead.__exit__(*error)
