"""Locks between processes, released when their process ends, also on file systems without locks."""

from __future__ import annotations

import errno
import json
import os
import platform
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hetal.errors import BadInput

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

# Between two attempts to get a lock.
POLL_SECONDS = 0.2


class Lock:
    """A lock file that one process at a time holds.

    The kernel grants the lock and releases it when the process ends, however it ends. On a file system without locks, a
    second file, the marker `NAME.soft`, is the lock and names its process; the marker of a process known to be dead is
    removed. Whether a process of another machine or container is alive cannot be known: see `advice`.

    Args:
        path: in an existing folder, possibly on a file system shared between machines.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._marker = path.with_name(path.name + ".soft")
        self._guard = path.with_name(path.name + ".soft.breaking")
        self._descriptor: int | None = None
        self._mark = ""

    def try_acquire(self) -> bool:
        """Acquire the lock if it is free, without waiting; return whether this process holds it now.

        Raises:
            OSError: the lock file cannot be created.
        """
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(descriptor)
        except OSError as error:
            os.close(descriptor)
            # Other errors may mean that the lock is held, or that this file system has no locks.
            held = error.errno in (errno.EAGAIN, errno.EWOULDBLOCK) or _can_lock_beside(self.path)
            return False if held else self._take_marker()
        self._descriptor = descriptor
        # A machine on which this shared folder has no locks may hold it by a marker.
        if self._marker.exists() and not self._clear_dead():
            self.release()
            return False
        return True

    def release(self) -> None:
        """Release the lock if this process holds it."""
        if self._descriptor is not None:
            # Explicitly, since a child forked meanwhile has the file open too.
            with suppress(OSError):
                _unlock(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
        if self._mark:
            with suppress(OSError):  # the folder may have been deleted meanwhile
                if self._marker.read_text() == self._mark:
                    self._marker.unlink()
            self._mark = ""

    def advice(self) -> str:
        """Return a hint, for the end of a message, on the files to delete by hand; "" if the holder is alive."""
        markers = [path for path in (self._marker, self._guard) if path.exists()]
        if not markers or _is_alive(self._read_marker()):
            return ""
        return f"; if that process has ended, delete {' and '.join(map(str, markers))}"

    def _take_marker(self) -> bool:
        mark = json.dumps({**_this_process(), "token": uuid.uuid4().hex})
        for _ in range(2):
            try:
                descriptor = os.open(self._marker, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            except FileExistsError:
                if not self._clear_dead():
                    return False
                continue
            try:
                with open(descriptor, "w") as file:
                    file.write(mark)
            except OSError:
                self._marker.unlink(missing_ok=True)
                raise
            self._mark = mark
            return True
        return False

    def _clear_dead(self) -> bool:
        """Remove the marker if its process is dead; return whether there is no marker now."""
        if _is_alive(self._read_marker()) is not False:
            return not self._marker.exists()
        try:  # one process at a time: a second one could remove the marker that the first has created since
            os.close(os.open(self._guard, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        except FileExistsError:
            return False
        try:
            if _is_alive(self._read_marker()) is False:
                self._marker.unlink(missing_ok=True)
            return not self._marker.exists()
        finally:
            self._guard.unlink(missing_ok=True)

    def _read_marker(self) -> object:
        try:
            return json.loads(self._marker.read_bytes())
        except (OSError, ValueError):
            return None  # absent, or not fully written


@contextmanager
def wait_for_lock(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Wait for the lock file `path`, and hold it inside a `with` block.

    Args:
        path: in an existing folder.
        say: called once with what to do about a lock that may never be released.

    Raises:
        OSError: the lock file cannot be created.
    """
    lock, has_said = Lock(path), False
    while not lock.try_acquire():
        if not has_said and (advice := lock.advice()):
            say(f"waiting: another process holds {path}{advice}")
            has_said = True
        time.sleep(POLL_SECONDS)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def locked(path: Path, refusal: Callable[[], BadInput]) -> Iterator[None]:
    """Hold the lock file `path` inside a `with` block, without waiting for it.

    Args:
        path: in an existing folder.
        refusal: returns the error to raise if another process holds it.

    Raises:
        BadInput: another process holds it, or the lock file cannot be created.
    """
    lock = Lock(path)
    try:
        is_held = lock.try_acquire()
    except OSError as error:
        raise BadInput(f"cannot lock {path}: {error.strerror or error}") from None
    if not is_held:
        refused = refusal()
        raise type(refused)(f"{refused}{lock.advice()}")
    try:
        yield
    finally:
        lock.release()


if sys.platform == "win32":

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _can_lock_beside(path: Path) -> bool:
    """Return whether the file system of `path` has locks: whether a new private file can be locked."""
    probe = path.with_name(f".{path.name.lstrip('.')}.{uuid.uuid4().hex}.tmp")
    descriptor = os.open(probe, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        _lock(descriptor)
    except OSError:
        return False
    else:
        _unlock(descriptor)
        return True
    finally:
        os.close(descriptor)
        probe.unlink(missing_ok=True)


def _this_process() -> dict[str, str | int]:
    """Return what identifies this process among those of all machines, boots and containers."""
    pid = os.getpid()
    return {**_process_namespace(), "pid": pid, "started": _start_time(pid) or ""}


def _process_namespace() -> dict[str, str]:
    """Return what all processes share that can see each other's process ids: host, boot and namespace."""
    boot = namespace = ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with suppress(OSError):
        namespace = os.readlink("/proc/self/ns/pid")  # each container has its own process ids
    return {"host": platform.node(), "boot": boot, "namespace": namespace}


def _is_alive(mark: object) -> bool | None:
    """Return whether the process that wrote a marker is alive; None if that cannot be known from here."""
    if not isinstance(mark, dict) or os.name != "posix":
        return None
    pid = mark.get("pid")
    if (
        {key: mark.get(key) for key in _process_namespace()} != _process_namespace()
        or type(pid) is not int
        or pid < 1
    ):
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's process
        pass
    started = _start_time(pid)
    if started is None or not mark.get("started"):
        return None  # the process id may have been reused
    return bool(started == mark["started"])


def _start_time(pid: int) -> str | None:
    """Return a process's start time in ticks since boot; "dead" for a zombie; None if not known."""
    try:
        *_, rest = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")
    except OSError:
        return None
    fields = rest.split()
    return "dead" if fields[0] in ("Z", "X") else fields[19]
