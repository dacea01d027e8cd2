"""Sweeps: what is said of each job, what is skipped, that no job leaves anything to the next."""

import importlib.util
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from hetal.report.analysis import settings_of
from hetal.report.completeness import missing
from hetal.report.reading import read
from tests.command_line import REPOSITORY, TOY, command, records, start

needs_joblib = pytest.mark.skipif(
    importlib.util.find_spec("hydra_plugins.hydra_joblib_launcher") is None,
    reason="needs hydra-joblib-launcher",
)


def purchases(root):
    found = {}
    for path in sorted(root.glob("*/*/queries.npz")):
        with np.load(path) as arrays:
            found[path.parent.name] = {name: arrays[name].tolist() for name in arrays.files}
    return found


def test_what_failed_is_named_and_only_that_runs_again(tmp_path):
    line = ["-m", "alg=random,badge", "n_start=40,5000", *[o for o in TOY if not o.startswith("n_start")]]
    line += [f"root={tmp_path}"]
    done = command(*line)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.count("n_start=5000: must be in 1..1000, the rows of the pool") == 2
    assert "error in job 1 (alg=random n_start=5000" in done.stderr
    assert "4 jobs: 2 done, 2 failed" in done.stdout
    assert done.stdout.count("round 3/3") == 2
    again = command(*line)
    assert again.returncode == 1
    assert "4 jobs: 2 skipped, 2 failed" in again.stdout
    assert "round 3/3" not in again.stdout
    fast = command(*line, "fail_fast=true")
    assert fast.returncode == 1
    assert "4 jobs: 1 skipped, 1 failed, 2 not started" in fast.stdout
    # The report knows all that from what the sweeps have left.
    reading = read([tmp_path / "default"])
    lost = missing(reading, settings_of(reading.runs))
    assert len(reading.runs) == 2
    assert [one.what.split()[:2] for one in lost] == [
        ["alg=random", "n_start=5000"],
        ["alg=badge", "n_start=5000"],
    ]
    assert all(one.state.startswith("failed: n_start=5000: must be in 1..1000") for one in lost)


def test_a_sweep_that_cannot_be_written_is_one_line(tmp_path):
    done = command("-m", "seed=0,1", *TOY, "root=/proc/none")
    assert done.returncode == 1
    assert done.stderr.startswith("error: root=/proc/none: cannot write /proc/none/.sweeps/")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("mistake", ["alg=random,badgee", "n_strat=5"])
def test_a_sweep_that_hydra_refuses_leaves_nothing_and_promises_nothing(mistake, tmp_path):
    done = command("-m", "seed=0,1", mistake, *TOY, f"root={tmp_path}")
    assert done.returncode == 1
    assert done.stdout == ""
    assert mistake.split("=")[0] in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_says_what_is_left_and_runs_nothing(tmp_path):
    command(*TOY, "alg=badge", "seed=0", f"root={tmp_path}")
    before = records(tmp_path)
    done = command("-m", "alg=badge,lhd", "seed=0,1", *TOY, "dry_run=true", f"root={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert "4 jobs: 1 skipped, 3 to run" in done.stdout
    assert "minutes of work" in done.stdout
    assert records(tmp_path) == before


def test_an_interrupted_sweep_says_what_is_missing(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "launch.py", "-m", "seed=range(9)", *TOY, "train.max_epochs=200", f"root={tmp_path}"],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while len(list(tmp_path.glob("*/*/rounds.jsonl"))) < 2:
        time.sleep(0.02)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopping after this epoch" in errors
    assert "Traceback" not in errors
    assert "9 jobs: 1 done, 1 stopped, 7 not started" in said
    assert "the same command runs what is missing" in said


@needs_joblib
def test_neither_the_jobs_before_nor_the_number_of_workers_change_a_bit(tmp_path):
    """Alone, as the last of nine jobs in one process, and among two workers: equal rounds and purchases."""
    sweep = ["-m", "alg=random,badge,lhd", "model=mlp_dropout", "train=published", "seed=1,2,0", *TOY]
    joblib = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    command("alg=lhd", "model=mlp_dropout", "train=published", "seed=0", *TOY, f"root={tmp_path / 'alone'}")
    for name, how in (("one", []), ("two", joblib)):
        done = command(*sweep, *how, f"root={tmp_path / name}", fresh=name == "two")
        assert done.returncode == 0, done.stderr
        assert "9 jobs: 9 done" in done.stdout
    alone, one, two = (tmp_path / name for name in ("alone", "one", "two"))
    assert records(one) == records(two)
    assert purchases(one) == purchases(two)
    assert len(records(one)) == 9
    (name,) = records(alone)
    assert records(alone)[name] == records(one)[name]
    assert purchases(alone)[name] == purchases(one)[name]


@needs_joblib
def test_jobs_that_are_one_run_wait_for_each_other(tmp_path):
    done = command(
        "-m", "noise=clean", "mult=0,1,2", *TOY, "train.max_epochs=200", "hydra/launcher=joblib",
        "hydra.launcher.n_jobs=3", f"root={tmp_path}", fresh=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "3 jobs: " in done.stdout
    assert "1 done" in done.stdout
    assert "2 skipped" in done.stdout
    assert len(records(tmp_path)) == 1


@needs_joblib
def test_one_failure_stops_the_jobs_of_other_workers(tmp_path):
    done = command(
        "-m", "n_start=40,5000", "seed=range(5)", *[o for o in TOY if not o.startswith("n_start")],
        "train.max_epochs=3000", "fail_fast=true", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2",
        "hydra.launcher.pre_dispatch=2", f"root={tmp_path}", fresh=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "1 failed" in done.stdout or "2 failed" in done.stdout
    assert "not started" in done.stdout


@needs_joblib
def test_a_killed_worker_is_a_died_job(tmp_path):
    process = subprocess.Popen(
        [
            sys.executable, "launch.py", "-m", "seed=0,1", *TOY, "train.max_epochs=2000",
            "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", f"root={tmp_path}",
        ],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    holders = []
    while not holders:
        time.sleep(0.05)
        holders = list(tmp_path.glob("*/*/.holder.json"))
        assert process.poll() is None
    worker = int(holders[0].read_text().split('"pid": ')[1].split(",")[0])
    assert worker != process.pid
    os.kill(worker, signal.SIGKILL)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "died" in said


def test_a_sweep_killed_again_and_again_ends_in_the_same_records(tmp_path):
    line = ["-m", "alg=random,badge,lhd", "noise=blank,class", "seed=range(4)", *TOY]
    command(*line, f"root={tmp_path / 'whole'}")
    whole = records(tmp_path / "whole")
    assert len(whole) == 24
    for kills in range(1, 6):
        process = start(*line, f"root={tmp_path / 'cut'}")
        while len(list(tmp_path.glob("cut/*/*/summary.json"))) < 4 * kills and process.poll() is None:
            time.sleep(0.013)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    done = command(*line, f"root={tmp_path / 'cut'}")
    assert done.returncode == 0, done.stderr
    assert "24 jobs" in done.stdout
    assert records(tmp_path / "cut") == whole
    assert purchases(tmp_path / "cut") == purchases(tmp_path / "whole")
