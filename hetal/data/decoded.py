"""Many encoded images decoded once, kept on disk as one checked array for the runs to come.

The arrays are `data.root`/decoded/KEY.npz. They can be deleted at any time; one that is damaged is made again; where
none can be written, every run decodes.
"""

from __future__ import annotations

import hashlib
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import PIL
import torch
from numpy.typing import NDArray
from PIL import features

from hetal.data.images import Form, decode
from hetal.errors import BadInput
from hetal.machine.files import read_npz, write_atomically
from hetal.machine.locks import wait_for_lock
from hetal.record.seal import short_hash

# Version of this way to decode: of images.py, this file, and the layout of what is kept.
VERSION = "1"

# More images than this take long enough to say so.
MANY = 5_000

# Most images that are named in a message.
MOST_NAMED = 20

KEYS = ("images", "kept", "faults", "digest")


OnFault = Literal["refuse", "skip"]


@dataclass(frozen=True)
class Decoded:
    """Images of one form.

    Attributes:
        images: (m, C, H, W) uint8, in the order of their sources.
        kept: (m,) int64 number of the source of each; ascending.
        faults: what is wrong with each of the other sources, in order.
        note: why nothing is kept on disk; "" where it is.
    """

    images: NDArray[np.uint8]
    kept: NDArray[np.int64]
    faults: tuple[str, ...]
    note: str = ""


def decoded(
    names: Sequence[str], read: Callable[[int], bytes], form: Form, content: str, root: str, where: str
) -> Decoded:
    """Return all images in one form, from disk if they were decoded before.

    Several processes may ask at once: one decodes while the others wait.

    Args:
        names: of the sources, for messages.
        read: returns the encoded image of a source; raises BadInput where it cannot.
        form: of all images.
        content: a digest of all sources and of their order.
        root: the folder of all data sets; `~` is the home folder.
        where: the setting that names the sources, and its value, for messages.

    Raises:
        BadInput: no image can be read, sizes differ and `form.size` is None, or memory does not suffice.
    """
    versions = (VERSION, PIL.__version__, *(str(features.version(part)) for part in ("jpg", "zlib", "webp")))
    key = short_hash(content.encode(), repr(form).encode(), repr(versions).encode())
    path = Path(os.path.expanduser(root)) / "decoded" / f"{key}.npz"
    if (kept := _read(path)) is not None:
        return kept
    made: Decoded | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with wait_for_lock(path.with_name(f".{key}.lock"), lambda text: print(text, file=sys.stderr)):
            if (kept := _read(path)) is not None:
                return kept
            for half in path.parent.glob(f".{path.name}.*.tmp"):  # of a process that was killed
                half.unlink(missing_ok=True)
            made = _decode(names, read, form, where)
            write_atomically(path, partial(_write, made))
            return made
    except OSError as error:
        reason = f"cannot write {path.parent}: {error.strerror or error}"
    except BadInput as error:
        if not isinstance(error.__cause__, OSError):  # of write_atomically
            raise
        reason = str(error)
    made = made or _decode(names, read, form, where)
    return replace(made, note=f"data.root={root}: {reason}; every run decodes anew")


def check_unreadable(unreadable: str) -> None:
    """Check the setting of what to do with images that cannot be decoded.

    Raises:
        BadInput: it is none of the allowed.
    """
    if unreadable not in ("refuse", "skip"):
        raise BadInput(f"data.unreadable={unreadable}: must be one of refuse, skip")


