"""Sweeps on a real Slurm with accounting: `bash tests/slurm/up.sh DIR`, and SLURM_CONF=DIR/slurm.conf for the tests."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.command_line import REPOSITORY, TOY, command, environment, records
from tests.killers import install


def absent() -> str | None:
    """Say what these tests lack."""
    if importlib.util.find_spec("submitit") is None:
        return "submitit is not installed: pip install -e '.[slurm]'"
    if shutil.which("sinfo") is None or "SLURM_CONF" not in os.environ:
        return "no Slurm of the tests' own is running: tests/slurm/up.sh starts one"
    return None


pytestmark = [
    pytest.mark.skipif(absent() is not None, reason=str(absent())),
    pytest.mark.xdist_group("slurm"),
]

SLURM = ["hydra/launcher=slurm", "hydra.launcher.mem_gb=1"]


def queries(root: Path) -> dict[str, dict[str, list]]:
    found = {}
    for path in root.glob("*/*/queries.npz"):
        with np.load(path) as arrays:
            found[path.parent.name] = {name: arrays[name].tolist() for name in arrays.files}
    return found


def slurm(*line: str) -> str:
    return subprocess.run(line, capture_output=True, text=True, check=True, timeout=30).stdout


def start(root: Path, *overrides: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "launch.py", "-m", *overrides, *SLURM, f"root={root}"],
        cwd=REPOSITORY,
        env={**os.environ, "COLUMNS": "120"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def running_jobs(sweep: subprocess.Popen, root: Path, n: int) -> list[str]:
    """Wait until `n` jobs have entered a round, and return their Slurm ids."""
    deadline = time.monotonic() + 100
    while len(list(root.glob("*/*/rounds.jsonl"))) < n:
        assert sweep.poll() is None, sweep.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return slurm("squeue", "-h", "-t", "running", "-o", "%A").split()


def test_eight_jobs_leave_the_records_of_the_basic_launcher(tmp_path):
    line = ["-m", "alg=random,badge", "noise=blank,class", "seed=0,1", *TOY]
    here = command(*line, f"root={tmp_path / 'here'}")
    assert here.returncode == 0, here.stderr
    there = command(*line, *SLURM, f"root={tmp_path / 'there with a space'}", fresh=True)
    assert there.returncode == 0, there.stderr
    assert "8 jobs: 8 done" in there.stdout
    assert len(records(tmp_path / "here")) == 8
    assert records(tmp_path / "there with a space") == records(tmp_path / "here")
    assert queries(tmp_path / "there with a space") == queries(tmp_path / "here")


# Long enough that the first job still runs when the second has begun.
LONG = [*TOY, "train.max_epochs=800", "n_end=200"]


def test_preempted_jobs_go_on_and_end_in_the_same_records(tmp_path):
    sweep = start(tmp_path / "there", "seed=0,1", *LONG)
    low = running_jobs(sweep, tmp_path / "there", 2)
    rounds = {p: p.read_text() for p in (tmp_path / "there").glob("*/*/rounds.jsonl")}
    slurm(
        "sbatch",
        "-p",
        "high",
        "--exclusive",
        "-n",
        str(os.cpu_count()),
        "-o",
        "/dev/null",
        "--wrap",
        "sleep 3",
    )
    said, _ = sweep.communicate(timeout=200)
    assert sweep.returncode == 0, said
    restarts = slurm("sacct", "-X", "-n", "-D", "-j", ",".join(low), "-o", "state%20")
    assert "PREEMPTED" in restarts
    for path, before in rounds.items():
        assert path.read_text().startswith(before)  # what was finished was not run again
    command("-m", "seed=0,1", *LONG, f"root={tmp_path / 'here'}")
    assert records(tmp_path / "there") == records(tmp_path / "here")
    assert queries(tmp_path / "there") == queries(tmp_path / "here")


def test_a_killed_job_is_named_and_the_same_command_finishes_it(tmp_path):
    sweep = start(tmp_path, "seed=0,1", *LONG)
    running_jobs(sweep, tmp_path, 2)
    holder = next(tmp_path.glob("*/*-s0-*/.holder.json"))
    os.kill(int(holder.read_text().split('"pid": ')[1].split(",")[0]), signal.SIGKILL)
    said, _ = sweep.communicate(timeout=200)
    assert sweep.returncode == 1, said
    assert "2 jobs: 1 died, 1 done" in said
    again = start(tmp_path, "seed=0,1", *LONG)
    said, _ = again.communicate(timeout=200)
    assert again.returncode == 0, said
    assert "2 jobs: 1 done, 1 skipped" in said


def test_jobs_that_bring_down_their_process_are_named_and_the_others_run(tmp_path):
    find, env = install(tmp_path)
    line = [
        "-m",
        "alg=harm",
        "alg.deed=kill,exit,nothing,abort",
        *TOY,
        *find,
        *SLURM,
        f"root={tmp_path / 'out'}",
    ]
    done = subprocess.run(
        [sys.executable, "launch.py", *line],
        cwd=REPOSITORY, env=environment(env), capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "4 jobs: 2 died, 1 failed, 1 done" in done.stdout
    assert "failed: called sys.exit(0)" in done.stdout
