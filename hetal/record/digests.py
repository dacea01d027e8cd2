"""What files hold, as short digests, remembered from one start to the next.

Digests are kept in `$XDG_CACHE_HOME/hetal/digests`, or `~/.cache/hetal/digests`, one small file each; the folder can be
deleted at any time, and where it cannot be written every digest is computed again.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from hetal.record.seal import short_hash

# A file may be written again within one tick of the clock of its file system, two seconds on some: what was written
# so lately is not remembered.
SETTLING_SECONDS = 5.0

# A folder that holds more than this is hardly meant.
MAX_FILES = 1_000_000

Stamp = tuple[int, int, int, int, int]


def digest_of(path: Path) -> str | None:
    """Return a digest of the content of a file, or of a folder: its tree of names and contents.

    Names within a folder count, that of `path` itself does not. A file that was not written to since is not read again.

    Returns:
        16 hex digits; None where there is nothing of that name, or it is neither a file nor a folder.

    Raises:
        OSError: it cannot be read.
    """
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISDIR(found.st_mode):
        return _of_folder(path)
    return _of_file(path) if stat.S_ISREG(found.st_mode) else None


def cached(key: bytes, compute: Callable[[], str]) -> str:
    """Return what `compute` returned for `key` before, in this process or another; call it where that is not known.

    Args:
        key: of any length.
        compute: returns a line of text.
    """
    folder = _cache()
    if folder is None:
        return compute()
    path = folder / hashlib.sha256(key).hexdigest()[:32]
    with suppress(OSError, ValueError):
        digest, value = path.read_text().split(" ", 1)
        if digest == short_hash(value.encode()):
            return value
    value = compute()
    beside = path.with_name(f".{uuid.uuid4().hex}.tmp")
    with suppress(OSError):  # a cache that cannot be written only costs time
        folder.mkdir(parents=True, exist_ok=True)
        try:
            beside.write_text(f"{short_hash(value.encode())} {value}")
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)
    return value


def _cache() -> Path | None:
    given = os.environ.get("XDG_CACHE_HOME", "")
    try:
        base = Path(given) if os.path.isabs(given) else Path.home() / ".cache"
    except RuntimeError:  # a user without a home
        return None
    return base / "hetal" / "digests"


def _of_file(path: Path) -> str:
    for _ in range(3):
        with open(path, "rb", buffering=0) as file:
            before = _stamp(os.fstat(file.fileno()))
            value = _read(before, file.readinto)
            if _stamp(os.fstat(file.fileno())) == before:
                return value
    raise OSError(errno.EBUSY, "it is being written to", str(path))


def _read(stamp: Stamp, readinto: Callable[[memoryview], int | None]) -> str:
    def compute() -> str:
        digest = hashlib.sha256(b"file")
        buffer = memoryview(bytearray(1 << 20))
        while n := readinto(buffer):
            digest.update(buffer[:n])
        return digest.hexdigest()[:16]

    return cached(f"file {stamp}".encode(), compute) if _has_settled(stamp) else compute()


def _of_folder(path: Path) -> str:
    found = list(itertools.islice(_tree(path, "", frozenset()), MAX_FILES + 1))
    if len(found) > MAX_FILES:
        raise OSError(errno.EFBIG, f"it holds more than {MAX_FILES:,} files", str(path))
    entries = sorted(found, key=lambda entry: entry[0])
    stamps = [found for _, found in entries if isinstance(found, tuple)]

    def compute() -> str:
        said = (
            (name, _of_file(path / name) if isinstance(found, tuple) else found) for name, found in entries
        )
        return short_hash(b"folder", *(os.fsencode(part) for pair in said for part in pair))

    listing = b"".join(os.fsencode(f"{name}\0{found}\0") for name, found in entries)
    return cached(b"folder " + listing, compute) if all(map(_has_settled, stamps)) else compute()


def _tree(folder: Path, under: str, above: frozenset[tuple[int, int]]) -> Iterator[tuple[str, Stamp | str]]:
    """Yield what lies under a folder by name: stamps of files, where broken links point, and what else there is.

    Args:
        folder: where the tree begins.
        under: the folder in it to list.
        above: device and inode of the folders that lead to it; a link back to one of them is not followed.
    """
    here = os.stat(folder / under)
    me = (here.st_dev, here.st_ino)
    if me in above:
        return
    for name in os.listdir(folder / under):
        within = os.path.join(under, name)
        try:
            found = os.stat(folder / within)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ELOOP):
                raise
            yield within, f"link {os.readlink(folder / within)}"
            continue
        if stat.S_ISREG(found.st_mode):
            yield within, _stamp(found)
        else:
            yield within, "folder" if stat.S_ISDIR(found.st_mode) else "special"
            if stat.S_ISDIR(found.st_mode):
                yield from _tree(folder, within, above | {me})


def _stamp(found: os.stat_result) -> Stamp:
    """Return what changes whenever a file is written to or replaced."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _has_settled(stamp: Stamp) -> bool:
    return stamp[4] / 1e9 < time.time() - SETTLING_SECONDS