def left_out(images: Decoded, names: Sequence[str], unreadable: OnFault, where: str) -> list[str]:
    """Return notes on the sources that could not be decoded, and on a cache that could not be written.

    Args:
        images: of these sources.
        names: of all sources.
        unreadable: whether to refuse or skip.
        where: the setting that names the sources, and its value.

    Raises:
        BadInput: there are such sources, which are to be refused; names the first `MOST_NAMED`.
    """
    absent = sorted(set(range(len(names))) - set(images.kept.tolist()))
    listed = [f"{names[i]} ({fault})" for i, fault in zip(absent, images.faults, strict=True)]
    shown = ", ".join(listed[:MOST_NAMED]) + (", ..." if len(listed) > MOST_NAMED else "")
    if listed and unreadable == "refuse":
        raise BadInput(
            f"{where}: {len(listed):,} of {len(names):,} images cannot be read: {shown}; "
            "data.unreadable=skip leaves them out"
        )
    notes = (
        [f"left out: {len(listed):,} of {len(names):,} images that cannot be read: {shown}"] if listed else []
    )
    return notes + ([images.note] if images.note else [])


def _write(made: Decoded, file: BinaryIO) -> None:
    np.savez(
        file,
        images=made.images,
        kept=made.kept,
        faults=np.array(made.faults, dtype=np.str_),
        digest=np.array(_digest(made)),
    )


def _digest(made: Decoded) -> str:
    digest = hashlib.sha256(repr((made.images.shape, made.kept.tolist(), made.faults)).encode())
    digest.update(made.images.reshape(-1).data)
    return digest.hexdigest()


def _read(path: Path) -> Decoded | None:
    """Return what is kept at a path; None if there is nothing, or it is damaged."""
    if not path.is_file():
        return None
    try:
        arrays = read_npz(path, KEYS)
        images, kept = arrays["images"].astype(np.uint8, copy=False), arrays["kept"].astype(np.int64)
        found = Decoded(images, kept, tuple(map(str, arrays["faults"])))
        return found if str(arrays["digest"]) == _digest(found) else None
    except (BadInput, ValueError, TypeError):
        return None


def _decode(names: Sequence[str], read: Callable[[int], bytes], form: Form, where: str) -> Decoded:
    def one(i: int) -> NDArray[np.uint8] | str:
        try:
            return decode(read(i), form)
        except BadInput as fault:
            return str(fault)
        except MemoryError:
            raise BadInput(f"{where}: there is not enough memory to decode {names[i]}") from None

    if len(names) > MANY:
        print(f"{where}: decoding {len(names):,} images, once", file=sys.stderr)
    images: NDArray[np.uint8] | None = None
    kept: list[int] = []
    faults: list[str] = []
    is_grey = True
    with _quiet(), ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for i, image in enumerate(pool.map(one, range(len(names)))):
            if isinstance(image, str):
                faults.append(image)
                continue
            if images is None:
                images = _room(len(names), 1 if form.color == "grey" else 3, image.shape[1:], where)
            if image.shape[1:] != images.shape[2:]:
                sizes = (f"{h}x{w}" for h, w in (images.shape[2:], image.shape[1:]))
                raise BadInput(
                    f"{where}: {names[kept[0]]} is {next(sizes)} and {names[i]} {next(sizes)} (height x width); "
                    "data.size=32 brings all to 32x32"
                )
            images[len(kept)] = image  # one channel is repeated
            is_grey = is_grey and len(image) == 1
            kept.append(i)
    if images is None:
        raise BadInput(f"{where}: none of {len(names)} images can be read: {names[0]} ({faults[0]})")
    images = images[: len(kept), : 1 if form.color == "auto" and is_grey else None]
    return Decoded(np.ascontiguousarray(images), np.array(kept, dtype=np.int64), tuple(faults))


def _room(n: int, n_channels: int, size: Sequence[int], where: str) -> NDArray[np.uint8]:
    shape = (n, n_channels, *size)
    try:
        return np.empty(shape, dtype=np.uint8)
    except (MemoryError, ValueError):
        size_gb, sides = np.prod(shape, dtype=float) / 1e9, "x".join(map(str, shape[1:]))
        raise BadInput(
            f"{where}: {n:,} images of {sides} take {size_gb:.0f} GB, more than there is memory; "
            "a smaller data.size takes less"
        ) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence warnings inside a `with` block: Pillow gives some for each large or slightly damaged image."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
