"""A task from the user's own arrays, called x_train, y_train, x_test and y_test, in one .npz file or a folder of .npy.

Images are (n, C, H, W), or (n, H, W) with one channel, or (n, H, W, C) where `layout` says so; vectors are (n, D). They
are uint8, or floats of any width; these become float32, but for vectors of float16, which stay as they are. Labels are
of any type that `hetal.data.labels` maps to classes. Other arrays may be there, such as labels by other people.

What is large is not held in memory: a .npy is mapped, and what comes from an .npz goes to an unnamed file that is, see
`hetal.machine.scratch`. Nothing is ever unpickled.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hetal.data.labels import encode_labels
from hetal.data.standardise import CHOICES, statistics
from hetal.errors import BadInput, Unreadable
from hetal.machine import scratch
from hetal.task import Examples, Task, is_finite, per_channel, stratified

# Images have at most this many channels; a last axis up to this size, after two larger axes, is the channels.
MAX_CHANNELS = 4

KEYS = ("x_train", "y_train", "x_test", "y_test")

LAYOUTS = ("NCHW", "NHWC")


@dataclass(frozen=True)
class Source:
    """Arrays that can be read.

    Attributes:
        names: of all of them.
        read: returns the array of a name, in memory or mapped.
    """

    names: Sequence[str]
    read: Callable[[str], NDArray[Any]]


def load_arrays(
    path: str | None,
    opened: Callable[[Path], AbstractContextManager[Source]],
    expected: str,
    *,
    labels: str | None,
    n_train: int | None,
    standardise: str,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    rng: torch.Generator,
    layout: str = "NCHW",
    vectors_only: bool = False,
) -> Task:
    """Load a task from arrays, as the module describes them.

    Args:
        path: of the file or folder; `~` is the home folder.
        opened: opens it.
        expected: what `path` must be, for messages.
        labels: the array whose labels queries buy, or its name without "_train"; None is `y_train`. Classes are those
            of `y_train`.
        n_train: size of the class-stratified training subset; None takes all.
        standardise: see `hetal.data.standardise`; computed over all training images, before `n_train`.
        mean, std: per channel, or per feature of vectors, in the units of the images, instead of what `standardise`
            gives; None for that.
        rng: draws the subset.
        layout: of images with four axes, "NCHW" or "NHWC", channels last.
        vectors_only: whether images are refused.

    Raises:
        BadInput: names the setting, or `data.path` and what is wrong with the file.
    """
    if path is None:
        raise BadInput(f"data.path is not set: data.path={expected} {', '.join(KEYS)}")
    for name, value, allowed in (("layout", layout, LAYOUTS), ("standardise", standardise, CHOICES)):
        if value not in allowed:
            raise BadInput(
                f"data.{name}={value}: must be {', '.join(map(str, allowed[:-1]))} or {allowed[-1]}"
            )
    try:
        with opened(Path(os.path.expanduser(str(path)))) as source:
            if absent := [key for key in KEYS if key not in source.names]:
                raise BadInput(
                    f"has no array {', '.join(absent)}; it must hold {', '.join(KEYS)}, and holds "
                    + _listed(source.names)
                )
            train, test = (_images(key, source.read(key), layout, vectors_only) for key in KEYS[::2])
            if train.shape[1:] != test.shape[1:] or train.dtype != test.dtype:
                raise BadInput(f"x_train holds {_kind(train)} and x_test {_kind(test)}; both must be alike")
            y_train, y_test = source.read("y_train"), source.read("y_test")
            encoded = encode_labels(y_train, y_test, "y_train", "y_test")
            for key, y, x in (("y_train", y_train, train), ("y_test", y_test, test)):
                if len(y) != len(x):
                    raise BadInput(f"{key} has {len(y)} labels for {len(x)} images")
            bought, notes = encoded.train, [encoded.note] * bool(encoded.note)
            if labels is not None:
                bought = _other_labels(source, str(labels), y_train)
                share = float((bought != encoded.train).double().mean())
                notes.append(f"data.labels={labels}: {share:.1%} of the labels differ from y_train")
    except BadInput as fault:
        raise BadInput(f"data.path={path}: {fault}") from fault.__cause__
    computed_mean, computed_std = statistics(train, standardise) if mean is None or std is None else ((), ())
    examples = Examples(train, bought)
    if n_train is not None:
        ids = stratified(bought, n_train, rng)
        examples = Examples(scratch.gathered(train, ids), bought[ids])
    return Task(
        train=examples,
        test=Examples(test, encoded.test),
        n_classes=len(encoded.names),
        mean=computed_mean if mean is None else per_channel("data.mean", mean),
        std=computed_std if std is None else per_channel("data.std", std),
        class_names=encoded.names if encoded.note else (),
        notes=tuple(notes),
    )


def _images(key: str, array: NDArray[Any], layout: str, vectors_only: bool) -> Tensor:
    """Return (n, C, H, W) uint8 or float32, or (n, D) uint8, float16 or float32."""
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise BadInput(f"{key} is {array.dtype}; it must be uint8 or a float type")
    if vectors_only and (array.ndim != 2 or 0 in array.shape):
        raise BadInput(
            f"{key} has shape {array.shape}; features are vectors, (n, D), none of them 0; data=npz and data=npy read "
            "images"
        )
    if array.ndim not in (2, 3, 4) or 0 in array.shape:
        raise BadInput(
            f"{key} has shape {array.shape}; it must be (n, C, H, W), (n, H, W) or (n, D), none of them 0"
        )
    if array.ndim == 4 and layout == "NHWC":
        array = array.transpose(0, 3, 1, 2)
    # Channels last: read as channels first, these would be narrow images with many channels.
    elif array.ndim == 4 and min(array.shape[1:3]) > MAX_CHANNELS >= array.shape[3]:
        raise BadInput(
            f"{key} has shape {array.shape}, channels last; it must be (n, C, H, W), or data.layout=NHWC. Images of "
            f"{array.shape[1]} channels that are {array.shape[3]} wide: swap H and W"
        )
    is_half = array.ndim == 2 and array.dtype.itemsize == 2
    dtype = np.dtype(np.uint8 if array.dtype == np.uint8 else np.float16 if is_half else np.float32)
    if array.dtype == dtype and array.flags.c_contiguous and array.flags.writeable:
        images = torch.from_numpy(array)
    else:
        images = scratch.stacked(_converted(array, dtype), len(array))
    if not is_finite(images):
        raise BadInput(f"{key} holds NaN, infinity or what is infinite in float32")
    return images.unsqueeze(1) if images.dim() == 3 else images


def _converted(array: NDArray[Any], dtype: np.dtype[Any]) -> Iterator[Tensor]:
    rows = max(scratch.NUMBERS_AT_ONCE // array[0].size, 1)
    for start in range(0, len(array), rows):
        with np.errstate(over="ignore"):
            part = np.array(array[start : start + rows], dtype, order="C")
        yield torch.from_numpy(part)


def _other_labels(source: Source, name: str, y_train: NDArray[Any]) -> Tensor:
    """Return the labels of another column, (n,) int64 in the classes of `y_train`."""
    key = next((key for key in (name, f"{name}_train") if key in source.names), None)
    if key is None:
        raise BadInput(
            f"has no array {name} or {name}_train, for data.labels={name}; it holds {_listed(source.names)}"
        )
    column = source.read(key)
    if column.ndim == 1 and len(column) != len(y_train):
        raise BadInput(f"{key} has {len(column)} labels for {len(y_train)} images, for data.labels={name}")
    return encode_labels(y_train, column, "y_train", key).test


@contextmanager
def opened_npz(path: Path) -> Iterator[Source]:
    """Open an .npz file.

    Raises:
        Unreadable: there is not enough memory for what it says that it holds.
        BadInput: there is no such file, it is none, or it is damaged. The message does not name it.
    """
    with _in_one_line("as .npz"):
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise BadInput("is not an .npz file but a single array")
    with file:
        yield Source(tuple(file.files), lambda name: _member(file, name))


def _member(file: Any, name: str) -> NDArray[Any]:
    """Return an array of an .npz file; one that is too large for memory goes to an unnamed file."""
    with _in_one_line("as .npz"):
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
    with _in_one_line():
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
    with _in_one_line(f"{path.name} as .npy", f"{path.name}: "):
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
def _in_one_line(what: str = "", where: str = "") -> Iterator[None]:
    """Report any error inside the `with` block; that of numpy or zipfile depends on which byte of a file is wrong."""
    try:
        yield
    except BadInput:
        raise
    except MemoryError:
        raise Unreadable(f"{where}not enough memory for what it says that it holds") from None
    except FileNotFoundError as error:
        raise BadInput("there is no such file") from error
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise BadInput(f"cannot be read{what and ' '}{what} ({type(error).__name__}: {reason})") from error


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "") or "none"


def _kind(images: Tensor) -> str:
    return f"{str(images.dtype).removeprefix('torch.')} {tuple(images.shape[1:])}"
