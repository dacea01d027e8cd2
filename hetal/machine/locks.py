"""Locks between processes that end with the process that holds them, also on file systems that have no locks."""

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

# Between two looks at whether a lock has become free.
SECONDS = 0.2


class Lock:
    """A file that one process at a time holds, whoever else opens it.

    The kernel gives the lock and takes it back when its process ends, however that ends. Where the file system refuses
    to lock, a second file beside it, `NAME.soft`, is the lock, and says who made it; one whose process is known to be
    dead is taken over. Of another machine's or container's process nobody can know that: see `advice`.

    Args:
        path: in an existing folder, which may be on a file system that machines share.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._marker = path.with_name(path.name + ".soft")
        self._guard = path.with_name(path.name + ".soft.breaking")
        self._descriptor: int | None = None
        self._mark = ""

    def try_acquire(self) -> bool:
        """Take the lock if nobody holds it, without waiting; tell whether it is held now.

        Raises:
            OSError: there can be no such file.
        """
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(descriptor)
        except OSError as error:
            os.close(descriptor)
            # Anything but "would block" may mean either that it is held or that this file system has no locks.
            held = error.errno in (errno.EAGAIN, errno.EWOULDBLOCK) or _can_lock_beside(self.path)
            return False if held else self._take_marker()
        self._descriptor = descriptor
        # Another machine may see the same folder without locks.
        if self._marker.exists() and not self._clear_dead():
            self.release()
            return False
        return True

    def release(self) -> None:
        """Let others take the lock; nothing where it is not held."""
        if self._descriptor is not None:
            # Explicitly, since a child that was forked meanwhile has the file open too.
            with suppress(OSError):
                _unlock(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
        if self._mark:
            with suppress(OSError):  # a folder that was deleted meanwhile took the lock with it
                if self._marker.read_text() == self._mark:
                    self._marker.unlink()
            self._mark = ""

    def advice(self) -> str:
        """Say which file to delete, to be added to what is said of the holder; "" where its process surely lives."""
        left = [path for path in (self._marker, self._guard) if path.exists()]
        if not left or _is_alive(self._read_marker()):
            return ""
        return f"; if that process has ended, delete {' and '.join(map(str, left))}"

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
        """Remove the marker of a dead process; tell whether there is none left."""
        if _is_alive(self._read_marker()) is not False:
            return not self._marker.exists()
        try:  # one process at a time, or the second would remove the marker that the first has made since
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
            return None  # gone, being written, or torn


@contextmanager
def wait_for_lock(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock file `path` for a while, once those who came first are done with it.

    Args:
        path: in an existing folder.
        say: told once of a lock that nobody may ever give back, and what to do.

    Raises:
        OSError: there can be no such file.
    """
    lock, said = Lock(path), False
    while not lock.try_acquire():
        if not said and (advice := lock.advice()):
            say(f"waiting: another process holds {path}{advice}")
            said = True
        time.sleep(SECONDS)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def locked(path: Path, held: Callable[[], BadInput]) -> Iterator[None]:
    """Hold the lock file `path` for a while, see `Lock`.

    Args:
        path: in an existing folder.
        held: returns what to raise where another process holds it.

    Raises:
        BadInput: another process holds it, or there can be no such file.
    """
    lock = Lock(path)
    try:
        taken = lock.try_acquire()
    except OSError as error:
        raise BadInput(f"cannot lock {path}: {error.strerror or error}") from None
    if not taken:
        refusal = held()
        raise type(refusal)(f"{refusal}{lock.advice()}")
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
    """Tell whether the file system of `path` has locks: whether a file that nobody else knows can be locked."""
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
    """Return what tells this process from all others: of this machine since it started, of others, in containers."""
    pid = os.getpid()
    return {**_here(), "pid": pid, "started": _started(pid) or ""}


def _here() -> dict[str, str]:
    """Return what processes that see each other's numbers have in common."""
    boot = namespace = ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with suppress(OSError):
        namespace = os.readlink("/proc/self/ns/pid")  # containers count their processes by themselves
    return {"host": platform.node(), "boot": boot, "namespace": namespace}


def _is_alive(mark: object) -> bool | None:
    """Tell whether the process that made a marker lives; None where nobody can know from here."""
    if not isinstance(mark, dict) or os.name != "posix":
        return None
    pid = mark.get("pid")
    if {key: mark.get(key) for key in _here()} != _here() or type(pid) is not int or pid < 1:
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        pass
    started = _started(pid)
    if started is None or not mark.get("started"):
        return None  # a process of that number, perhaps another one
    return bool(started == mark["started"])


def _started(pid: int) -> str | None:
    """Return when a process was started, in ticks since the machine was; "dead" of one not waited for; or None."""
    try:
        *_, rest = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")
    except OSError:
        return None
    fields = rest.split()
    return "dead" if fields[0] in ("Z", "X") else fields[19]
