"""What Python calls with a device in it, caught before C++ looks for one."""

from __future__ import annotations

from types import FunctionType
from typing import Any

import torch
from torch import Tensor
from torch._functorch.pyfunctorch import retrieve_current_functorch_interpreter
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from tests.pretend_cuda.device import CUDA, active, poison
from tests.pretend_cuda.graph import tensors_in
from tests.pretend_cuda.notes import place
from tests.pretend_cuda.operations import ALLOCATES, RANDOM
from tests.pretend_cuda.tensor import OnCuda, set_data, transfer

GETS_DEVICE = Tensor.device.__get__
SETS_DATA = Tensor.data.__set__
TAKES_HOST = {"tensor", "as_tensor", "asarray"}

# Made of other operations in C++, which makes numbers for them on the device that it thinks a tensor is on.
COMPOSITE = {"quantile", "nanquantile", "one_hot"}


def on_cuda(device: Any) -> bool:
    """Return whether an argument names a CUDA device."""
    return not isinstance(device, bool) and device is not None and str(device).startswith("cuda")


class Bindings(TorchFunctionMode):
    """Takes the calls that create tensors on the device, move them, or look at where they are."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = dict(kwargs or {}), getattr(func, "__name__", "")
        first = args[0] if args else None
        if func == GETS_DEVICE and not isinstance(first, OnCuda):
            return CUDA if _inside_is_on_cuda(first) else func(*args)
        if func == SETS_DATA and isinstance(first, OnCuda):
            return set_data(first, args[1])
        if isinstance(first, Tensor):
            if name == "dropout" and _inside_is_on_cuda(first):
                return dropout(func, *args, **kwargs)
            if name in ("to", "cuda", "cpu"):
                return move(func, name, first, args[1:], kwargs)
            if name == "pin_memory":
                return active().pin(first.clone())
            if name == "is_pinned":
                return active().is_pinned(first)
        if isinstance(first, OnCuda):
            if name == "tolist":
                return to_host(first, False).tolist()
            if name in ("numpy", "__array__"):
                why = "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first"
                active().notes.mixed.append((place(), name, why))
                raise TypeError(why)
            if name in ("data_ptr", "untyped_storage"):
                return func(first.content)
            if name == "record_stream":
                return None
            if name in COMPOSITE:
                return as_one(func, name, args, kwargs)
        if on_cuda(kwargs.get("device")):
            return create(func, name, args, kwargs)
        if kwargs.pop("pin_memory", False):
            return active().pin(func(*args, **kwargs))
        if (
            isinstance(first, OnCuda) and kwargs.get("device") is not None
        ):  # like a tensor on the device, on the host
            return to_host(first, False) if name in TAKES_HOST else func(first.content, *args[1:], **kwargs)
        if isinstance(func, FunctionType):
            with Creations(is_mapped=not isinstance(first, OnCuda) and _inside_is_on_cuda(first)):
                return func(*args, **kwargs)
        return func(*args, **kwargs)


class Creations(TorchDispatchMode):
    """Takes what functions of torch that are written in Python create on the device: inside them `Bindings` rests.

    Args:
        is_mapped: whether the function is called under torch.func.vmap with a tensor of the device, whose rules, in
            C++, create what they need where C++ thinks that the tensor is: on the CPU.
    """

    def __init__(self, is_mapped: bool) -> None:
        super().__init__()
        self._is_mapped = is_mapped

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # which would import the compiler

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        is_rule = self._is_mapped and "device" in kwargs and not tensors_in((args, kwargs))
        if is_rule or on_cuda(kwargs.get("device")):
            return create(func, func.__name__.split(".")[0], args, kwargs)
        return func(*args, **kwargs)


def create(func: Any, name: str, args: Any, kwargs: dict[str, Any]) -> Any:
    """Create a tensor on the device."""
    device, kwargs = active(), {**kwargs, "device": torch.device("cpu")}
    kwargs.pop("pin_memory", None)
    if kwargs.get("generator") is not None:
        device.refuse(func, "Expected a 'cuda' device type for generator but found 'cpu'")
    if name in TAKES_HOST:
        wanted = kwargs.pop("requires_grad", False)
        made = func(*args, **kwargs)
        return (made if isinstance(made, OnCuda) else to_device(made, False)).requires_grad_(wanted)
    draws, allocates = name in RANDOM, name in ALLOCATES
    with device.drawing(draws):
        made = func(*args, **kwargs)
    if isinstance(made, OnCuda):  # like a tensor of the device, which was dispatched
        return made
    held = made.detach()
    if not allocates:
        device.launch(name)
    if device.recording is not None:
        device.recording.add(func, args, kwargs, held, draws, False, allocates)
    return OnCuda(held, made.requires_grad)


def to_device(tensor: Tensor, non_blocking: bool) -> Tensor:
    """Copy a tensor of the host to the device."""
    held = torch.empty_like(tensor.detach())
    if active().recording is not None:
        active().recording.add(None, (), {}, held, False, False, True)
    return transfer(OnCuda(held), tensor.detach(), non_blocking).requires_grad_(tensor.requires_grad)


def to_host(tensor: OnCuda, non_blocking: bool) -> Tensor:
    """Copy a tensor of the device to the host, into pinned memory if it is not waited for."""
    target = torch.empty_like(tensor.content)
    if non_blocking:
        active().pin(target)
    poison(target)
    return transfer(target, tensor.detach(), non_blocking)


def move(func: Any, name: str, tensor: Tensor, rest: Any, kwargs: dict[str, Any]) -> Tensor:
    """Return what Tensor.to, .cuda and .cpu return."""
    if name != "to":
        non_blocking = kwargs.get("non_blocking", any(x is True for x in rest))
        where, dtypes, change = ("cuda" if name == "cuda" else "cpu"), [], {}
    else:
        like = next((x for x in (*rest, kwargs.pop("other", None)) if isinstance(x, Tensor)), None)
        where = kwargs.pop("device", like.device if like is not None else None)
        dtypes = [like.dtype] if like is not None else [x for x in rest if isinstance(x, torch.dtype)]
        where = next((x for x in rest if isinstance(x, (str, torch.device))), where)
        flags = [x for x in rest if isinstance(x, bool)]
        non_blocking = kwargs.pop("non_blocking", bool(flags and flags[0]))
        if flags[1:]:
            kwargs["copy"] = flags[1]
        change = {key: value for key, value in kwargs.items() if value is not None}
    if where is not None and on_cuda(where) != _inside_is_on_cuda(tensor):
        # Another type is made where the tensor comes from, as torch does going down, and on the device going up.
        if on_cuda(where):
            tensor = to_device(tensor, non_blocking)
        else:
            if dtypes or "dtype" in change:
                tensor = func(tensor, *dtypes, **{k: v for k, v in change.items() if k == "dtype"})
            tensor = to_host(tensor, non_blocking)
        change.pop("copy", None)
    return func(tensor, *dtypes, **change) if dtypes or change else tensor


def as_one(func: Any, name: str, args: Any, kwargs: dict[str, Any]) -> Tensor:
    """Run a composite operation, without derivative, on what its arguments hold, as if it were one kernel."""
    device = active()
    device.wait(name, int(name == "one_hot" and kwargs.get("num_classes", args[1] if args[1:] else -1) < 0))
    args, kwargs = tree_map_only(OnCuda, lambda tensor: tensor.content, (args, kwargs))
    if device.recording is not None:
        device.recording.look((args, kwargs))
    result = func(*args, **kwargs)
    device.launch(name)
    if device.recording is not None:
        device.recording.add(func, args, kwargs, result, False, False, False)
    return OnCuda(result)


def dropout(func: Any, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Return what nn.functional.dropout returns, by the one kernel that CUDA has; under vmap, by CUDA's rule."""
    if inplace or not training or not 0 < p < 1:
        return func(x, p, training, inplace)
    if isinstance(x, OnCuda):
        return torch.native_dropout(x, p, True)[0]
    interpreter = retrieve_current_functorch_interpreter()
    differs = interpreter.randomness() == "different"
    with interpreter.lower():  # C++ would make the mask on the CPU, where it thinks that x is
        shape = [interpreter.batch_size(), *x.shape] if differs else x.shape
        mask = OnCuda(torch.empty(shape)).bernoulli_(1 - p)
    if differs:
        mask = torch._C._functorch._add_batch_dim(mask, 0, interpreter.level())
    return x.mul(mask).mul_(1 / (1 - p))


def _inside_is_on_cuda(tensor: Any) -> bool:
    """Return whether a tensor wrapped by torch.func holds one of the device."""
    functorch = torch._C._functorch
    while isinstance(tensor, Tensor) and functorch.is_functorch_wrapped_tensor(tensor):
        tensor = functorch.get_unwrapped(tensor)
    return isinstance(tensor, OnCuda)
