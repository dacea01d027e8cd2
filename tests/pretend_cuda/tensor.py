"""A tensor that holds one of the CPU and says that it is on cuda:0.

To C++ it is a tensor of the CPU, so that autograd and composite operations take the CPU's branches; to Python its
device is cuda:0. Every operation with such a tensor among its arguments comes by `__torch_dispatch__`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

from tests.pretend_cuda import rules
from tests.pretend_cuda.device import CUDA, active
from tests.pretend_cuda.notes import place


class OnCuda(Tensor):
    """A tensor that says it is on cuda:0."""

    content: Tensor

    @staticmethod
    def __new__(cls, content: Tensor, requires_grad: bool = False) -> OnCuda:
        made = Tensor._make_wrapper_subclass(
            cls, content.size(), strides=content.stride(), storage_offset=content.storage_offset(),
            dtype=content.dtype, layout=content.layout, device=content.device, requires_grad=requires_grad,
        )  # fmt: skip
        made.content = content.detach()
        active().hold(made, content)
        return made

    device = property(lambda self: CUDA)
    is_cuda = property(lambda self: True)
    is_cpu = property(lambda self: False)
    __torch_function__ = torch._C._disabled_torch_function_impl

    def __repr__(self) -> str:
        return f"OnCuda({self.content})"

    def get_device(self) -> int:
        return 0

    def __deepcopy__(self, memo: dict[int, Any]) -> OnCuda:
        if id(self) not in memo:
            if not self.is_leaf:
                raise RuntimeError(
                    "Only Tensors created explicitly by the user support the deepcopy protocol"
                )
            with torch.no_grad():
                copied = self.detach().clone(memory_format=torch.preserve_format)
            copied.requires_grad_(self.requires_grad)
            if hasattr(self, "_is_param"):
                copied._is_param = True
            memo[id(self)] = copied
        return memo[id(self)]

    def __reduce_ex__(self, protocol: int) -> Any:  # as torch.save, then torch.load(map_location="cpu")
        device = active()
        device.notes.saved[place(), "saved from the device"] += 1
        device.notes.copied[place(), "device to host"] += self.content.nbytes
        device.wait("device to host, saved")
        return self.content.__reduce_ex__(protocol)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = kwargs or {}, func.__name__.split(".")[0]
        device = active()
        if why := rules.refusal(name, func, args, kwargs, cls):
            device.refuse(func, why)
        if name == "copy_" and isinstance(args[0], OnCuda) != isinstance(args[1], OnCuda):
            return transfer(*args, **kwargs)
        _note(func, name, args, kwargs)
        args_held, kwargs_held = tree_map_only(OnCuda, lambda t: t.content, (args, kwargs))
        recording, draws = device.recording, name in rules.RANDOM
        if recording is not None:
            recording.look((args_held, kwargs_held))
        with device.drawing(draws):
            result = func(*args_held, **kwargs_held)
        if recording is not None:
            writes = func._schema.is_mutable or name in rules.WRITES
            recording.add(func, args_held, kwargs_held, result, draws, writes, name in rules.ALLOCATES)
        return _returned(func, args, kwargs, result)


def _returned(func: Any, args: Any, kwargs: Any, result: Any) -> Any:
    """Return results as tensors on the device; what was changed in place, as it came."""
    changed = [
        kwargs.get(argument.name, args[i] if i < len(args) else None)
        for i, argument in enumerate(func._schema.arguments)
        if argument.alias_info and argument.alias_info.is_write
    ]
    returns = func._schema.returns
    if returns and returns[0].alias_info and returns[0].alias_info.is_write:
        return changed[0] if len(changed) == 1 else tuple(changed)
    return tree_map_only(Tensor, OnCuda, result)


def transfer(target: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
    """Copy between host and device, into `target`."""
    device = active()
    if isinstance(target, OnCuda):
        run, pair = device.upload, (target.content, source)
    else:
        run, pair = device.download, (target, source.content)
    if device.recording is not None:
        device.recording.look(pair[:1] if isinstance(target, OnCuda) else pair[1:])
    run(*pair, non_blocking)
    if device.recording is not None:
        device.recording.add(run, (*pair, non_blocking), {}, None, False, True, False)
    return target


def _note(func: Any, name: str, args: Any, kwargs: Any) -> None:
    """Take note of an operation that stays on the device."""
    device = active()
    if name in rules.INDEXES:
        for index in args[1]:
            if index is not None and not isinstance(index, OnCuda):
                device.notes.copied[place(), "host to device"] += index.nbytes
                device.wait("host to device, an index")
    device.wait("boolean mask" if name in rules.INDEXES else name, rules.n_waits(name, args, kwargs))
    if not (_only_views(func) or name in rules.ALLOCATES or name == "_local_scalar_dense"):
        device.launch(name)
    if kind := rules.repeats(name, func.__name__, args, kwargs):
        dtype = next(
            (str(t.dtype).removeprefix("torch.") for t in tree_leaves(args) if isinstance(t, Tensor)), ""
        )
        if kind == "slower" and torch.are_deterministic_algorithms_enabled():
            device.notes.slower[place(), f"{name} {dtype}"] += 1
        else:
            device.notes.unrepeatable[place(), f"{name} {dtype}"] += 1


def _only_views(func: Any) -> bool:
    returns = func._schema.returns
    return bool(returns) and all(r.alias_info is not None and not r.alias_info.is_write for r in returns)
