"""Signals to a sweep: it stops at a safe point, says so in one line, and ends with the status that shells expect."""

import os
import signal
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from hetal.machine.files import write_json
from hetal.machine.signals import SafeStop
from hetal.sweep.jobs import read_job, running_note, write_job
from hetal.sweep.local import _Batch
from hetal.sweep.workers import JobEnd
from tests.command_line import TOY, command, records, start
from tests.killers import install
from tests.processes import Launched

HOW = {
    "one": [],
    "two": ["hydra.launcher.n_jobs=2"],
    "spawn": ["hydra.launcher.n_jobs=2", "hydra.launcher.start=spawn"],
}
SAID = "stopping after this epoch; once more stops at once\nstopped; the same command continues\n"
LONG = [*TOY, "train.max_epochs=100000", "train.restart_every=100000"]


def begun(*line: object, jobs: int = 1, env: dict[str, str] | None = None) -> Launched:
    """Start a sweep and wait until so many of its jobs train."""
    process = start(*line, env=env)
    (root,) = (Path(str(o).removeprefix("root=")) for o in line if str(o).startswith("root="))
    while len(list(root.glob("*/*/.holder.json"))) < jobs:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    return process


def to_group(process, number):
    os.killpg(process.pid, number)


def to_parent(process, number):
    os.kill(process.pid, number)


@pytest.mark.parametrize(
    ("how", "number", "send"),
    [
        ("one", signal.SIGINT, to_group),
        ("one", signal.SIGTERM, to_parent),
        ("two", signal.SIGINT, to_group),
        ("two", signal.SIGTERM, to_parent),
        ("two", signal.SIGHUP, to_group),
        ("two", signal.SIGTERM, to_group),
        ("spawn", signal.SIGTERM, to_parent),  # starts slowly, and differs in how it starts only
    ],
)
def test_a_signal_stops_a_sweep_at_safe_points(how, number, send, tmp_path):
    at_once = 1 if how == "one" else 2
    process = begun("-m", "seed=range(5)", *LONG, *HOW[how], f"root={tmp_path}", jobs=at_once)
    send(process, number)
    said, errors = process.communicate()
    assert process.returncode == 128 + number
    assert errors == SAID
    assert f"5 jobs: {at_once} stopped, {5 - at_once} not started" in said
    assert not list(tmp_path.glob("*/*/.holder.json"))
    assert not list((tmp_path / ".sweeps" / "died").iterdir())


@pytest.mark.parametrize(
    ("written", "stopping", "death"),
    [("stopped", True, False), ("done", False, False), ("running", True, False), ("running", False, True)],
)
def test_a_job_counts_as_a_death_only_if_it_had_not_ended_and_was_not_stopped(
    written, stopping, death, tmp_path
):
    """A worker may be killed after its job has ended, as by a signal to the group and then one by the sweep."""
    sweeper = {"_target_": "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"}
    config = OmegaConf.create(
        {"root": str(tmp_path), "hydra": {"sweep": {"dir": str(tmp_path / "sweep")}, "sweeper": sweeper}}
    )
    job = ["seed=1"]
    (tmp_path / "sweep").mkdir()
    write_json(tmp_path / "sweep" / "planned", [job])
    write_job(tmp_path / "sweep", 0, job, written, {})
    note = running_note(config, job)
    note.parent.mkdir(parents=True)
    note.write_text("once\n")
    _Batch(config, {0: job}, 1).note(JobEnd(0, None, "killed by signal 15 (SIGTERM)"), stopping)
    assert note.exists() == death
    state = "died" if death else "stopped" if written == "running" else written
    assert read_job(tmp_path / "sweep", 0)["state"] == state


@pytest.mark.parametrize("how", ["one", "two"])
def test_a_second_ctrl_c_stops_a_sweep_at_once(how, tmp_path):
    at_once = 1 if how == "one" else 2
    find, env = install(tmp_path)
    # A query that would never end.
    line = ["-m", "alg=slow", f"alg.file={tmp_path / 'never'}", "seed=range(5)", *TOY, *find, *HOW[how]]
    process = begun(*line, f"root={tmp_path / 'out'}", jobs=at_once, env=env)
    to_group(process, signal.SIGINT)
    while "stopping" not in process.said_so_far()[1]:
        time.sleep(0.01)
        assert process.poll() is None
    to_group(process, signal.SIGINT)
    said, errors = process.communicate()
    assert process.returncode == 130
    assert errors == SAID
    assert f"5 jobs: {at_once} stopped, {5 - at_once} not started" in said


def test_a_stopped_sweep_goes_on(tmp_path):
    line = ["-m", "seed=0,1", *TOY, "train.max_epochs=300"]
    process = begun(*line, *HOW["two"], f"root={tmp_path / 'cut'}", jobs=2)
    to_group(process, signal.SIGINT)
    process.communicate()
    for name in ("cut", "whole"):
        done = command(*line, f"root={tmp_path / name}")
        assert done.returncode == 0, done.stderr
    assert records(tmp_path / "cut") == records(tmp_path / "whole")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_a_single_run(number, tmp_path):
    process = begun(*LONG, f"root={tmp_path}")
    to_group(process, number)
    _, errors = process.communicate()
    assert process.returncode == 128 + number
    assert errors == SAID


def test_a_signal_that_is_ignored_stays_ignored(tmp_path):
    """As `nohup` has it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with SafeStop() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            stop.check()
    finally:
        signal.signal(signal.SIGHUP, before)
