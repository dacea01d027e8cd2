"""The command: its arguments, what it writes, how it waits and how it ends."""

import csv
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest

from hetal.report.__main__ import main
from hetal.report.files.parallel import in_background
from tests.command_line import REPOSITORY
from tests.synthetic import write_run

EVERYTHING = {
    "index.html", "numbers.tex", "numbers.csv", "comparisons.csv", "penalties.csv", "ranks.csv", "curves.csv",
    "runs.csv", "missing.csv", "accuracy.svg", "accuracy.png",
}  # fmt: skip


@pytest.fixture
def study(tmp_path):
    for alg in ("random", "badge"):
        for seed in range(2):
            write_run(tmp_path, f"alg={alg}", "name=study", seed=seed, accuracy=[0.5, 0.6 + seed / 100])
    return tmp_path / "study"


def run(*arguments):
    return main([*map(str, arguments), "--no-pictures"])


def test_a_study_is_reported_beside_its_runs(study, capsys):
    assert run(study) == 0
    assert {path.name for path in (study / "report").iterdir()} >= EVERYTHING
    said = capsys.readouterr()
    assert said.out.startswith("4 runs in 1 setting, ")
    assert said.err == ""
    before = (study / "report" / "numbers.csv").read_bytes()
    assert run(study) == 0  # and its own folder does not disturb it
    assert (study / "report" / "numbers.csv").read_bytes() == before


def test_out_title_and_one_run(study, tmp_path):
    folder = next(study.glob("badge-*"))
    assert run(folder, "--out", tmp_path / "x" / "y", "--title", "Mine & yours") == 0
    assert "Mine &amp; yours" in (tmp_path / "x" / "y" / "index.html").read_text()
    assert not (folder / "report").exists()


def test_a_sweep_in_progress_is_reported(study, tmp_path):
    write_run(tmp_path, "alg=margin", "name=study", finished=False, accuracy=[0.3])
    assert run(study) == 0
    assert "margin" in (study / "report" / "missing.csv").read_text()


def test_a_target_is_counted_to(study):
    assert run(study, "--target", "0.45") == 0
    with open(study / "report" / "numbers.csv", newline="") as file:
        # All are there from the start, with 100 labels.
        assert [(row["reach"], row["saving"]) for row in csv.DictReader(file)] == [("100.0", "0.0")] * 2


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([], 2, "the following arguments are required: folders"),
        (["nowhere"], 1, "nowhere: there is no such folder"),
        (["STUDY", "--watch", "0"], 1, "--watch 0.0: must be a positive number of seconds"),
        (["STUDY", "--watch", "inf"], 1, "--watch inf: must be a positive"),
        (["STUDY", "--watch", "nan"], 1, "--watch nan: must be a positive"),
        (["STUDY", "--watch", "soon"], 2, "invalid float value: 'soon'"),
        (["STUDY", "--target", "80"], 1, "--target 80.0: must be in [0, 1], since accuracy is a share"),
        (["STUDY", "--target", "-1", "--measure", "nll"], 1, "--target -1.0: must be a number from 0"),
        (
            ["STUDY", "--measure", "nll,acuracy"],
            1,
            "--measure acuracy: must be of accuracy, balanced_accuracy, ",
        ),
        (["STUDY", "--measure", "n_labelled"], 1, "--measure n_labelled: must be of accuracy"),
        (["STUDY", "--measure", ""], 1, "--measure '': must be of accuracy"),
        (["STUDY", "--names", "nowhere.yaml"], 1, "--names nowhere.yaml: cannot be read: No such file"),
        (["STUDY", "--diff", "--names", "x"], 1, "--diff compares two folders"),
        (["STUDY", "--diff"], 1, "--diff compares two folders, not 1"),
        (["STUDY", "STUDY", "--diff", "--watch", "3"], 1, "--diff and --watch: must be one of them"),
        (["STUDY", "--nonsense"], 2, "unrecognized arguments: --nonsense"),
        (["STUDY", "--out", "/proc/none"], 1, "cannot write /proc/none"),
        (["nowhere", "--watch", "1"], 1, "nowhere: there is no such folder"),
    ],
)
def test_a_mistake_is_one_line(study, capsys, monkeypatch, arguments, status, said):
    monkeypatch.chdir(study.parent)
    try:
        found = main([str(study) if a == "STUDY" else a for a in arguments])
    except SystemExit as error:
        found = error.code
    err = capsys.readouterr().err
    assert found == status
    assert err.startswith("error: ")
    assert said in err
    assert err.count("\n") == 1
    assert not (study / "report").exists()


