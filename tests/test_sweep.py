"""Sweeps: what is said of each job, what is skipped, that no job leaves anything to the next."""

import itertools
import os
import re
import signal
import time

import numpy as np
import pytest

from hetal.app.resolvers import sweep_folder
from hetal.machine.files import write_json
from hetal.report.analyse.completeness import missing
from hetal.report.analyse.setting import settings_of
from hetal.report.load.reading import read
from hetal.sweep.jobs import read_jobs, write_job
from hetal.sweep.launchers import is_installed
from tests.command_line import TOY, command, records, start
from tests.killers import install


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
    assert done.stderr.count("n_end=80: must be at least n_start, 5000") == 2
    assert "error in job 2 of 4 (alg=random n_start=5000" in done.stderr
    assert "4 jobs: 2 done, 2 failed" in done.stdout
    assert done.stdout.count("round 2 (3 of 3)") == 2
    again = command(*line)
    assert again.returncode == 1
    assert "4 jobs: 2 skipped, 2 failed" in again.stdout
    assert "round 2 (3 of 3)" not in again.stdout
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
    assert all(one.state.startswith("failed: n_end=80: must be at least n_start, 5000") for one in lost)


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
    process = start("-m", "seed=range(9)", *TOY, "train.max_epochs=200", f"root={tmp_path}")
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


def test_neither_the_jobs_before_nor_the_number_of_workers_change_a_bit(tmp_path):
    """Alone, as the last of nine jobs in one process, and among two workers: equal rounds and purchases."""
    sweep = ["-m", "alg=random,badge,lhd", "model=mlp_dropout", "train=published", "seed=1,2,0", *TOY]
    command("alg=lhd", "model=mlp_dropout", "train=published", "seed=0", *TOY, f"root={tmp_path / 'alone'}")
    for name, how in (("one", []), ("two", ["hydra.launcher.n_jobs=2"])):
        done = command(*sweep, *how, f"root={tmp_path / name}")
        assert done.returncode == 0, done.stderr
        assert "9 jobs: 9 done" in done.stdout
    alone, one, two = (tmp_path / name for name in ("alone", "one", "two"))
    assert records(one) == records(two)
    assert purchases(one) == purchases(two)
    assert len(records(one)) == 9
    (name,) = records(alone)
    assert records(alone)[name] == records(one)[name]
    assert purchases(alone)[name] == purchases(one)[name]


