"""A tensor that holds one of the CPU and says that it is on cuda:0.

To C++ it is a tensor of the CPU, so that autograd and composite operations take the CPU's branches; to Python its
device is cuda:0. Every operation with such a tensor among its arguments comes by `__torch_dispatch__`.
"""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

from tests.pretend_cuda import rules
from tests.pretend_cuda.device import CUDA, Hold, active
from tests.pretend_cuda.notes import place
from tests.pretend_cuda.operations import (
    ALLOCATES,
    INDEXES,
    RANDOM,
    START_NOTHING,
    WALK_MEMORY,
    Operation,
    operation_of,
)


class OnCuda(Tensor):
    """A tensor that says it is on cuda:0."""

    content: Tensor
    hold: Hold | None

    @staticmethod
    def __new__(cls, content: Tensor, requires_grad: bool = False) -> OnCuda:
        made = Tensor._make_wrapper_subclass(
            cls, content.size(), strides=content.stride(), storage_offset=content.storage_offset(),
            dtype=content.dtype, layout=content.layout, device=content.device, requires_grad=requires_grad,
        )  # fmt: skip
        made.content = content.detach()
        made.hold = active().hold(content)
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
        kwargs, operation, device = kwargs or {}, operation_of(func), active()
        name, others = operation.name, []
        args_held, kwargs_held = _held(args, others), _held(kwargs, others)
        if (others or name in WALK_MEMORY) and (why := rules.refusal(operation, args, kwargs, others, cls)):
            device.refuse(func, why)
        if name == "copy_" and isinstance(args[0], OnCuda) != isinstance(args[1], OnCuda):
            return transfer(*args, **kwargs)
        _note(operation, args, kwargs)
        recording, draws = device.recording, name in RANDOM
        if recording is not None:
            recording.look((args_held, kwargs_held))
            if others:  # numbers of the host are recorded as they are now
                args_held, kwargs_held = _copied((args_held, kwargs_held), others)
        if draws:
            with device.drawing():
                result = func(*args_held, **kwargs_held)
        else:
            result = func(*args_held, **kwargs_held)
        if recording is not None:
            recording.add(
                func, args_held, kwargs_held, result, draws, operation.writes_any, name in ALLOCATES
            )
        if operation.returns_written:  # as it came
            written = [kwargs.get(key, args[i] if i < len(args) else None) for i, key in operation.written]
            return written[0] if len(written) == 1 else tuple(written)
        return OnCuda(result) if isinstance(result, Tensor) else tree_map_only(Tensor, OnCuda, result)


def _held(value: Any, others: list[Any]) -> Any:
    """Return what tensors of the device hold, in their place; add tensors of the host and generators to `others`."""
    kind = type(value)
    if kind is OnCuda:
        return value.content
    if kind in (list, tuple):
        return kind([_held(inner, others) for inner in value])
    if kind is dict:
        return {key: _held(inner, others) for key, inner in value.items()}
    if isinstance(value, (Tensor, torch.Generator)):
        others.append(value)
    return value


def _copied(values: Any, chosen: list[Tensor]) -> Any:
    """Return nested values with copies of the chosen tensors."""
    ids = {id(tensor) for tensor in chosen}
    return tree_map_only(Tensor, lambda tensor: tensor.clone() if id(tensor) in ids else tensor, values)


def can_become(tensor: Tensor, other: Tensor) -> bool:
    """Return whether a tensor of the host can become one of the device without ceasing to be the same object."""
    return isinstance(other, OnCuda) and tensor._use_count() == 1 and not weakref.getweakrefs(tensor)


def become(tensor: Tensor, other: OnCuda) -> None:
    """Make a tensor of the host, such as a parameter, the same object on the device, as `tensor.data = other` does."""
    made = OnCuda(other.content, tensor.requires_grad)
    if isinstance(tensor, torch.nn.Parameter):
        made._is_param = True
    torch.utils.swap_tensors(tensor, made)


def set_data(tensor: OnCuda, other: Tensor) -> None:
    """Do what `tensor.data = other` does, which may take the tensor to the host."""
    if isinstance(other, OnCuda):
        Tensor.data.__set__(tensor, other)
        tensor.content, tensor.hold = other.content, other.hold
    elif hasattr(tensor, "_is_param"):
        torch.utils.swap_tensors(tensor, torch.nn.Parameter(other.detach(), tensor.requires_grad))
    else:
        torch.utils.swap_tensors(tensor, other.detach().requires_grad_(tensor.requires_grad))


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


def _note(operation: Operation, args: Any, kwargs: Any) -> None:
    """Take note of an operation that stays on the device."""
    device, name = active(), operation.name
    is_index = name in INDEXES
    if is_index:
        for index in args[1]:
            if index is not None and not isinstance(index, OnCuda):
                device.notes.copied[place(), "host to device"] += index.nbytes
                device.wait("host to device, an index")
    device.wait("boolean mask" if is_index else name, rules.n_waits(name, args, kwargs))
    if not (operation.is_view or name in START_NOTHING):
        device.launch(name)
    if kind := rules.repeats(operation, args, kwargs):
        dtypes = [str(t.dtype).removeprefix("torch.") for t in tree_leaves(args) if isinstance(t, Tensor)]
        is_told = kind == "slower" and torch.are_deterministic_algorithms_enabled()
        notes = device.notes.slower if is_told else device.notes.unrepeatable
        notes[place(), " ".join([name, *dtypes[:1]])] += 1