def test_watching_waits_refreshes_and_ends_with_ctrl_c(tmp_path):
    (tmp_path / "study").mkdir()
    line = [sys.executable, "-m", "hetal.report", str(tmp_path / "study"), "--watch", "0.2", "--no-pictures"]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    watching = subprocess.Popen(
        line, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert "not yet: " in watching.stderr.readline()  # nothing is there
        write_run(tmp_path, "alg=random", "name=study", accuracy=[0.5, 0.6])
        assert watching.stdout.readline().startswith("1 run in 1 setting")
        page = tmp_path / "study" / "report" / "index.html"
        assert '<meta http-equiv="refresh" content="0.2">' in page.read_text()
        write_run(tmp_path, "alg=badge", "name=study", accuracy=[0.5, 0.6])
        while not watching.stdout.readline().startswith("2 runs"):
            assert watching.poll() is None
        assert page.read_text().rstrip().endswith("</html>")  # whole, whenever it is read
        watching.send_signal(signal.SIGINT)
        out, err = watching.communicate(timeout=60)
        assert watching.returncode == 0
        assert "Traceback" not in out + err
        assert not list(page.parent.glob(".*.tmp"))
    finally:
        watching.kill()


@pytest.mark.parametrize("where", ["closed", "full", "nobody"])
def test_what_cannot_be_printed_changes_nothing(study, where):
    line = [sys.executable, "-m", "hetal.report", str(study), "--no-pictures"]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    if where == "nobody":
        reader, out = os.pipe()
        os.close(reader)
    else:
        out = os.open("/dev/full", os.O_WRONLY)
    shell = ["sh", "-c", 'exec "$@" >&-', "sh"] if where == "closed" else []
    done = subprocess.run([*shell, *line], stdout=out, stderr=subprocess.PIPE, env=env, text=True)
    os.close(out)
    assert (done.returncode, done.stderr) == (0, "")
    assert (study / "report" / "index.html").exists()


# Work in other processes.


def write_pid(path):
    path.write_text(str(os.getpid()))


def die_in_a_child(path, parent):
    if os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    path.write_text("done")


def wait(seconds, path):
    try:
        path.with_suffix(".begun").touch()
        time.sleep(seconds)
    except BaseException:
        path.with_suffix(".ended").touch()
        raise


def cores(monkeypatch, n):
    monkeypatch.setattr(os, "cpu_count", lambda: n)


@pytest.mark.parametrize("n_cores", [1, 2, 8])
def test_all_tasks_are_done_beside_the_body(tmp_path, monkeypatch, n_cores):
    cores(monkeypatch, n_cores)
    with in_background([partial(write_pid, tmp_path / f"{i}") for i in range(5)]):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2", "3", "4"]
    if sys.platform.startswith("linux"):
        assert ({path.read_text() for path in tmp_path.iterdir()} == {str(os.getpid())}) == (n_cores == 1)


def test_without_safe_forks_tasks_are_done_here(tmp_path, monkeypatch):
    cores(monkeypatch, 2)
    monkeypatch.setattr(sys, "platform", "darwin")
    with in_background([partial(write_pid, tmp_path / f"{i}") for i in range(2)]):
        assert not list(tmp_path.iterdir())
    assert [path.read_text() for path in tmp_path.iterdir()] == [str(os.getpid())] * 2


@pytest.mark.parametrize("n_cores", [1, 2])
def test_an_error_of_a_task_is_raised_here(capfd, monkeypatch, n_cores):
    cores(monkeypatch, n_cores)
    with pytest.raises(ZeroDivisionError), in_background([partial(divmod, 1, 1), partial(divmod, 1, 0)]):
        pass
    assert "Traceback" not in capfd.readouterr().err


def test_tasks_of_a_process_that_was_killed_are_done_here(tmp_path, monkeypatch):
    cores(monkeypatch, 2)
    with in_background([partial(die_in_a_child, tmp_path / f"{i}", os.getpid()) for i in range(3)]):
        pass
    assert [path.read_text() for path in tmp_path.iterdir()] == ["done"] * 3


def test_an_error_of_the_body_ends_the_tasks(tmp_path, monkeypatch):
    cores(monkeypatch, 2)
    began = time.monotonic()
    tasks = [partial(wait, 60, tmp_path / f"{i}") for i in range(8)]
    with pytest.raises(KeyError), in_background(tasks):  # noqa: PT012
        while len(list(tmp_path.glob("*.begun"))) < 2:
            time.sleep(0.01)
        raise KeyError
    assert time.monotonic() - began < 50
    assert len(list(tmp_path.glob("*.begun"))) == len(
        list(tmp_path.glob("*.ended"))
    )  # by an exception, not killed
    assert not multiprocessing.active_children()


def test_options_may_stand_between_the_folders(tmp_path, capsys):
    for name in ("a", "b"):
        write_run(tmp_path / name, "alg=random", "name=study")
    both = [str(tmp_path / name / "study") for name in ("a", "b")]
    assert main([both[0], "--out", str(tmp_path / "out"), both[1], "--no-pictures"]) == 0
    assert capsys.readouterr().out.startswith("2 runs in 1 setting, ")
    said = (tmp_path / "out" / "index.html").read_text()
    assert "<h1>a/study and b/study</h1>" in said


@pytest.mark.parametrize("option", [["--out", "x"], ["--title", "x"], ["--target", "0.5"], ["--no-pictures"]])
def test_what_diff_would_ignore_is_refused(tmp_path, capsys, option):
    folder = str(write_run(tmp_path, "alg=random", "name=study").parent)
    assert main([folder, folder, "--diff", *option]) == 1
    assert f"--diff and {option[0]}: must be one of them" in capsys.readouterr().err
