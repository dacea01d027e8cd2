"""Sweeps whose jobs bring down their process, one job at a time and two: what did it is named, and the others run."""

import json
import re
import signal
import time
from pathlib import Path

import pytest

from hetal.sweep.workers import exit_description
from tests.command_line import TOY, command, start
from tests.killers import CODE, install

# What a job does, its state, and what is said of it.
DEEDS = {
    "kill": ("died", "killed by signal 9 (SIGKILL)"),
    "abort": ("died", "killed by signal 6 (SIGABRT)"),
    "segfault": ("died", "killed by signal 11 (SIGSEGV)"),
    "leave": ("died", "exited with status 3"),
    "leave_quietly": ("died", "exited with status 0"),
    "exit": ("failed", "called sys.exit(0)"),
    "exit_none": ("failed", "called sys.exit()"),
    "exit_text": ("failed", "called sys.exit('no')"),
    "odd": ("failed", "Odd: two lines, and [/markup] [bold]"),
    "odder": ("failed", "Odder: of no kind that anybody catches"),
    "interrupt": ("failed", "KeyboardInterrupt"),
}
ALONE, PAIRS = [], ["hydra.launcher.n_jobs=2"]


def job_files(root: Path) -> list[dict]:
    """Return what the jobs of the newest sweep have written, in order of their numbers."""
    sweep = max(path.parent for path in root.glob(".sweeps/*/planned"))
    return [json.loads(path.read_text()) for path in sorted(sweep.glob("*.json"), key=lambda p: int(p.stem))]


@pytest.mark.parametrize("how", [PAIRS], ids=["two"])
def test_whatever_a_job_does_it_is_named_and_the_others_run(how, tmp_path):
    find, env = install(tmp_path)
    deeds = ["nothing", *DEEDS]
    line = ["-m", "alg=harm", f"alg.deed={','.join(deeds)}", *TOY, *find, *how]
    done = command(*line, f"root={tmp_path / 'out'}", env=env)
    assert done.returncode == 1
    jobs = job_files(tmp_path / "out")
    assert len(jobs) == len(deeds)
    for i, (deed, job) in enumerate(zip(deeds, jobs, strict=True)):
        assert job["overrides"][1] == f"alg.deed={deed}"
        if deed == "nothing":
            assert job["state"] == "done"
            continue
        assert (job["state"], job["error"]) == DEEDS[deed]
        name = f"error in job {i + 1} of 12 (alg=harm alg.deed={deed} "
        (said,) = (said for said in done.stderr.splitlines() if name in said)
        assert said.endswith(DEEDS[deed][1])
    assert "12 jobs: 1 done, 5 died, 6 failed" in done.stdout
    assert "[/markup]" in done.stdout


@pytest.mark.parametrize("how", [ALONE], ids=["one"])
def test_what_died_runs_again_and_what_died_twice_comes_last(how, tmp_path):
    find, env = install(tmp_path)
    line = ["-m", "alg=harm", "alg.deed=kill,nothing", *TOY, *find, *how, "force=true"]
    line += [f"root={tmp_path / 'out'}"]

    def order() -> str:
        done = command(*line, env=env)
        assert done.returncode == 1
        assert "2 jobs: 1 died, 1 done" in done.stdout
        return "".join(re.findall(r"^job (\d) of 2", done.stdout, re.MULTILINE))

    assert [order() for _ in range(4)] == ["12", "12", "21", "21"]
    # Once it ends by itself, nothing is held against it.
    (tmp_path / "killers_of_a_user.py").write_text(CODE.replace("signal.SIGKILL", "0"))
    done = command(*line, env=env)
    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / "out" / ".sweeps" / "died").iterdir())


def test_a_single_run_that_calls_exit_is_not_done(tmp_path):
    find, env = install(tmp_path)
    done = command("alg=harm", "alg.deed=exit", *TOY, *find, f"root={tmp_path / 'out'}", env=env)
    assert done.returncode == 1
    assert done.stderr == "error: called sys.exit(0), and the run is not done\n"


def test_a_job_that_dies_before_its_first_round_is_named(tmp_path):
    find, env = install(tmp_path)
    (tmp_path / "bad_import.py").write_text("import os\nos.abort()\n")
    line = ["-m", "noise=clean,class", "seed=0", *TOY, *find, f"root={tmp_path / 'out'}"]
    done = command(*line, "alg=random", "alg._target_=bad_import.Strategy", env=env)
    assert done.returncode == 1
    assert "2 jobs: 2 died" in done.stdout


@pytest.mark.parametrize("how", [ALONE, PAIRS], ids=["one", "two"])
def test_fail_fast_starts_nothing_after_a_death(how, tmp_path):
    find, env = install(tmp_path)
    line = ["-m", "alg=harm", "alg.deed=kill", "seed=range(5)", "fail_fast=true", *TOY, *find, *how]
    done = command(*line, f"root={tmp_path / 'out'}", env=env)
    assert done.returncode == 1
    # Of two that run side by side, the other one dies too, or is stopped before it does.
    began = "1 died" if how == ALONE else "(2 died|1 died, 1 stopped|1 stopped, 1 died)"
    assert re.search(f"5 jobs: {began}, {4 - len(how)} not started", done.stdout)


def test_workers_stop_when_the_sweep_is_killed(tmp_path):
    process = start(
        "-m", "seed=0,1", *TOY, "train.max_epochs=100000", *PAIRS, f"root={tmp_path}",
    )  # fmt: skip
    holders = []
    while len(holders) < 2:
        time.sleep(0.02)
        holders = [json.loads(path.read_text()) for path in tmp_path.glob("*/*/.holder.json")]
        assert process.poll() is None
    assert process.pid not in {holder["pid"] for holder in holders}
    process.send_signal(signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + 120
    while any(is_running(holder["pid"]) for holder in holders):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert [job["state"] for job in job_files(tmp_path)] == ["stopped", "stopped"]
    assert not list(tmp_path.glob("*/*/.holder.json"))


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_how_it_died_in_words():
    assert exit_description(0) == "exited with status 0"
    assert exit_description(-9) == "killed by signal 9 (SIGKILL)"
    assert exit_description(-99) == "killed by signal 99"