def test_jobs_that_are_one_run_wait_for_each_other(tmp_path):
    done = command(
        "-m", "noise=clean", "mult=0,1,2", *TOY, "train.max_epochs=200", "hydra.launcher.n_jobs=3",
        f"root={tmp_path}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "3 jobs: " in done.stdout
    assert "1 done" in done.stdout
    assert "2 skipped" in done.stdout
    assert len(records(tmp_path)) == 1


def test_one_failure_stops_the_jobs_of_other_workers(tmp_path):
    done = command(
        "-m", "seed=range(5)", "n_start=40,5000", *[o for o in TOY if not o.startswith("n_start")],
        "train.max_epochs=3000", "fail_fast=true", "hydra.launcher.n_jobs=2", f"root={tmp_path}",
    )  # fmt: skip
    assert done.returncode == 1
    assert "1 failed" in done.stdout or "2 failed" in done.stdout
    assert "not started" in done.stdout


def test_a_killed_worker_is_a_died_job(tmp_path):
    process = start(
        "-m", "seed=range(4)", *TOY, "train.max_epochs=400", "hydra.launcher.n_jobs=2", f"root={tmp_path}"
    )
    holders = []
    while not holders:
        time.sleep(0.05)
        holders = list(tmp_path.glob("*/*/.holder.json"))
        assert process.poll() is None
    worker = int(holders[0].read_text().split('"pid": ')[1].split(",")[0])
    assert worker != process.pid
    os.kill(worker, signal.SIGKILL)
    said, errors = process.communicate()
    assert process.returncode == 1
    assert "4 jobs: " in said
    assert "1 died" in said
    assert "3 done" in said
    assert "killed by signal 9 (SIGKILL)" in errors
    assert "Traceback" not in errors


def test_a_sweep_killed_again_and_again_ends_in_the_same_records(tmp_path):
    line = ["-m", "alg=random,badge,lhd", "noise=blank,class", "seed=range(2)", *TOY]
    command(*line, f"root={tmp_path / 'whole'}")
    whole = records(tmp_path / "whole")
    assert len(whole) == 12
    for kills in range(1, 6):
        process = start(*line, f"root={tmp_path / 'cut'}")
        while len(list(tmp_path.glob("cut/*/*/summary.json"))) < 2 * kills and process.poll() is None:
            time.sleep(0.013)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    done = command(*line, f"root={tmp_path / 'cut'}")
    assert done.returncode == 0, done.stderr
    assert "12 jobs" in done.stdout
    assert records(tmp_path / "cut") == whole
    assert purchases(tmp_path / "cut") == purchases(tmp_path / "whole")


def test_the_record_of_a_job_is_found_by_its_number(tmp_path):
    """Overrides are resolved in a job, and written otherwise than they were typed."""
    line = [
        "-m",
        "tracker=wandb",
        "tracker.mode=disabled",
        "tracker.project='${name}'",
        "seed=0,1",
        *TOY[:1],
        *TOY[2:],
    ]
    done = command(*line, f"root={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert "2 jobs: 2 done" in done.stdout
    again = command(*line, f"root={tmp_path}")
    assert again.returncode == 0, again.stderr
    assert "2 jobs: 2 skipped" in again.stdout


def test_what_else_lies_in_the_folder_of_a_sweep_is_no_job(tmp_path):
    folder = tmp_path / "sweep"
    folder.mkdir()
    for name, text in (("notes.json", "{}"), ("07.json", "{}"), ("7.txt", ""), ("\u0663.json", "{}")):
        (folder / name).write_text(text)
    done = command("-m", "seed=0,1", *TOY, "data.n_train=0", f"hydra.sweep.dir={folder}", f"root={tmp_path}")
    assert done.returncode == 1
    assert "2 jobs: 2 failed" in done.stdout
    assert "Traceback" not in done.stderr
    again = command("-m", "seed=0,1", *TOY, f"hydra.sweep.dir={folder}", f"root={tmp_path}")
    assert again.returncode == 1
    assert again.stderr == f"error: hydra.sweep.dir={folder}: is the folder of another sweep\n"


def test_a_job_whose_file_is_damaged_is_not_done(tmp_path):
    write_json(tmp_path / "planned", [["seed=0"], ["seed=1"], ["seed=2"]])
    write_job(tmp_path, 0, ["seed=0"], "done", {})
    (tmp_path / "1.json").write_text('{"overrides"')
    assert [job["state"] for job in read_jobs(tmp_path)] == [
        "done",
        "unknown: its file is damaged",
        "not started",
    ]


@pytest.mark.parametrize(
    "how", [[], ["hydra.launcher.n_jobs=2"], ["dry_run=true"]], ids=["one", "two", "dry"]
)
def test_no_message_is_taken_for_markup(how, tmp_path):
    paths = [tmp_path / "[" / "old]" / "a.npz", tmp_path / "[bold]b.npz"]
    line = [
        "-m",
        "data=npz",
        "data.path='" + "','".join(map(str, paths)) + "'",
        "n_start=4",
        "n_query=2",
        "n_end=8",
    ]
    done = command(*line, *how, "tracker=none", f"root={tmp_path / 'out'}", env={"COLUMNS": "500"})
    assert done.returncode == 1
    assert "2 jobs: 2 failed" in done.stdout
    for path in paths:
        assert f"data.path={path}: there is no such file" in done.stdout
        assert f"data.path={path}: there is no such file" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("-m seed=range(0)", "seed=range(0): has no values, so the sweep has no jobs"),
        ("-m alg=glob(none*) seed=0,1", "alg=glob(none*): has no values, so the sweep has no jobs"),
        ("-m seed=interval(0,1)", "BasicSweeper does not support sweep type : INTERVAL_SWEEP"),
        ("-m hydra.job.chdir=true seed=0,1", "hydra.job.chdir=true: runs do not change folders"),
        ("hydra.job.chdir=true", "hydra.job.chdir=true: runs do not change folders"),
        ("hydra.run.dir=out", "hydra.run.dir=out: results go to root/name"),
        ("-m hydra.output_subdir=x", "hydra.output_subdir=x: every run keeps its config in .hydra"),
        ("-m hydra.launcher.n_jobs=0", "hydra.launcher.n_jobs=0: must be at least 1, or -1"),
        ("-m hydra.launcher.n_jobs=two", "hydra.launcher.n_jobs=two: must be at least 1, or -1"),
        ("-m hydra.launcher.start=thread", "hydra.launcher.start=thread: must be fork, spawn or null"),
        ("-m hydra/launcher=parallel threads=0", "threads=0: must be at least 1"),
    ],
)
def test_a_sweep_that_cannot_be_is_one_line(line, said, tmp_path):
    done = command(*line.split(), *TOY, f"root={tmp_path}")
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_two_sweeps_that_start_at_once_with_one_process_id_have_two_folders(monkeypatch):
    monkeypatch.setattr("time.strftime", lambda form: "now")
    monkeypatch.setattr("os.getpid", lambda: 7)
    assert len({sweep_folder("root") for _ in range(20)}) == 20


