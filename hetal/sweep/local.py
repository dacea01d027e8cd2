"""hetal's launcher for one machine: jobs run in worker processes that it starts, supervises and replaces.

It replaces Hydra's basic launcher, which runs all jobs in its own process, and joblib's, which gives up all jobs if one
kills its process.
"""

from __future__ import annotations

import pickle
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from hetal.errors import BadInput
from hetal.machine.files import write_json
from hetal.machine.output import prefix_lines, protect_output
from hetal.machine.signals import SIGNALS, write_stderr
from hetal.record.overrides import as_typed
from hetal.sweep.jobs import (
    count_deaths,
    failure_reason,
    n_jobs,
    read_job,
    read_planned,
    report_failure,
    running_note,
    sweep_folder,
    write_job,
)
from hetal.sweep.workers import START, JobEnd, Workers

# Longest wait for a job to end before signals are checked, in seconds.
POLL_SECONDS = 0.2


class LocalLauncher(Launcher):
    """Runs the jobs of a sweep, `n_jobs` at a time, in worker processes.

    Args:
        n_jobs: at least 1.
        start: how processes are started, "fork" or "spawn"; None is the default of the system.
    """

    # Hydra accepts launchers only from this package.
    __module__ = "hydra_plugins.hetal"

    def __init__(self, n_jobs: int, start: str | None = None) -> None:
        self.n_jobs = n_jobs
        self._start = start or START
        self._workers: Workers | None = None
        self._signals: list[int] = []

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Store what jobs are made from; called by Hydra."""
        self.config = config
        self._task = _Task(hydra_context, task_function, config, self.n_jobs > 1)
        hydra_context.config_loader = _SkipSeenValues(hydra_context.config_loader)  # type: ignore[assignment]

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run jobs and wait for all of them, whatever a job does to its process.

        Args:
            job_overrides: overrides of every job.
            initial_job_idx: number of the first job.

        Raises:
            SystemExit: stopped by a signal.
        """
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        jobs = {initial_job_idx + i: list(job) for i, job in enumerate(job_overrides)}
        try:
            batch = _Batch(self.config, jobs, self.n_jobs)
        except BadInput as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(1) from None
        if self._workers is None:
            work = self._task if self._start == "fork" else _Pickled(self._task)
            self._workers = Workers(self.n_jobs, work, self._start)
        with self._signal_handlers():
            returned = self._run(batch, self._workers)
        if self._signals:
            print("stopped; the same command continues", file=sys.stderr)
            raise SystemExit(128 + self._signals[0])
        return [_job_return(job, returned.get(number)) for number, job in jobs.items()]

    def _run(self, batch: _Batch, workers: Workers) -> dict[int, float]:
        waiting = batch.in_order()
        returned: dict[int, float] = {}
        has_asked = False
        while True:
            while waiting and not self._signals and len(workers.busy) < self.n_jobs and not batch.is_over():
                number = waiting.pop(0)
                batch.announce(number, len(waiting) + 1 + len(workers.busy))
                try:
                    workers.start(number, batch.jobs[number])
                except OSError as error:  # no memory, or too many processes
                    message = f"no process can be started for it: {error.strerror or error}"
                    batch.note(JobEnd(number, message), stopping=False)
            if self._signals and not has_asked:
                workers.ask_to_stop()
                has_asked = True
            if len(self._signals) > 1:
                workers.kill()
            if not workers.busy:
                return returned
            for ended in workers.ended(POLL_SECONDS):
                batch.note(ended, stopping=bool(self._signals))
                if isinstance(ended.result, float):
                    returned[ended.number] = ended.result

    @contextmanager
    def _signal_handlers(self) -> Iterator[None]:
        handlers: dict[int, Any] = {}
        for number in SIGNALS:
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                handlers[number] = signal.signal(number, self._on_signal)
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)
        if len(self._signals) == 1:
            write_stderr(b"stopping after this epoch; once more stops at once\n")


def _job_return(job: list[str], value: float | None) -> JobReturn:
    """Return a job's value in the form that Hydra's sweepers expect; None for a failed job."""
    returned = JobReturn(overrides=job, status=JobStatus.COMPLETED)
    returned.return_value = value
    return returned


