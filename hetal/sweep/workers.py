"""Worker processes that run one job after another, and report how each job ended.

The supervising process imports no torch and starts no thread, so that it can fork. A worker imports what jobs need only
once. A worker that died is replaced, so that no job affects another.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from hetal.machine.signals import SIGNALS, Supervisor

# A forked worker has all imports of the supervisor at once. On other systems, libraries do not survive a fork.
START = "fork" if sys.platform == "linux" else "spawn"

Work = Callable[[int, Sequence[str]], Any]


@dataclass(frozen=True)
class JobEnd:
    """How a job ended.

    Attributes:
        number: of the job.
        result: what `work` returned; None if the worker died.
        died: how the worker died, such as "killed by signal 9 (SIGKILL)"; None if it did not.
    """

    number: int
    result: Any
    died: str | None = None


class _Worker:
    process: BaseProcess
    jobs: Connection
    number: int | None = None  # of the current job


class Workers:
    """A pool of at most `n` worker processes.

    Args:
        n: at least 1.
        work: called in a worker with the number and the overrides of each job.
        start: how processes are started, "fork" or "spawn"; with "spawn", `work` is pickled.
    """

    def __init__(self, n: int, work: Work, start: str = START) -> None:
        self._n = n
        self._work = work
        self._context: Any = multiprocessing.get_context(start)
        self._workers: list[_Worker] = []
        self._parent = os.getpid()
        self._closed = False
        # `_alive` is closed when this process stops its workers or dies, which they see at `_stop`.
        self._stop, self._alive = self._context.Pipe(duplex=False)
        atexit.register(self.close)

    @property
    def busy(self) -> list[int]:
        """Numbers of the running jobs."""
        return [worker.number for worker in self._workers if worker.number is not None]

    def start(self, number: int, overrides: Sequence[str]) -> None:
        """Start a job in an idle worker, or in a new one; fewer than `n` jobs may be running."""
        for worker in [worker for worker in self._workers if worker.number is None]:
            try:
                worker.jobs.send((number, list(overrides)))
            except OSError:  # the worker died while idle
                self._drop(worker)
                continue
            worker.number = number
            return
        assert len(self._workers) < self._n
        worker = _Worker()
        worker.jobs, worker_end = self._context.Pipe()
        to_close = [*(other.jobs for other in self._workers), worker.jobs, self._alive]
        if self._context.get_start_method() != "fork":  # only a fork inherits connections
            to_close = []
        worker.process = self._context.Process(
            target=_serve, args=(self._work, worker_end, self._stop, to_close)
        )
        worker.process.start()
        worker_end.close()
        self._workers.append(worker)
        worker.number = number
        with suppress(OSError):  # dead already, which `ended` reports
            worker.jobs.send((number, list(overrides)))

    def ended(self, seconds: float) -> list[JobEnd]:
        """Wait until a job ends, at most `seconds`, and return the jobs that have ended."""
        running = [worker for worker in self._workers if worker.number is not None]
        wait([end for worker in running for end in (worker.jobs, worker.process.sentinel)], timeout=seconds)
        ends = []
        for worker in running:
            assert worker.number is not None
            number = worker.number
            try:
                if worker.jobs.poll():
                    ends.append(JobEnd(number, worker.jobs.recv()))
                    worker.number = None
                    continue
                is_dead = worker.process.exitcode is not None
            except (EOFError, OSError):
                is_dead = True
            if is_dead:
                self._drop(worker)
                ends.append(JobEnd(number, None, exit_description(worker.process.exitcode or 0)))
        return ends

    def ask_to_stop(self) -> None:
        """Ask every job to stop at its next safe point; one that has not begun its rounds ends at once."""
        self._alive.close()
        for worker in self._workers:
            if worker.number is not None:
                worker.process.terminate()

    def kill(self) -> None:
        """Kill all workers."""
        for worker in self._workers:
            worker.process.kill()

    def close(self) -> None:
        """End all workers: idle ones end by themselves, the others are killed."""
        if self._closed or os.getpid() != self._parent:
            return
        self._closed = True
        self._alive.close()
        for worker in [*self._workers]:
            if worker.number is not None:
                worker.process.kill()
            worker.process.join()
            self._drop(worker)

    def _drop(self, worker: _Worker) -> None:
        worker.jobs.close()
        worker.process.join()
        self._workers.remove(worker)


def exit_description(code: int) -> str:
    """Describe the exit status of a process that died; a negative one is a signal number."""
    if code >= 0:
        return f"exited with status {code}"
    with suppress(ValueError):
        return f"killed by signal {-code} ({signal.Signals(-code).name})"
    return f"killed by signal {-code}"


def run_in_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Run `function` in a process of its own, which may import what this one must not, and return its result.

    Raises:
        RuntimeError: the process died.
    """
    context: Any = multiprocessing.get_context(START)
    end, child_end = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(child_end, function, arguments))
    process.start()
    child_end.close()
    try:
        return end.recv()
    except EOFError:
        process.join()
        raise RuntimeError(exit_description(process.exitcode)) from None
    finally:
        end.close()
        process.join()


def _send(end: Connection, function: Callable[..., Any], arguments: Sequence[Any]) -> None:
    atexit._clear()
    end.send(function(*arguments))


def _serve(work: Work, jobs: Connection, stop: Connection, to_close: Sequence[Connection]) -> None:
    """Run the loop of a worker process."""
    atexit._clear()  # exit handlers of the supervisor must not run here
    for connection in to_close:
        connection.close()
    # A terminal sends these to all processes; only the supervisor reacts, and asks each of its workers to stop.
    for number in set(SIGNALS) - {signal.SIGTERM}:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    Supervisor.present = True
    Supervisor.stop_requested = staticmethod(stop.poll)
    try:
        while stop not in wait([jobs, stop]):
            number, overrides = jobs.recv()
            jobs.send(work(number, overrides))
    except (EOFError, BrokenPipeError):
        pass  # the supervisor has died
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        atexit._run_exitfuncs()  # multiprocessing does not run them
