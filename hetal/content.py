"""Whether tensors and objects have changed: checksums of what they hold."""

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
from torch import Tensor, nn

# Types of variables that hold data; the variables of modules and classes that are of others are taken for tools.
DATA = (
    bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, deque, Tensor, np.ndarray, np.generic,
    torch.Generator, np.random.Generator, np.random.RandomState, random.Random, itertools.count,
)  # fmt: skip

# Rows of this many 64-bit words are summed, each word with a weight of its own, and so are the sums: a swap is seen.
WORDS = 4096
AT_ONCE = 64  # rows that are weighed in one go, in as much memory as caches hold


@dataclass(frozen=True)
class Content:
    """Checksums of tensors by name; 64 bits each, read at the speed of memory."""

    sums: Mapping[str, int]

    @staticmethod
    def of(tensors: Mapping[str, Tensor]) -> Content:
        """Take the checksums of `tensors`, with one wait for each device they are on."""
        return Content(_checksums(tensors))

    def changed(self, tensors: Mapping[str, Tensor]) -> list[str]:
        """Return the names of the tensors whose content is no longer what it was."""
        now = _checksums(tensors)
        return [name for name, value in self.sums.items() if now[name] != value]


def versions(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """Return how often torch has counted each tensor as written to; what is made in inference mode is not counted."""
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
    """Return a 64-bit checksum of a tensor's bytes: a scalar int64 on its device. Not safe against intent."""
    data = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
    whole = len(data) // (8 * WORDS) * 8 * WORDS
    rest = data[whole:].long()
    total = (rest * torch.arange(1, len(rest) + 1, device=data.device)).sum()
    if whole:
        words = data[:whole]
        if words.storage_offset() % 8:  # which cannot be read as words where it lies
            words = words.clone()
        weights = 2 * torch.arange(WORDS, device=data.device) + 1
        rows = torch.cat([
            (part * weights).sum(1) for part in words.view(torch.int64).reshape(-1, WORDS).split(AT_ONCE)
        ])  # fmt: skip
        total = total + (rows * (2 * torch.arange(len(rows), device=data.device) + 1)).sum()
    return total


def memory_of(instance: object) -> dict[str, str]:
    """Return a digest of everything an object could remember by, by names that its author knows.

    That is its attributes; and the plain variables of its class and of the modules that define it and the functions it
    holds, those of installed packages and of hetal's own left out.
    """
    own = dict(getattr(instance, "__dict__", {}))
    kinds = [kind for kind in type(instance).__mro__ if not _is_installed(kind.__module__)]
    for kind in kinds:
        slots = kind.__dict__.get("__slots__", ())
        own |= {key: getattr(instance, key, None) for key in ([slots] if isinstance(slots, str) else slots)}
    found = {f"self.{key}": digest(value) for key, value in own.items()}
    for kind in kinds:
        found |= _variables(kind.__name__, vars(kind))
    functions = (value.func if isinstance(value, functools.partial) else value for value in own.values())
    modules = {getattr(of, "__module__", None) for of in [*kinds, *filter(callable, functions)]}
    for name in sorted(name for name in modules if isinstance(name, str) and not _is_installed(name)):
        if (module := sys.modules.get(name)) is not None:
            found |= _variables(name, vars(module))
    return found


@functools.cache
def _is_installed(module: str) -> bool:
    """Tell whether a module is hetal's, Python's or of an installed package: what none of a user's runs writes to."""
    top = module.partition(".")[0]
    if top in ("hetal", "builtins") or (top in sys.stdlib_module_names and top != "__main__"):
        return True
    file = getattr(sys.modules.get(top), "__file__", None) or ""
    return "site-packages" in file or "dist-packages" in file


def _variables(of: str, items: Mapping[str, Any]) -> dict[str, str]:
    """Return a digest of each variable of a class or module that holds data, and not tools such as a logger."""
    return {
        f"{of}.{key}": digest(value)
        for key, value in items.items()
        if not key.startswith("__") and isinstance(value, DATA)
    }


def digest(value: object) -> str:
    """Return a digest of what `value` holds, all that it refers to included."""
    hasher = hashlib.sha256()
    _feed(hasher, value, {})
    return hasher.hexdigest()


def _feed(hasher: Any, value: Any, seen: dict[int, tuple[int, Any]]) -> None:
    """Feed `value` to a hash; what was fed already counts by its place. `seen` keeps alive what it tells by its id."""

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
    elif isinstance(value, np.ndarray) and not value.dtype.hasobject:
        feed(value.dtype, value.shape)
        hasher.update(np.ascontiguousarray(value).data)
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
    """Return what an object refers to, or a text that tells its states apart."""
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
        return [value.__module__, value.__qualname__, *cells, vars(value)]
    if isinstance(value, types.GeneratorType):
        frame = value.gi_frame
        return [] if frame is None else [frame.f_lasti, dict(frame.f_locals)]
    if isinstance(value, nn.Module):
        return [dict(value.state_dict()), value.training]
    fields = getattr(value, "__dict__", None)
    # An object that says how it is stored, as random.Random does, may hold more than its fields.
    if fields is not None and not any("__reduce__" in vars(kind) for kind in type(value).__mro__[:-1]):
        return [fields]
    try:
        return [fields, pickle.dumps(value)]
    except Exception:  # whatever a class raises that is not made to be stored
        return [fields, repr(value)]
