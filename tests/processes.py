"""`python launch.py` in processes of its own, forked from one that has torch imported already."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.warm"])


class Launched:
    """A `python launch.py` that has been started; it can be killed as any process can.

    Args:
        arguments: the command line.
        cwd: where it is started.
        env: all of its environment.
        nowhere: what stands for standard output in place of a file: a path, "closed", or "broken" for a pipe that
            nobody reads.
    """

    def __init__(
        self, arguments: list[str], cwd: Path, env: Mapping[str, str], nowhere: str | None = None
    ) -> None:
        self._said = [new_file() for _ in range(2)]
        self._process = FORKS.Process(target=_launch, args=(arguments, cwd, dict(env), *self._said, nowhere))
        self._process.start()
        self.pid = self._process.pid
        atexit.register(self.send_signal, signal.SIGKILL)  # else a failed test would wait for it at its end

    @property
    def returncode(self) -> int | None:
        """Its exit status, negative where a signal ended it; None while it runs."""
        return self._process.exitcode

    poll = returncode.fget

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def said_so_far(self) -> tuple[str, str]:
        """Return what it has written to stdout and stderr."""
        out, err = (path.read_text(errors="replace") for path in self._said)
        return out, err

    def communicate(self, timeout: float = 240) -> tuple[str, str]:
        """Wait for its end and return what it wrote to stdout and stderr."""
        self._process.join(timeout)
        if self.returncode is None:
            self.send_signal(signal.SIGKILL)
            raise subprocess.TimeoutExpired("launch.py", timeout)
        atexit.unregister(self.send_signal)  # which would keep this, and with it open files
        texts = [path.read_text(errors="replace") for path in self._said]
        for path in self._said:
            path.unlink()
        return texts[0], texts[1]


def new_file() -> Path:
    """Make an empty file of a name of its own."""
    descriptor, path = tempfile.mkstemp(prefix="hetal-said-")
    os.close(descriptor)  # a process of many tests would run out of them
    return Path(path)


def _launch(
    arguments: list[str], cwd: Path, env: dict[str, str], out: Path, err: Path, nowhere: str | None
) -> None:
    """Be `python launch.py`."""
    for number, path in enumerate((out, err), start=1):
        os.dup2(os.open(path, os.O_WRONLY), number)
    if nowhere == "closed":
        os.close(1)
        sys.stdout = None  # as a new python finds it
    elif nowhere == "broken":
        reader, writer = os.pipe()
        os.dup2(writer, 1)
        for end in (reader, writer):
            os.close(end)
    elif nowhere is not None:
        os.dup2(os.open(nowhere, os.O_WRONLY), 1)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.path[1:1] = [
        path for path in env.get("PYTHONPATH", "").split(os.pathsep) if path
    ]  # as a new python would
    os.setpgid(0, 0)  # as a shell does, so that a Ctrl-C can be sent to it and what it starts
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = [str(REPOSITORY / "launch.py"), *arguments]
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    finally:
        atexit._run_exitfuncs()  # multiprocessing leaves them out
