"""Output that cannot be written loses no result, ends in no traceback, and changes no exit status."""

import os
import subprocess
import sys

import pytest

from hetal.machine.output import Descriptor, prefix_lines, protect_output
from tests.command_line import REPOSITORY, TOY, environment, records, start

RUNS = {
    "run": TOY,
    "sweep": ["-m", "seed=0,1", *TOY],
    "pair": ["-m", "seed=0,1", *TOY, "hydra.launcher.n_jobs=2"],
}
FULL = "standard output lacks lines (No space left on device); the record and the exit status are as they should be"
FAILS = {"run": ["data.n_train=1"], "sweep": ["data.n_train=1,200"]}


def shell(line: list[str], redirected: str, root, **env: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command line in a shell that leaves the status of launch.py, whatever reads its output."""
    command = f'{sys.executable} launch.py "$@" {redirected}; exit ${{PIPESTATUS[0]}}'
    return subprocess.run(
        ["bash", "-c", command, "-", *line, f"root={root}"],
        cwd=REPOSITORY, env=environment(env), capture_output=True, timeout=240,
    )  # fmt: skip


@pytest.mark.parametrize("nowhere", ["/dev/full", "closed", "broken"])
@pytest.mark.parametrize("kind", RUNS)
def test_output_that_goes_nowhere_loses_no_result(kind, nowhere, tmp_path):
    process = start(*RUNS[kind], f"root={tmp_path}", nowhere=nowhere)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    n = 1 if kind == "run" else 2
    assert len(records(tmp_path)) == len(list(tmp_path.glob("*/*/summary.json"))) == n
    # Each of the processes that lack lines says so once.
    assert {*errors.splitlines()} == ({FULL} if nowhere == "/dev/full" else set())


@pytest.mark.parametrize("nowhere", ["/dev/full", "closed", "broken"])
@pytest.mark.parametrize("kind", FAILS)
def test_a_failure_is_one_whatever_becomes_of_the_output(kind, nowhere, tmp_path):
    line = [o for o in RUNS[kind] if not o.startswith("data.n_train")]
    process = start(*line, *FAILS[kind], f"root={tmp_path}", nowhere=nowhere)
    _, errors = process.communicate()
    assert process.returncode == 1
    assert "data.n_train=1: must be" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("redirected", ["> /dev/full 2> /dev/full", ">&- 2>&-", "| head -1"])
def test_a_shell_sees_the_status_of_the_run(redirected, tmp_path):
    done = shell(["-m", "seed=0,1", *TOY], redirected, tmp_path)
    assert done.returncode == 0
    assert done.stderr == b""
    assert len(list(tmp_path.glob("*/*/summary.json"))) == 2


@pytest.mark.parametrize(
    ("env", "kind"),
    [({"PYTHONIOENCODING": "ascii"}, "run"), ({"LC_ALL": "C"}, "sweep")],
    ids=["ascii, run", "C, sweep"],
)
def test_a_terminal_gets_what_it_can_show(env, kind, tmp_path):
    done = shell([*RUNS[kind], "name='größe'"], "", tmp_path, **env)
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    if "LC_ALL" in env:  # which Python takes for UTF-8
        assert "größe" in done.stdout.decode()
    else:
        assert "gr\\xf6\\xdfe" in done.stdout.decode("ascii")


def test_help_and_config_into_a_closed_pipe(tmp_path):
    for line in (["--help"], ["--cfg", "job"], ["--cfg", "hydra"]):
        done = shell(line, "| true", tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stderr == b""


def test_whole_lines_behind_their_prefix(tmp_path, monkeypatch):
    path = tmp_path / "out"
    raw = Descriptor(os.open(path, os.O_WRONLY | os.O_CREAT))
    raw.write(b"as it is ")
    raw.prefix = "[job 1] "
    raw.write(b"half")
    raw.write(b" a line\nand ")
    assert path.read_bytes() == b"as it is [job 1] half a line\n"
    assert not raw.isatty()
    raw.finish_line()
    assert path.read_bytes() == b"as it is [job 1] half a line\n[job 1] and \n"


def test_a_pipe_that_does_not_block_gets_everything():
    read, write = os.pipe()
    os.set_blocking(write, False)
    raw = Descriptor(write)
    child = os.fork()
    if child == 0:
        raw.write(b"x" * 300_000)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        assert len(file.read()) == 300_000
    assert os.waitpid(child, 0)[1] == 0


def test_protecting_twice_is_protecting_once(monkeypatch):
    for name, number in (("stdout", 1), ("stderr", 2)):
        monkeypatch.setattr(sys, name, os.fdopen(os.dup(number), "w"))
    protect_output()
    first = sys.stdout
    prefix_lines("x ")
    protect_output()
    assert sys.stdout is first
    assert first.buffer.raw.prefix == ""
