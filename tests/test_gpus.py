"""Places on GPUs, which on a machine without any are still files."""

import os
import signal
import time
from pathlib import Path

import pytest
import torch

from hetal.app.resolvers import jobs_at_once
from hetal.errors import BadInput
from hetal.machine.gpus import hold_gpu, hold_slot
from tests.processes import FORKS

NAMES = ("one", "two")


def work(folder: Path, each: int, log: Path, seconds: float, company: int = 1) -> None:
    """Hold a place until `company` jobs have had one, and `seconds` more."""
    deadline = time.monotonic() + 120
    with hold_slot(NAMES, each, folder, lambda said: None) as i, log.open("a", buffering=1) as file:
        file.write(f"+{i}\n")
        while log.read_text().count("+") < company and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(seconds)
        file.write(f"-{i}\n")


def test_no_gpu_ever_holds_more_jobs_than_it_may(tmp_path):
    log = tmp_path / "log"
    jobs = [FORKS.Process(target=work, args=(tmp_path / "locks", 2, log, 0.2, 4)) for _ in range(9)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(240)  # a machine may be slow
        assert job.exitcode == 0
    held, most = [0, 0], [0, 0]
    for line in log.read_text().split():
        i = int(line[1:])
        held[i] += 1 if line[0] == "+" else -1
        most[i] = max(most[i], held[i])
    assert held == [0, 0]
    assert most == [2, 2]  # and they do run side by side


def test_the_emptiest_comes_first(tmp_path):
    def quiet(said: str) -> None:
        raise AssertionError("there is room")

    with hold_slot(NAMES, 2, tmp_path, quiet) as first, hold_slot(NAMES, 2, tmp_path, quiet) as second:
        assert (first, second) == (0, 1)
        with hold_slot(NAMES, 2, tmp_path, quiet) as third:
            assert third == 0
    with hold_slot(NAMES, 2, tmp_path, quiet) as again:
        assert again == 0


def test_the_place_of_a_killed_job_is_free(tmp_path):
    log = tmp_path / "log"
    job = FORKS.Process(target=work, args=(tmp_path, 1, log, 600))
    job.start()
    while not log.exists() or not log.read_text():
        time.sleep(0.02)
    said: list[str] = []
    with hold_slot(NAMES, 1, tmp_path, said.append) as i:
        assert i == 1
        os.kill(job.pid, signal.SIGKILL)
        job.join()
        with hold_slot(NAMES, 1, tmp_path, said.append) as other:
            assert other == 0
    assert not said


def test_who_has_to_wait_is_told_why(tmp_path):
    class Told(Exception):
        pass

    def say(said: str) -> None:
        raise Told(said)

    with (
        hold_slot(["one"], 1, tmp_path, say),
        pytest.raises(Told, match="jobs_per_gpu=1"),
        hold_slot(["one"], 1, tmp_path, say),
    ):
        pass


def test_a_cpu_is_shared_as_it_is():
    with hold_gpu(torch.device("cpu"), 1, print) as device:
        assert device == torch.device("cpu")
    with pytest.raises(BadInput, match=r"jobs_per_gpu=0: must be in 1\.\.1000"), hold_gpu(device, 0, print):
        pass


def test_jobs_times_threads_fit_the_cores(monkeypatch):
    monkeypatch.setattr("joblib.cpu_count", lambda: 8)
    assert [jobs_at_once("cpu", threads, 1) for threads in (1, 2, 3, 8, 9)] == [8, 4, 2, 1, 1]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert jobs_at_once("auto", 1, 1) == 4
    assert jobs_at_once("cuda", 1, 2) == 8
    assert jobs_at_once("cpu", 1, 2) == 8
