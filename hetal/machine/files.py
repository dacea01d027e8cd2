"""Atomic writes (temporary file, flush, rename) and safe reads of files."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from hetal.errors import BadInput, Unreadable

Array = npt.NDArray[np.generic]

LEFTOVER = re.compile(r"\..+\.(\d+|[0-9a-f]{32})\.tmp")  # named by process id or at random


def write_atomically(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Replace a file atomically and durably: a reader sees either the old content or the new.

    Args:
        path: a file in an existing folder.
        write: called with an open file, to which it writes the content.

    Raises:
        BadInput: the folder is gone, read-only or full; `path` is then unchanged.
    """
    temporary = temporary_path(path)
    try:
        try:
            with open(temporary, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        if os.name == "posix":
            _sync_folder(path.parent)
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror or error}") from error


def temporary_path(path: Path) -> Path:
    """Return the temporary path, beside `path`, of this process's next version of it."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def leftovers(folder: Path) -> list[Path]:
    """Return the temporary files that interrupted writes have left in `folder`."""
    return [path for path in folder.iterdir() if LEFTOVER.fullmatch(path.name) and not path.is_dir()]


def make_folder(path: Path) -> None:
    """Create a folder and its parents durably; it may exist already.

    Raises:
        BadInput: it cannot be created.
    """
    try:
        absent = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        if os.name == "posix":
            for folder in absent:
                _sync_folder(folder.parent)
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror or error}") from error


def move(source: Path, target: Path) -> None:
    """Replace `target` by `source` atomically, also across file systems, such as through a linked folder.

    Raises:
        OSError: the folder of `target` is gone, read-only or full.
    """
    try:
        os.replace(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        temporary = temporary_path(target)
        try:
            shutil.copyfile(source, temporary)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        source.unlink()


def remove(path: Path) -> None:
    """Remove a file if it exists.

    Raises:
        BadInput: it cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise BadInput(f"cannot remove {path}: {error.strerror or error}") from error


def remove_folders(within: Path, pattern: str) -> None:
    """Remove the folders in `within` whose names match `pattern`, as far as possible; links are not followed."""
    if within.is_symlink():
        return
    for folder in within.glob(pattern):
        shutil.rmtree(folder, ignore_errors=True)  # does not follow links


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
    """Write `value` as indented JSON, atomically; NaN and infinity are refused, since JSON has none."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_bytes(path: Path) -> bytes | None:
    """Return the content of a file; None if there is no such file.

    Raises:
        Unreadable: the file exists and cannot be read; names it.
    """
    try:
        # O_NONBLOCK: opening a named pipe would wait for a writer.
        with open(
            os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb"
        ) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Unreadable(f"cannot read {path}: it is no regular file; nothing was changed")
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "not enough memory"
        raise Unreadable(f"cannot read {path}: {reason}; nothing was changed") from None


def read_npz(source: Path | BinaryIO, keys: Sequence[str]) -> dict[str, Array]:
    """Return the arrays called `keys` of an .npz file; nothing is ever unpickled.

    Args:
        source: a path or an open file.
        keys: names of the arrays.

    Raises:
        Unreadable: there is not enough memory.
        BadInput: there is no such file, it is damaged, or an array is missing. Neither message names the file.
    """
    # The exception of numpy or zipfile depends on which byte is wrong, so any is caught and reported.
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
