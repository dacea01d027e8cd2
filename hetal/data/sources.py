"""Arrays by name, read from an .npz file or a folder of .npy files.

What is large is not held in memory: a .npy is mapped, and what comes from an .npz goes to an unnamed file that is, see
`hetal.machine.scratch`. Nothing is ever unpickled.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hetal.errors import BadInput, Unreadable
from hetal.machine import scratch


@dataclass(frozen=True)
class Source:
    """Arrays that can be read.

    Attributes:
        names: of all of them.
        read: returns the array of a name, in memory or mapped.
    """

    names: Sequence[str]
    read: Callable[[str], NDArray[Any]]


@contextmanager
def opened_npz(path: Path) -> Iterator[Source]:
    """Open an .npz file.

    Raises:
        Unreadable: there is not enough memory for what it says that it holds.
        BadInput: there is no such file, it is none, or it is damaged. The message does not name it.
    """
    with _in_one_line("", ".npz"):
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise BadInput("is not an .npz file but a single array")
    with file:
        yield Source(tuple(file.files), lambda name: _member(file, name))


def _member(file: Any, name: str) -> NDArray[Any]:
    """Return an array of an .npz file; one that is too large for memory goes to an unnamed file."""
    with _in_one_line(f"{name} ", ".npz"):
        archive: zipfile.ZipFile = file.zip
        info = archive.getinfo(name if name in archive.namelist() else f"{name}.npy")
        if info.file_size > scratch.MOST_IN_MEMORY:
            with archive.open(info) as stream:
                version = np.lib.format.read_magic(stream)
                header = {
                    (1, 0): np.lib.format.read_array_header_1_0,
                    (2, 0): np.lib.format.read_array_header_2_0,
                }.get(version)
                shape, is_fortran, dtype = header(stream) if header else ((), False, np.dtype(bool))
                if not is_fortran and dtype.str in ("|u1", "<f2", "<f4") and shape and 0 not in shape:
                    return scratch.stacked(_streamed(stream, shape, dtype), shape[0]).numpy()
        array: NDArray[Any] = file[name]
        return array


def _streamed(stream: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Iterator[Tensor]:
    row = int(np.prod(shape[1:]))
    rows = max(scratch.NUMBERS_AT_ONCE // row, 1)
    for start in range(0, shape[0], rows):
        n = min(rows, shape[0] - start)
        content = bytearray(stream.read(n * row * dtype.itemsize))
        yield torch.from_numpy(np.frombuffer(content, dtype, n * row).reshape(n, *shape[1:]))


@contextmanager
def opened_folder(path: Path) -> Iterator[Source]:
    """Open a folder of .npy files, one an array.

    Raises:
        BadInput: there is no such folder, or a file is damaged. The message does not name the folder.
    """
    with _in_one_line("", "a folder"):
        if not path.exists():
            raise BadInput("there is no such folder")
        if not path.is_dir():
            raise BadInput(
                "is a file; it must be a folder with x_train.npy, y_train.npy, x_test.npy and y_test.npy"
            )
        names = tuple(sorted(file.stem for file in path.glob("*.npy")))
    yield Source(names, lambda name: _file(path / f"{name}.npy"))


def _file(path: Path) -> NDArray[Any]:
    """Return the array of a .npy file: mapped, or in memory if it is small."""
    with _in_one_line(f"{path.name} ", ".npy"):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.memmap):
            raise BadInput(f"{path.name} is not a .npy file")
        if array.nbytes <= scratch.MOST_IN_MEMORY:
            return np.array(array)
        if not array.flags.c_contiguous:
            return array
        with open(path, "rb") as file:
            return scratch.mapped(file, array.dtype, array.shape, array.offset)


@contextmanager
def _in_one_line(what: str, form: str) -> Iterator[None]:
    """Report any error inside the `with` block; that of numpy or zipfile depends on which byte of a file is wrong.

    Args:
        what: begins the message, with a blank at its end: an array, or a file of a folder; empty for all of it.
        form: as which it is read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of numbers in a header that overflow
            yield
    except BadInput:
        raise
    except MemoryError:
        raise Unreadable(f"{what}cannot be read: not enough memory for what it says that it holds") from None
    except FileNotFoundError as error:
        raise BadInput("there is no such file") from error
    except Exception as error:
        if any(word in str(error) for word in ("Object arrays", "Python objects")):  # such as text of pandas
            raise BadInput(
                f"{what}holds Python objects, which are never read; save text as array.astype(str)"
            ) from error
        reason = " ".join(str(error).split())[:200]
        raise BadInput(f"{what}cannot be read as {form} ({type(error).__name__}: {reason})") from error