class _Batch:
    """Jobs that are launched together: their order, announcements and final states."""

    def __init__(self, config: DictConfig, jobs: dict[int, list[str]], at_once: int) -> None:
        self.jobs = jobs
        self._config = config
        self._at_once = at_once
        self._folder = sweep_folder(config.hydra)
        self._total = n_jobs(config.hydra)
        self._seconds: list[float] = []
        planned = read_planned(self._folder)
        if len(planned) in jobs:
            planned += jobs.values()  # from a sweeper that decides as it goes
            write_json(self._folder / "planned", planned)
        typed = [set(as_typed(job)) for job in jobs.values()]
        self._common = set.intersection(*typed) if len(typed) > 1 else set()

    def in_order(self) -> list[int]:
        """Return the numbers of the jobs in the order to run them; jobs that have died twice or more come last."""
        count = {number: count_deaths(self._config, job) for number, job in self.jobs.items()}
        return sorted(self.jobs, key=lambda number: count[number] if count[number] > 1 else 0)

    def is_over(self) -> bool:
        """Return whether no more jobs are to be started."""
        return bool(self._config.fail_fast) and (self._folder / "failed").exists()

    def announce(self, number: int, left: int) -> None:
        """Print which job starts, and the estimated time for all remaining jobs."""
        if self._config.dry_run:
            return
        varies = " ".join(o for o in as_typed(self.jobs[number]) if o not in self._common)
        print("  ".join(part for part in (self.name(number), varies, self._time_left(left)) if part))

    def name(self, number: int) -> str:
        """Return the name of a job in messages, see `hetal.sweep.jobs.job_label`."""
        return f"job {number + 1}" + (f" of {self._total}" if self._total else "")

    def note(self, ended: JobEnd, stopping: bool) -> None:
        """Write the state of a job that could not do so itself, since it died or could not be started."""
        number, job = ended.number, self.jobs[ended.number]
        written = read_job(self._folder, number) or {}
        if ended.died is None and not isinstance(ended.result, str):
            if written.get("state") == "done":
                self._seconds.append(float(written.get("seconds", 0)))
            return
        has_ended = written.get("state", "running") != "running"  # by itself, before its process died
        if stopping or has_ended:
            with suppress(OSError):  # not a death
                running_note(self._config, job).unlink()
        if has_ended:
            return
        reason = ended.died or ended.result
        state = "stopped" if stopping else "died" if ended.died else "failed"
        details = {"seconds": written["seconds"]} if "seconds" in written else {}
        if not stopping:
            details["error"] = reason
            report_failure(self._folder, number, job, reason, self.name(number))
        try:
            write_job(self._folder, number, job, state, details)
        except BadInput as error:
            print(f"error: {error}", file=sys.stderr)

    def _time_left(self, left: int) -> str:
        if not self._seconds:
            return ""
        seconds = round(sum(self._seconds) / len(self._seconds) * left / min(self._at_once, left))
        return f"about {seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02} left"


class _Task:
    """Runs one job in a worker."""

    def __init__(
        self, context: HydraContext, function: TaskFunction, config: DictConfig, side_by_side: bool
    ) -> None:
        self._context = HydraContext(context.config_loader, context.callbacks)
        self.function = function
        self._config = config
        self._side_by_side = side_by_side

    def __call__(self, number: int, overrides: Sequence[str]) -> float | str | None:
        """Return the objective; None if the job has written that it has none; or the reason why it has not, a str."""
        protect_output()
        if self._side_by_side:
            prefix_lines(f"[job {number + 1}] ")
        try:
            config = self._context.config_loader.load_sweep_config(self._config, list(overrides))
            with open_dict(config):
                config.hydra.job.id = number
                config.hydra.job.num = number
            job_return = run_job(
                hydra_context=self._context,
                task_function=self.function,
                config=config,
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
            )
            if job_return.status != JobStatus.COMPLETED:
                raise job_return._return_value
            value = job_return.return_value
        except KeyboardInterrupt:
            return None  # the job has written that it was stopped
        except BaseException as error:
            return failure_reason(error)
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            if self._side_by_side:
                prefix_lines(f"[job {number + 1}] ")  # ends an unfinished line
        return None if value is None else float(value)


class _Pickled:
    """A task for processes that are not forked: Hydra's settings travel with it."""

    def __init__(self, task: _Task) -> None:
        # Plugins are left out: each process has its own, without hetal's launcher.
        own = Singleton.get_state()["instances"]
        singletons = {kind: one for kind, one in own.items() if kind is not Plugins}
        self._content = pickle.dumps((task, singletons))
        self._task: _Task | None = None

    def __call__(self, number: int, overrides: Sequence[str]) -> Any:
        """Run the task."""
        if self._task is None:
            setup_globals()
            Plugins.instance()
            self._task, singletons = pickle.loads(self._content)
            state = Singleton.get_state()
            state["instances"].update(singletons)
            Singleton.set_state(state)
        assert self._task is not None
        return self._task(number, overrides)


class _SkipSeenValues:
    """A config loader that skips jobs without new values, for a sweeper that composes every job before any starts.

    Values that do not exist are still refused, and every job is composed again when it runs.
    """

    def __init__(self, loader: ConfigLoader) -> None:
        self._loader = loader
        self._seen: set[str] = set()

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig | None:
        """Compose a job; return None if all its values were seen before."""
        if self._seen.issuperset(sweep_overrides):
            return None
        config = self._loader.load_sweep_config(master_config, sweep_overrides)
        self._seen.update(sweep_overrides)
        return config

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)