def test_a_home_folder_is_found(tmp_path):
    done = command("-m", "seed=0", *TOY, "root='~/out'", cwd=tmp_path, env={"HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert len(records(tmp_path / "out")) == 1
    assert not (tmp_path / "~").exists()


@pytest.mark.parametrize("how", [[], ["hydra.launcher.n_jobs=2"]], ids=["one", "two"])
def test_a_sweep_says_which_job_of_how_many_and_how_long_is_left(how, tmp_path):
    done = command("-m", "alg=random,badge", "seed=0,1", *TOY, *how, f"root={tmp_path}")
    began = [line for line in done.stdout.splitlines() if line.startswith("job ") and " of " in line]
    assert [line.split("  ")[:2] for line in began] == [
        [f"job {i} of 4", f"alg={alg} seed={seed}"]
        for i, (alg, seed) in enumerate(itertools.product(("random", "badge"), (0, 1)), start=1)
    ]
    assert began[0].count("  ") == 1  # nothing is known yet
    assert re.fullmatch(r"about \d:\d\d:\d\d left", began[-1].split("  ")[2])


def test_lines_of_jobs_side_by_side_are_whole_and_carry_their_job(tmp_path):
    find, env = install(tmp_path)
    line = ["-m", "alg=print", "seed=0,1", *TOY, *find, "hydra.launcher.n_jobs=2", f"root={tmp_path / 'out'}"]
    done = command(*line, env=env)
    assert done.returncode == 0, done.stderr
    told, _ = done.stdout.split("the sweep")
    told = [line for line in told.splitlines() if not re.fullmatch(r"job \d of 2 .*", line)]
    assert all(re.match(r"\[job [12]\] ", line) for line in told)
    for number in (1, 2):
        mine = [line.split("] ", 1)[1] for line in told if line.startswith(f"[job {number}] ")]
        assert sum(line == f"a b {'c' * 9000} d end of line" for line in mine) == 2
        assert sum(line.startswith("and no end") for line in mine) == 2


def test_the_old_names_of_launchers_run_jobs_in_processes_too(tmp_path):
    names = ["basic"]
    if is_installed("hydra_plugins.hydra_joblib_launcher"):
        names.append("joblib")
    find, env = install(tmp_path)
    for name in names:
        line = ["-m", "alg=harm", "alg.deed=kill,nothing", *TOY, *find, f"hydra/launcher={name}"]
        done = command(*line, f"root={tmp_path / name}", env=env)
        assert done.returncode == 1
        assert "2 jobs: 1 died, 1 done" in done.stdout
