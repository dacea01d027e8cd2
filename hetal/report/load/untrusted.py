"""Readers of untrusted files: bounded size, no blocking, nothing built or run.

Records come from other people and other machines. Reading a pipe would block for ever, a small archive can unpack to
more than memory holds, and deep enough nesting ends the process that parses it. Each of these is refused by a
`BadInput` that names the file.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import stat
import struct
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml
from pydantic import ValidationError

from hetal.errors import BadInput
from hetal.report.load.printable import plain

Array = npt.NDArray[Any]

MIB = 2**20
# The largest file that is read, in bytes: many times what the longest runs leave.
MOST = {
    "provenance.json": 32 * MIB,  # which holds a diff
    "rounds.jsonl": 64 * MIB,
    "summary.json": MIB,
    "config.yaml": MIB // 4,
    "overrides.yaml": MIB // 4,
    "queries.npz": 256 * MIB,
    "pictures.npz": 64 * MIB,
    "planned": 64 * MIB,
    ".holder.json": MIB // 16,
}
OTHER = MIB
# Levels of lists and mappings within each other.
DEEPEST = 50
# Characters of a number in YAML, where 1:2:3 counts in sixties, in a time that grows with the square of its length.
LONGEST_NUMBER = 400
# Bytes of an .npz file's directory; it holds a handful of arrays.
DIRECTORY = 2**16

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
WITHOUT_WAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)


def read_bytes(path: Path, holds: int | None = None) -> bytes:
    """Return the bytes of a regular file, of at most `MOST` bytes for one of its name.

    Args:
        path: of the file; a link is followed to a regular file only.
        holds: at most so many bytes, in place of `MOST`.

    Raises:
        OSError: it is not there, or may not be read.
        BadInput: it is a folder, pipe, socket or device, or too large.
    """
    most = holds or MOST.get(path.name, OTHER)
    # Checked before opening, since opening some devices has effects; and after, since the path may have been replaced.
    _check_kind(os.stat(path), path)
    descriptor = os.open(path, os.O_RDONLY | WITHOUT_WAITING)
    try:
        status = os.fstat(descriptor)
        _check_kind(status, path)
        parts, left = [], most + 1
        while left > 0 and status.st_size <= most and (part := os.read(descriptor, min(left, MIB))):
            parts.append(part)
            left -= len(part)
    finally:
        os.close(descriptor)
    if status.st_size > most or left <= 0:
        raise BadInput(f"{UNREADABLE}: {path.name} is larger than the {most:,} bytes that are read of it")
    return parts[0] if len(parts) == 1 else b"".join(parts)


def read_json(path: Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        OSError, BadInput: as `read_bytes` does; and where it is no JSON or nested too deeply.
    """
    data = read_bytes(path)
    if data.count(b"[") + data.count(b"{") > DEEPEST and _depth(data) > DEEPEST:
        raise BadInput(f"{path.name} is nested too deeply")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path.name} is no JSON: {describe(error)}") from None


def parse_yaml(text: str, name: str) -> Any:
    """Return what a YAML text holds: plain values, an interpolation as its text.

    Args:
        text: of the file.
        name: of the file, for what is wrong with it.

    Raises:
        BadInput: it is no YAML, or holds what hetal never writes: aliases, tags, deep nesting, endless numbers.
    """
    depth = 0
    try:
        for event in yaml.parse(text, Loader=LOADER):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > DEEPEST:
                raise BadInput(f"{name} is nested too deeply")
            if getattr(event, "anchor", None) is not None:
                raise BadInput(f"{name} holds an anchor or alias, which are not read")
            if getattr(event, "tag", None) is not None:
                raise BadInput(f"{name} holds a tag, which are not read")
            if isinstance(event, yaml.ScalarEvent) and _is_endless(event):
                raise BadInput(f"{name} holds a number of {len(event.value):,} digits")
        return yaml.load(text, Loader=LOADER)
    except (yaml.YAMLError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise BadInput(f"{name} is no YAML: {describe(error)}") from None


def read_arrays(path: Path, names: Iterable[str]) -> dict[str, Array]:
    """Return arrays of numbers or truth values from an .npz file, those of `names` that it has; nothing is unpickled.

    Raises:
        OSError, BadInput: as `read_bytes` does; and where it is damaged, unfolds to more than may be read, or
            holds other things.
    """
    data = read_bytes(path)
    most = MOST.get(path.name, OTHER)
    # The end of a zip archive holds the length of its directory; numpy adds no comment to it.
    end = data[-22:]
    if len(end) < 22 or end[:4] != b"PK\5\6" or data[-42:-38] == b"PK\6\7":
        raise BadInput(f"{path.name} is no .npz file, or is torn")
    if struct.unpack("<L", end[12:16])[0] > DIRECTORY:
        raise BadInput(f"{path.name} holds too many arrays")
    arrays = {}
    # zipfile and numpy raise errors of many classes, depending on which byte is wrong.
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            inside = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            for name in (name for name in names if name in inside):
                most -= inside[name].file_size
                if most < 0:
                    raise BadInput("unfolds to more bytes than are read")
                arrays[name] = _array(archive.read(inside[name]))
    except Exception as error:
        raise BadInput(f"{path.name}, as .npz: {describe(error)}") from None
    return arrays


# How the reason begins where a file may be whole, so that nobody is told to make it again.
UNREADABLE = "cannot be read"


def describe(error: Exception) -> str:
    """Describe an error in one line, without quoting the file: its content is untrusted."""
    if isinstance(error, BadInput):
        return plain(error)
    if isinstance(error, ValidationError):
        wrong = error.errors(include_url=False, include_context=False, include_input=False)[0]
        return plain(" ".join([*map(str, wrong["loc"]), wrong["msg"]]))
    if isinstance(error, yaml.MarkedYAMLError):
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        return plain(f"{error.problem or 'damaged'}{line}")
    if isinstance(error, UnicodeError):
        return "it is not UTF-8"
    if isinstance(error, OSError):
        return plain(f"{UNREADABLE}: {error.strerror or error} ({type(error).__name__})")
    if isinstance(error, MemoryError):
        return f"{UNREADABLE}: not enough memory"
    return plain(f"{type(error).__name__}: {' '.join(str(error).split())}")


def _check_kind(status: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
        raise BadInput(f"{UNREADABLE}: {path.name} is {kind}")


def _is_endless(event: yaml.ScalarEvent) -> bool:
    return len(event.value) > LONGEST_NUMBER and event.implicit[0] and event.value[0] in "+-.0123456789"


def _depth(data: bytes) -> int:
    """Return how deeply JSON is nested, in one pass."""
    depth = deepest = 0
    in_text = False
    skip = -1
    for match in re.finditer(rb'["\\\[\]{}]', data):
        mark, at = match[0], match.start()
        if at == skip:
            continue
        if mark == b'"':
            in_text = not in_text
        elif in_text:
            if mark == b"\\":
                skip = at + 1
        elif mark in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth -= 1
    return deepest


def _array(data: bytes) -> Array:
    """Return one .npy file's array; its shape is trusted only where it fits the number of bytes."""
    file = io.BytesIO(data)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    shape, by_column, kind = read[np.lib.format.read_magic(file)](file)
    if kind.kind not in "biuf" or any(n < 0 for n in shape):
        raise BadInput("holds no numbers")
    if math.prod(shape) * kind.itemsize != len(data) - file.tell():
        raise BadInput("an array's size is not what it says")
    flat: Array = np.frombuffer(data, kind, offset=file.tell())
    return flat.reshape(shape, order="F" if by_column else "C")
