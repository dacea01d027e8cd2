"""Tensors larger than memory should hold: rows collected in an unnamed file, and files mapped into memory.

What is mapped looks like any tensor. The system reads its pages from disk as they are used, and drops them where memory
is short, so it may be larger than memory. Pages that are written to become private to the process; the file stays as it
is.
"""

from __future__ import annotations

import mmap
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from hetal.errors import BadInput

# On a CPU, more bytes than this are collected in a file.
MOST_IN_MEMORY = 2**28

# Numbers that are copied or looked at together.
NUMBERS_AT_ONCE = 2**22


def mapped(file: IO[bytes], dtype: DTypeLike, shape: tuple[int, ...], offset: int = 0) -> NDArray[Any]:
    """Return the content of an open file as an array, mapped; the file may then be closed.

    Args:
        file: longer than the array.
        dtype: of the array, which is stored row by row.
        shape: of the array, with at least one number.
        offset: bytes before it.
    """
    if os.name == "posix":
        # Without a reservation, as the system would refuse to map more than there is memory.
        no_reserve = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)
        content = mmap.mmap(
            file.fileno(), 0, flags=mmap.MAP_PRIVATE | no_reserve, prot=mmap.PROT_READ | mmap.PROT_WRITE
        )
    else:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    return np.frombuffer(content, dtype, int(np.prod(shape)), offset).reshape(shape)


def folder() -> Path:
    """Return the folder of unnamed files: $TMPDIR if set, else /var/tmp, which is on disk where /tmp may not be."""
    var_tmp = Path("/var/tmp")
    if not os.environ.get("TMPDIR") and os.access(var_tmp, os.W_OK):
        return var_tmp
    return Path(tempfile.gettempdir())


class Stack:
    """A tensor that is filled from its first row on: in memory, or mapped from an unnamed file where it is large.

    Args:
        n: rows of the tensor, at least one.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._n_filled = 0
        self._tensor: Tensor | None = None
        self._file: IO[bytes] | None = None

    def append(self, rows: Tensor) -> None:
        """Add (k, ...) rows; those added first determine dtype, device and shape.

        Raises:
            BadInput: the disk is full.
        """
        if self._n_filled == 0:
            self._begin(rows)
        if self._file is not None:
            with _one_line():
                self._file.write(rows.contiguous().numpy().data)
        else:
            assert self._tensor is not None
            self._tensor[self._n_filled : self._n_filled + len(rows)] = rows
        self._n_filled += len(rows)

    def tensor(self) -> Tensor:
        """Return the tensor, once all rows are there.

        Raises:
            BadInput: the disk is full.
        """
        assert self._n_filled == self._n
        if self._file is not None:
            with _one_line():
                self._file.flush()
            self._tensor = torch.from_numpy(mapped(self._file, self._dtype, self._shape))
            self._file.close()
        assert self._tensor is not None
        return self._tensor

    def _begin(self, rows: Tensor) -> None:
        self._shape = (self._n, *rows.shape[1:])
        size = self._n * rows[0].numel() * rows.element_size()
        if rows.device.type == "cpu" and size > MOST_IN_MEMORY:
            with suppress(OSError):
                if shutil.disk_usage(folder()).free > size:
                    self._dtype = rows.numpy().dtype
                    self._file = tempfile.TemporaryFile(dir=folder(), prefix="hetal-")  # noqa: SIM115
        if self._file is None:
            self._tensor = torch.empty(self._shape, dtype=rows.dtype, device=rows.device)


@contextmanager
def _one_line() -> Iterator[None]:
    """Report a full disk."""
    try:
        yield
    except OSError as error:
        raise BadInput(
            f"cannot write to {folder()}: {error.strerror or error}; TMPDIR names another folder for what memory is "
            "not to hold"
        ) from error


def stacked(parts: Iterable[Tensor], n: int) -> Tensor:
    """Return `n` rows, which come in parts, as one tensor; see `Stack`."""
    stack = Stack(n)
    for part in parts:
        stack.append(part)
    return stack.tensor()


def gathered(rows: Tensor, ids: Tensor) -> Tensor:
    """Return `rows.index_select(0, ids)`, mapped from an unnamed file where it is large."""
    if rows.device.type != "cpu" or len(ids) == 0:
        return rows.index_select(0, ids)
    return stacked((rows.index_select(0, part) for part in ids.split(at_once(rows))), len(ids))


def at_once(rows: Tensor) -> int:
    """Return how many rows to copy or look at together."""
    return max(NUMBERS_AT_ONCE // max(rows[0].numel(), 1), 1)
