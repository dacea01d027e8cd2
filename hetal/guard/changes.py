"""Detection of changes: checksums of tensors, and digests of the state of objects."""

from __future__ import annotations

import functools
import hashlib
import itertools
import logging
import pickle
import random
import sys
import types
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Types of variables that hold data. Variables of modules and classes of other types are not checked.
DATA = (
    bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, deque, Tensor, np.ndarray, np.generic,
    torch.Generator, np.random.Generator, np.random.RandomState, random.Random, itertools.count, types.SimpleNamespace,
)  # fmt: skip

# A checksum is a weighted sum over rows of this many 64-bit words and over the rows, so that swaps change it.
WORDS = 4096
AT_ONCE = 64  # rows per step, so that they fit into caches


@dataclass(frozen=True)
class Checksums:
    """64-bit checksums of tensors by name, computed at memory speed."""

    sums: Mapping[str, int]

    @staticmethod
    def of(tensors: Mapping[str, Tensor]) -> Checksums:
        """Return the checksums of `tensors`, with one synchronisation per device."""
        return Checksums(_checksums(tensors))

    def changed(self, tensors: Mapping[str, Tensor]) -> list[str]:
        """Return the names of the tensors whose content has changed."""
        now = _checksums(tensors)
        return [name for name, value in self.sums.items() if now[name] != value]


