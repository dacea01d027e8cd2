"""Locks of one process at a time, on file systems that have them and on those that refuse them."""

import errno
import fcntl
import json
import os
import random
import time
from pathlib import Path

import pytest

from hetal.errors import BadInput, RecordLocked
from hetal.machine import gpus, locks
from hetal.machine.locks import Lock, locked, wait_for_lock
from tests.processes import FORKS

REFUSALS = [
    errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.EACCES, errno.EPERM, errno.EIO, errno.EBADF,
]  # fmt: skip


def refuse(number: int):
    """Return what flock does on a file system that has no locks."""

    def flock(*args) -> None:
        raise OSError(number, os.strerror(number))

    return flock


@pytest.fixture(params=REFUSALS, ids=lambda number: errno.errorcode[number])
def without_locks(request, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", refuse(request.param))


def test_one_holds_it_and_the_next_after_it(tmp_path):
    first, second = Lock(tmp_path / ".lock"), Lock(tmp_path / ".lock")
    assert first.try_acquire()
    assert not second.try_acquire()
    assert second.advice() == ""
    first.release()
    assert second.try_acquire()
    second.release()
    assert os.listdir(tmp_path) == [".lock"]


@pytest.mark.usefixtures("without_locks")
def test_however_locks_are_refused_a_file_is_the_lock(tmp_path):
    first, second = Lock(tmp_path / ".lock"), Lock(tmp_path / ".lock")
    assert first.try_acquire()
    assert not second.try_acquire()
    assert second.advice() == ""  # its process lives: there is nothing to delete
    first.release()
    assert second.try_acquire()
    second.release()
    assert os.listdir(tmp_path) == [".lock"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EINVAL])
def test_a_refusal_that_means_held_is_not_taken_for_no_locks(number, tmp_path, monkeypatch):
    real = fcntl.flock

    def flock(*args):
        try:
            real(*args)
        except BlockingIOError:
            raise OSError(number, os.strerror(number)) from None

    monkeypatch.setattr(fcntl, "flock", flock)
    first, second = Lock(tmp_path / ".lock"), Lock(tmp_path / ".lock")
    assert first.try_acquire()
    assert not second.try_acquire()
    first.release()
    assert second.try_acquire()
    second.release()


def contend(folder: Path, number: int | None, seed: int, fails: Path) -> None:
    """Hold a lock again and again, and die with it at last; report whoever is there at the same time."""
    if number is not None:
        fcntl.flock = refuse(number)
    rng = random.Random(seed)
    lock = Lock(folder / ".lock")
    for i in range(20):
        while not lock.try_acquire():
            time.sleep(0.001)
        try:
            os.close(os.open(folder / "inside", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            fails.write_text("two at once")
        time.sleep(0.002 * rng.random())
        (folder / "inside").unlink(missing_ok=True)
        if i == 19:
            os._exit(0)
        lock.release()


@pytest.mark.parametrize("number", [None, errno.ENOLCK, errno.EACCES])
def test_processes_exclude_each_other_and_take_over_from_the_dead(number, tmp_path):
    (tmp_path / "locks").mkdir()
    jobs = [
        FORKS.Process(target=contend, args=(tmp_path / "locks", number, seed, tmp_path / "fails"))
        for seed in range(6)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(240)
        assert job.exitcode == 0
    assert not (tmp_path / "fails").exists()


def left_by(**changes) -> str:
    """Return the marker of a process of this machine that is no more, or of one that differs from it."""
    job = FORKS.Process(target=os.getpid)
    job.start()
    job.join()
    return json.dumps({**locks._process_namespace(), "pid": job.pid, "started": "1", "token": "x", **changes})


@pytest.mark.usefixtures("without_locks")
def test_what_a_dead_process_left_is_taken_over(tmp_path):
    for left in (left_by(), left_by(pid=os.getpid())):  # and where another process has its number by now
        (tmp_path / ".lock.soft").write_text(left)
        lock = Lock(tmp_path / ".lock")
        assert lock.try_acquire()
        lock.release()
        assert os.listdir(tmp_path) == [".lock"]


@pytest.mark.parametrize(
    "left",
    ["", "{", "[]", "17\nelsewhere\n", *({key: "other"} for key in ("host", "boot", "namespace"))],
    ids=str,
)
@pytest.mark.parametrize("has_locks", [True, False])
def test_what_may_be_held_elsewhere_is_not_taken_and_its_file_is_named(
    left, has_locks, tmp_path, monkeypatch
):
    if not has_locks:
        monkeypatch.setattr(fcntl, "flock", refuse(errno.ENOLCK))
    left = left_by(**left) if isinstance(left, dict) else left
    marker = tmp_path / ".lock.soft"
    marker.write_text(left)
    with (
        pytest.raises(RecordLocked, match=f"somebody writes; if that process has ended, delete {marker}$"),
        locked(tmp_path / ".lock", lambda: RecordLocked("somebody writes")),
    ):
        pass
    assert marker.read_text() == left
    marker.unlink()
    with locked(tmp_path / ".lock", lambda: RecordLocked("somebody writes")):
        pass


def test_who_died_while_taking_over_is_named_too(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", refuse(errno.ENOLCK))
    (tmp_path / ".lock.soft").write_text(left_by())
    guard = tmp_path / ".lock.soft.breaking"
    guard.touch()
    lock = Lock(tmp_path / ".lock")
    assert not lock.try_acquire()
    assert lock.advice().endswith(f"delete {tmp_path / '.lock.soft'} and {guard}")


def test_a_folder_that_cannot_hold_a_lock_is_named(tmp_path):
    with pytest.raises(BadInput, match=f"cannot lock {tmp_path}/absent/.lock: No such file"):
        locked(tmp_path / "absent" / ".lock", lambda: RecordLocked("")).__enter__()


@pytest.mark.usefixtures("without_locks")
def test_waiting_says_once_which_file_may_be_in_the_way(tmp_path, monkeypatch):
    class Waited(Exception):
        pass

    def sleep(seconds: float) -> None:
        if len(said) == 1:
            (tmp_path / ".data.lock.soft").unlink()

    monkeypatch.setattr(locks.time, "sleep", sleep)
    said: list[str] = []
    (tmp_path / ".data.lock.soft").write_text("")
    with wait_for_lock(tmp_path / ".data.lock", said.append):
        assert not Lock(tmp_path / ".data.lock").try_acquire()
    (line,) = said
    assert line.endswith(f"delete {tmp_path / '.data.lock.soft'}")


@pytest.mark.usefixtures("without_locks")
def test_gpu_slots_work_without_locks_too(tmp_path):
    class Told(Exception):
        pass

    def say(said: str) -> None:
        raise Told(said)

    with (
        gpus.hold_slot(["one"], 1, tmp_path, say),
        pytest.raises(Told, match=r"jobs_per_gpu=1 allows no more$"),
        gpus.hold_slot(["one"], 1, tmp_path, say),
    ):
        pass
    (tmp_path / "one-0.lock.soft").write_text("")
    with pytest.raises(Told, match=r"delete .*one-0\.lock\.soft"), gpus.hold_slot(["one"], 1, tmp_path, say):
        pass


def test_a_user_without_a_name_has_slots_and_a_missing_temporary_folder_is_reported(monkeypatch):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])
    assert gpus._folder().name == f"hetal-{os.getuid()}"

    def nowhere() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr("tempfile.gettempdir", nowhere)
    monkeypatch.setenv("TMPDIR", "/absent")
    with pytest.raises(BadInput, match="TMPDIR=/absent: No usable temporary directory"):
        gpus._folder()
