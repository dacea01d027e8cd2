"""Digests of the content of files and folders, cached on disk between runs.

The cache is `$XDG_CACHE_HOME/hetal/digests`, or `~/.cache/hetal/digests`, one small file each. It can be deleted at any
time; if it cannot be written, every digest is computed again.
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

# A file may be written twice within one tick of its file system's clock (two seconds on some), so the digest of a file
# that was changed less than this many seconds ago is not cached.
SETTLING_SECONDS = 5.0

# A smaller file is read as fast as its entry in the cache, of which a folder of 100,000 images would make as many.
SMALLEST_CACHED = 2**20

# A larger folder is most likely a wrong path.
MAX_FILES = 1_000_000

Stamp = tuple[int, int, int, int, int]


def digest_of(path: Path) -> str | None:
    """Return a digest of the content of a file, or of a folder's tree of names and contents.

    Names within a folder count, that of `path` itself does not. A file that has not changed since is not read again.

    Returns:
        16 hex digits; None if `path` does not exist, or is neither a file nor a folder.

    Raises:
        OSError: the file or folder cannot be read.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISDIR(status.st_mode):
        return _of_folder(path)
    return _of_file(path) if stat.S_ISREG(status.st_mode) else None


def cached(key: bytes, compute: Callable[[], str]) -> str:
    """Return the cached value of `key`, or call `compute` and cache what it returns, also for other processes.

    Args:
        key: of any length.
        compute: returns one line of text.
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
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    with suppress(OSError):  # a cache that cannot be written only costs time
        folder.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_text(f"{short_hash(value.encode())} {value}")
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    return value


def _cache() -> Path | None:
    configured = os.environ.get("XDG_CACHE_HOME", "")
    try:
        base = Path(configured) if os.path.isabs(configured) else Path.home() / ".cache"
    except RuntimeError:  # a user without a home folder
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
        buffer = memoryview(bytearray(min(1 << 20, stamp[2] + 1)))
        while n := readinto(buffer):
            digest.update(buffer[:n])
        return digest.hexdigest()[:16]

    return cached(f"file {stamp}".encode(), compute) if _is_cached(stamp) else compute()


def _of_folder(path: Path) -> str:
    tree = list(itertools.islice(_tree(path, "", frozenset()), MAX_FILES + 1))
    if len(tree) > MAX_FILES:
        raise OSError(errno.EFBIG, f"it holds more than {MAX_FILES:,} files", str(path))
    entries = sorted(tree, key=lambda entry: entry[0])
    stamps = [entry for _, entry in entries if isinstance(entry, tuple)]

    def compute() -> str:
        contents = (
            (name, _of_file(path / name) if isinstance(entry, tuple) else entry) for name, entry in entries
        )
        return short_hash(b"folder", *(os.fsencode(part) for pair in contents for part in pair))

    listing = b"".join(os.fsencode(f"{name}\0{entry}\0") for name, entry in entries)
    return cached(b"folder " + listing, compute) if all(map(_has_settled, stamps)) else compute()


def _tree(folder: Path, under: str, above: frozenset[tuple[int, int]]) -> Iterator[tuple[str, Stamp | str]]:
    """Yield the entries under a folder by name: stamps of files, targets of broken links, and the kind of the others.

    Args:
        folder: where the tree begins.
        under: the subfolder to list.
        above: device and inode of its parent folders; a link back to one of them is not followed.
    """
    status = os.stat(folder / under)
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        return
    for name in os.listdir(folder / under):
        within = os.path.join(under, name)
        try:
            target = os.stat(folder / within)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ELOOP):
                raise
            yield within, f"link {os.readlink(folder / within)}"
            continue
        if stat.S_ISREG(target.st_mode):
            yield within, _stamp(target)
        else:
            yield within, "folder" if stat.S_ISDIR(target.st_mode) else "special"
            if stat.S_ISDIR(target.st_mode):
                yield from _tree(folder, within, above | {identity})


def _stamp(status: os.stat_result) -> Stamp:
    """Return the values that change whenever a file is written to or replaced."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _is_cached(stamp: Stamp) -> bool:
    return stamp[2] >= SMALLEST_CACHED and _has_settled(stamp)


def _has_settled(stamp: Stamp) -> bool:
    return stamp[4] / 1e9 < time.time() - SETTLING_SECONDS