def versions(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """Return torch's count of in-place writes to each tensor; -1 for inference tensors, which have none."""
    return {name: -1 if tensor.is_inference() else tensor._version for name, tensor in tensors.items()}


def _checksums(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    by_device: dict[torch.device, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        by_device.setdefault(tensor.device, {})[name] = checksum(tensor)
    values: dict[str, int] = {}
    for sums in by_device.values():
        values |= dict(zip(sums, torch.stack([*sums.values()]).tolist(), strict=True))
    return values


def checksum(tensor: Tensor) -> Tensor:
    """Return a 64-bit checksum of a tensor's bytes, a scalar int64 on its device; not cryptographic."""
    data = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
    n_whole = len(data) // (8 * WORDS) * 8 * WORDS
    rest = data[n_whole:].long()
    total = (rest * torch.arange(1, len(rest) + 1, device=data.device)).sum()
    if n_whole:
        words = data[:n_whole]
        if words.storage_offset() % 8:  # not aligned for a view as 64-bit words
            words = words.clone()
        weights = 2 * torch.arange(WORDS, device=data.device) + 1
        rows = torch.cat([
            (part * weights).sum(1) for part in words.view(torch.int64).reshape(-1, WORDS).split(AT_ONCE)
        ])  # fmt: skip
        total = total + (rows * (2 * torch.arange(len(rows), device=data.device) + 1)).sum()
    return total


def state_digests(instance: object) -> dict[str, str]:
    """Return digests of everything in which an object could keep state, by names for messages.

    That is its attributes, except cached properties, which follow from the others; and the variables of its class, of
    the modules that define it and the functions it holds, and of the modules that these import, including default
    arguments and closures of functions. Installed packages and hetal's own modules are left out.
    """
    classes = [cls for cls in type(instance).__mro__ if not _is_installed(cls.__module__)]
    attributes = attributes_of(instance)
    digests = {f"self.{key}": digest(value) for key, value in attributes.items()}
    for cls in classes:
        digests |= _variables(cls.__name__, vars(cls), cls.__module__)
    functions = (
        value.func if isinstance(value, functools.partial) else value for value in attributes.values()
    )
    names = [getattr(owner, "__module__", None) for owner in [*classes, *filter(callable, functions)]]
    for name, module in _modules([name for name in names if isinstance(name, str)]).items():
        digests |= _variables(name, vars(module), name)
    return digests


def attributes_of(instance: object) -> dict[str, Any]:
    """Return the attributes of an object, including slots; cached properties are left out."""
    attributes = dict(getattr(instance, "__dict__", {}))
    for cls in type(instance).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        attributes |= {
            key: getattr(instance, key, None) for key in ([slots] if isinstance(slots, str) else slots)
        }
        for key, value in vars(cls).items():
            if isinstance(value, functools.cached_property):
                attributes.pop(key, None)
    return attributes


def _modules(names: list[str]) -> dict[str, types.ModuleType]:
    """Return the modules of these names and all modules that they import, by name; installed ones are left out."""
    modules: dict[str, types.ModuleType] = {}
    while names:
        name = names.pop()
        module = sys.modules.get(name)
        if name in modules or module is None or _is_installed(name):
            continue
        modules[name] = module
        imported = (getattr(value, "__module__", None) for value in vars(module).values())
        names += [value.__name__ for value in vars(module).values() if isinstance(value, types.ModuleType)]
        names += [module_name for module_name in imported if isinstance(module_name, str)]
    return modules


@functools.cache
def _is_installed(module: str) -> bool:
    """Return whether a module is hetal's, the standard library's or an installed package's."""
    top = module.partition(".")[0]
    if top in ("hetal", "builtins") or (top in sys.stdlib_module_names and top != "__main__"):
        return True
    file = getattr(sys.modules.get(top), "__file__", None) or ""
    return "site-packages" in file or "dist-packages" in file


def _variables(owner: str, items: Mapping[str, Any], module: str) -> dict[str, str]:
    """Return a digest of each variable of a class or module that holds data; loggers and the like are left out."""
    return {
        f"{owner}.{key}": digest(value)
        for key, value in items.items()
        if not key.startswith("__") and _holds_data(value, module)
    }


def _holds_data(value: Any, module: str) -> bool:
    if isinstance(value, types.FunctionType):  # holds data in default arguments, closure or attributes
        return value.__module__ == module
    kind = type(value)
    return isinstance(value, DATA) or not (isinstance(value, type) or _is_installed(kind.__module__))


def digest(value: object) -> str:
    """Return a digest of `value` and all that it refers to."""
    hasher = hashlib.sha256()
    _feed(hasher, value, {})
    return hasher.hexdigest()


def _feed(hasher: Any, value: Any, seen: dict[int, tuple[int, Any]]) -> None:
    """Feed `value` to a hash. Repeated objects are fed by index; `seen` holds references, so that ids stay unique."""

    def feed(*parts: object) -> None:
        for part in parts:
            hasher.update(f"{part!r}\0".encode(errors="backslashreplace"))

    feed(type(value).__qualname__)
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        feed(value)
        return
    if id(value) in seen:
        feed(seen[id(value)][0])
        return
    seen[id(value)] = (len(seen), value)
    if isinstance(value, Tensor):
        feed(value.dtype, tuple(value.shape))
        if value.layout is torch.strided and not value.is_meta:
            hasher.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        else:
            feed(repr(value))
        if value.is_leaf and value.grad is not None:
            _feed(hasher, value.grad, seen)
    elif isinstance(value, np.ndarray) and not value.dtype.hasobject:
        feed(value.dtype, value.shape)
        if value.nbytes:
            # As bytes, since numpy gives no buffer of dates.
            hasher.update(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
    elif isinstance(value, torch.Generator):
        hasher.update(value.get_state().numpy().data)
    elif isinstance(value, (set, frozenset)):
        feed(sorted(digest(inner) for inner in value))
    elif isinstance(value, (type, types.ModuleType, types.BuiltinFunctionType, logging.Logger)):
        feed(getattr(value, "__module__", ""), getattr(value, "__qualname__", ""), getattr(value, "name", ""))
    else:
        for inner in _inside(value):
            _feed(hasher, inner, seen)


def _inside(value: Any) -> list[Any]:
    """Return what an object refers to, or a text that distinguishes its states."""
    if isinstance(value, (list, tuple)):
        return [*value]
    if isinstance(value, Mapping):
        return [part for item in value.items() for part in item]
    if isinstance(value, functools.partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, types.MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, types.FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or () if cell != types.CellType()]
        return [
            value.__module__,
            value.__qualname__,
            value.__defaults__,
            value.__kwdefaults__,
            *cells,
            vars(value),
        ]
    if isinstance(value, types.GeneratorType):
        frame = value.gi_frame
        return [] if frame is None else [frame.f_lasti, dict(frame.f_locals)]
    fields = getattr(value, "__dict__", None)
    # An object with its own `__reduce__`, such as random.Random, may hold more than its fields.
    if fields is not None and not any("__reduce__" in vars(kind) for kind in type(value).__mro__[:-1]):
        return [fields]
    try:
        return [fields, pickle.dumps(value)]
    except Exception:  # whatever a class raises that cannot be pickled
        return [fields, repr(value)]
