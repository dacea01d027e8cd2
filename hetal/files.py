"""Files that are whole or absent: write beside, flush, rename."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import filelock
import numpy as np
import numpy.typing as npt

from hetal.errors import BadInput, Unreadable

Array = npt.NDArray[np.generic]


def write_atomically(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Replace `path` in one step, durably; a reader sees the old file or the new one.

    Args:
        path: file in an existing folder.
        write: writes the content to the open file it is given.

    Raises:
        BadInput: the folder is gone, read-only or full; `path` is then as it was.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            with open(beside, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)
        if os.name == "posix":
            _sync_folder(path.parent)
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror or error}") from error


def make_folder(path: Path) -> None:
    """Make a folder and its parents, durably; it may exist.

    Raises:
        BadInput: it cannot be made.
    """
    try:
        absent = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        if os.name == "posix":
            for folder in absent:
                _sync_folder(folder.parent)
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror or error}") from error


def remove(path: Path) -> None:
    """Remove a file; it may be absent.

    Raises:
        BadInput: it cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise BadInput(f"cannot remove {path}: {error.strerror or error}") from error


@contextmanager
def locked(path: Path, held: Callable[[], BadInput]) -> Iterator[None]:
    """Hold the lock file `path` for a while. A lock that a process left when it died is no longer held.

    Where the file system has no locks, the existence of a file is the lock; whether one that a dead process left is
    taken over is then up to the version of filelock (4.2 does, on the machine that it died on).

    Args:
        path: in an existing folder, which may be on a file system that machines share.
        held: returns what to raise where another process holds it.

    Raises:
        BadInput: another process holds it, or there can be no such file.
    """
    lock: filelock.BaseFileLock = filelock.FileLock(path)
    try:
        try:
            lock.acquire(timeout=0)
        except NotImplementedError:  # a file system without locks: the file itself is the lock
            lock = filelock.SoftFileLock(path.with_name(path.name + ".soft"))
            lock.acquire(timeout=0)
    except filelock.Timeout:
        raise held() from None
    except OSError as error:
        raise BadInput(f"cannot lock {path}: {error.strerror or error}") from None
    try:
        yield
    finally:
        lock.release()


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    write_atomically(path, lambda file: file.write(text.encode()))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically. NaN and infinity are refused: JSON has none."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_bytes(path: Path) -> bytes | None:
    """Return the content of a file; None where there is none.

    Raises:
        Unreadable: it is there and cannot be read; names the file.
    """
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "not enough memory"
        raise Unreadable(f"cannot read {path}: {reason}; nothing was changed") from None


def read_npz(source: Path | BinaryIO, keys: Sequence[str]) -> dict[str, Array]:
    """Return the arrays called `keys` of an .npz file, whatever they hold. Nothing is ever unpickled.

    Args:
        source: the file, or an open one.
        keys: names of the arrays.

    Raises:
        Unreadable: there is not enough memory.
        BadInput: there is no such file, it is damaged, or an array is missing. Neither names the file.
    """
    # What numpy and zipfile raise depends on which byte is wrong, so anything may come; it is told in full.
    try:
        file = np.load(source, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise BadInput("is not an .npz file but a single array")
        with file:
            if absent := [key for key in keys if key not in file.files]:
                raise BadInput(f"has no array {', '.join(absent)}; it must hold {', '.join(keys)}")
            return {key: file[key] for key in keys}
    except BadInput:
        raise
    except MemoryError:
        raise Unreadable("not enough memory for what it says that it holds") from None
    except FileNotFoundError as error:
        raise BadInput("there is no such file") from error
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise BadInput(f"cannot be read as .npz ({type(error).__name__}: {reason})") from error
