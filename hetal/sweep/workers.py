"""Processes that run one job after the other, and a watch over them: of every job it is told how it ended.

The process that watches keeps itself small: it imports no torch and starts no thread, so that it can fork. A worker
imports what jobs need once. What a job does to its process, it does to no other job: a worker that died is replaced.
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

# A fork has everything at once that the watching process has imported. Other systems' libraries do not survive one.
START = "fork" if sys.platform == "linux" else "spawn"

Work = Callable[[int, Sequence[str]], Any]


@dataclass(frozen=True)
class JobEnd:
    """How a job ended.

    Attributes:
        number: of the job.
        result: what its work returned; None where the worker died.
        died: how the worker died, such as "killed by signal 9 (SIGKILL)"; None where it did not.
    """

    number: int
    result: Any
    died: str | None = None


class _Worker:
    process: BaseProcess
    jobs: Connection
    number: int | None = None  # of the job it runs


class Workers:
    """At most `n` processes that run jobs.

    Args:
        n: at least 1.
        work: called in a worker with the number and the overrides of each job.
        start: how processes are started, "fork" or "spawn"; with "spawn" `work` is pickled.
    """

    def __init__(self, n: int, work: Work, start: str = START) -> None:
        self._n = n
        self._work = work
        self._context: Any = multiprocessing.get_context(start)
        self._workers: list[_Worker] = []
        self._parent = os.getpid()
        self._closed = False
        # Its other end is closed when this process wants no more of its workers, or has died.
        self._stop, self._alive = self._context.Pipe(duplex=False)
        atexit.register(self.close)

    @property
    def busy(self) -> list[int]:
        """The numbers of the jobs that run."""
        return [worker.number for worker in self._workers if worker.number is not None]

    def start(self, number: int, overrides: Sequence[str]) -> None:
        """Give a job to a worker that has none; there must be one, or room for one."""
        for worker in [worker for worker in self._workers if worker.number is None]:
            try:
                worker.jobs.send((number, list(overrides)))
            except OSError:  # it died when it had nothing to do
                self._drop(worker)
                continue
            worker.number = number
            return
        assert len(self._workers) < self._n
        worker = _Worker()
        worker.jobs, theirs = self._context.Pipe()
        not_theirs = [*(other.jobs for other in self._workers), worker.jobs, self._alive]
        if self._context.get_start_method() != "fork":  # what is not given to a process, it does not have
            not_theirs = []
        worker.process = self._context.Process(
            target=_serve, args=(self._work, theirs, self._stop, not_theirs)
        )
        worker.process.start()
        theirs.close()
        self._workers.append(worker)
        worker.number = number
        with suppress(OSError):  # dead already: `ended` tells
            worker.jobs.send((number, list(overrides)))

    def ended(self, seconds: float) -> list[JobEnd]:
        """Wait until a job ends, at most so long, and return those that have."""
        running = [worker for worker in self._workers if worker.number is not None]
        wait([end for worker in running for end in (worker.jobs, worker.process.sentinel)], timeout=seconds)
        found = []
        for worker in running:
            assert worker.number is not None
            number = worker.number
            try:
                if worker.jobs.poll():
                    found.append(JobEnd(number, worker.jobs.recv()))
                    worker.number = None
                    continue
                is_dead = worker.process.exitcode is not None
            except (EOFError, OSError):
                is_dead = True
            if is_dead:
                self._drop(worker)
                found.append(JobEnd(number, None, exit_description(worker.process.exitcode or 0)))
        return found

    def ask_to_stop(self) -> None:
        """Have every job stop at its next safe point; one that is not in its rounds yet ends here."""
        self._alive.close()
        for worker in self._workers:
            if worker.number is not None:
                worker.process.terminate()

    def kill(self) -> None:
        """End all workers at once."""
        for worker in self._workers:
            worker.process.kill()

    def close(self) -> None:
        """End all workers: those without a job by themselves, those with one at once."""
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
    """Say what an exit status tells of the death of a process; negative is a signal's number."""
    if code >= 0:
        return f"exited with status {code}"
    with suppress(ValueError):
        return f"killed by signal {-code} ({signal.Signals(-code).name})"
    return f"killed by signal {-code}"


def run_in_process(function: Callable[..., Any], *given: Any) -> Any:
    """Return what `function` returns in a process of its own, which may import what this one must not.

    Raises:
        RuntimeError: that process died.
    """
    context: Any = multiprocessing.get_context(START)
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(theirs, function, given))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:
        process.join()
        raise RuntimeError(exit_description(process.exitcode)) from None
    finally:
        ours.close()
        process.join()


def _send(end: Connection, function: Callable[..., Any], given: Sequence[Any]) -> None:
    atexit._clear()
    end.send(function(*given))


def _serve(work: Work, jobs: Connection, stop: Connection, not_ours: Sequence[Connection]) -> None:
    """Be a worker."""
    atexit._clear()  # what the watching process is to do at its end, this one is not
    for connection in not_ours:
        connection.close()
    # A terminal sends these to all processes at once; the one that watches then asks each of its workers.
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
        pass  # the watching process has died; there is nobody to tell
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        atexit._run_exitfuncs()  # multiprocessing leaves them out
