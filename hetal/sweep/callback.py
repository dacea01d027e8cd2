"""Hydra callback of a sweep under any launcher: checks and writes the plan, and prints the table of results."""

from __future__ import annotations

import atexit
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hetal.errors import BadInput
from hetal.machine.files import make_folder, write_json
from hetal.machine.output import plain_console
from hetal.record.overrides import as_typed
from hetal.record.redact import check_arguments, check_settings
from hetal.sweep.jobs import GOOD_STATES, config_dirs, raw_overrides, read_jobs, sweep_folder
from hetal.sweep.launchers import prepare_launcher
from hetal.sweep.mult import FACTOR, GROUP
from hetal.sweep.overrides import as_options

# With more jobs than this, the table lists only those that need attention.
LISTED = 40

# Files in a sweep's folder before the first job.
BEFORE = ("multirun.yaml", "planned", "config_dirs")


class Sweep(Callback):
    """Hydra's hooks around a run or a sweep, in the process that starts it."""

    def __init__(self) -> None:
        self._folder = Path()
        self._reported = False

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse Hydra settings that a run would ignore."""
        _or_exit(lambda: check_hydra(config))

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check the sweep and write its plan, before Hydra starts it."""
        _or_exit(lambda: self._begin(config))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the table of jobs; exit with status 1 if a job is not done."""
        if not self._report():
            raise SystemExit(1)

    def _begin(self, config: DictConfig) -> None:
        # Hydra's own settings are checked too, since it writes them to multirun.yaml.
        check_arguments(raw_overrides(config.hydra.overrides.task))
        check_settings(OmegaConf.to_container(config))
        check_hydra(config)
        prepare_launcher(config)
        _translate_params(config)
        planned = plan(config)
        folder = sweep_folder(config.hydra)
        try:
            make_folder(folder)
            try:
                # O_EXCL: of two sweeps with the same folder, only one gets it.
                os.close(os.open(folder / "planned", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            except FileExistsError:
                raise BadInput(f"hydra.sweep.dir={folder}: is the folder of another sweep") from None
            except OSError as error:
                raise BadInput(f"cannot write {folder / 'planned'}: {error.strerror or error}") from None
            write_json(folder / "planned", planned)
            if folders := config_dirs(config.hydra):
                write_json(folder / "config_dirs", folders)
        except BadInput as error:
            raise BadInput(str(error) if "=" in str(error) else f"root={config.root}: {error}") from None
        self._folder = folder
        atexit.register(self._report)  # if the sweep is cut short

    def _report(self) -> bool:
        """Print the table of jobs once; return whether all are done."""
        if self._reported:
            return True
        self._reported = True
        if not self._has_begun():
            self._remove_folder()  # Hydra has refused the settings, and printed why
            return False
        jobs = read_jobs(self._folder)
        done = all(job["state"] in GOOD_STATES for job in jobs)
        try:
            show_jobs(plain_console(), jobs)
        except Exception as error:  # printing must not change the outcome of the sweep
            print(f"the table cannot be printed: {type(error).__name__}: {error}", file=sys.stderr)
        return done

    def _has_begun(self) -> bool:
        with suppress(OSError):
            return bool({path.name for path in self._folder.iterdir()} - {*BEFORE})
        return True

    def _remove_folder(self) -> None:
        with suppress(OSError):  # folders that are not empty stay
            for name in BEFORE:
                (self._folder / name).unlink(missing_ok=True)
            for folder in (self._folder, self._folder.parent):
                folder.rmdir()


def _or_exit(act: Callable[[], None]) -> None:
    """Run one of Hydra's hooks, and exit on an error, of which Hydra would only warn."""
    try:
        act()
    except (BadInput, HydraException, OmegaConfBaseException) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(1) from None


def check_hydra(config: DictConfig) -> None:
    """Refuse Hydra settings that a run would ignore, or that would move its files.

    Raises:
        BadInput: names the setting.
    """
    hydra = config.hydra
    if hydra.job.chdir:
        raise BadInput("hydra.job.chdir=true: runs do not change folders; root= says where results go")
    if str(hydra.run.dir) != ".":
        raise BadInput(f"hydra.run.dir={hydra.run.dir}: results go to root/name; set root= and name=")
    if hydra.output_subdir is not None:
        raise BadInput(
            f"hydra.output_subdir={hydra.output_subdir}: every run keeps its config in .hydra itself"
        )


def _translate_params(config: DictConfig) -> None:
    """Translate the sweeper's parameters to the form that Hydra takes; what is typed takes precedence."""
    params: Any = OmegaConf.to_container(config.hydra.sweeper.get("params") or OmegaConf.create())
    typed = {
        override.partition("=")[0].lstrip("+") for override in raw_overrides(config.hydra.overrides.task)
    }
    swept = {}
    for name, values in params.items():
        first, *others = as_options([f"{name}={values}"])
        key, _, value = first.partition("=")
        if name != GROUP or typed.isdisjoint({GROUP, FACTOR}):
            swept[key] = values if key == name else value
        swept |= {word.partition("=")[0]: word.partition("=")[2] for word in others}
    if swept != params:
        with read_write(config), open_dict(config):
            config.hydra.sweeper.params = swept


def plan(config: DictConfig) -> list[list[str]]:
    """Return the overrides of every job that Hydra's basic sweeper will start; [] for sweepers that decide as they go.

    Raises:
        BadInput: there are no jobs.
        HydraException: a value is not allowed for this sweeper.
    """
    if not config.hydra.sweeper._target_.endswith(".BasicSweeper"):
        return []
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    params = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    overrides = parser.parse_overrides([*params, *raw_overrides(config.hydra.overrides.task)])
    batches = BasicSweeper.split_arguments(overrides, None)
    jobs = [list(job) for batch in batches for job in batch]
    if not jobs:
        empty = [o for o in overrides if o.is_discrete_sweep() and not list(o.sweep_string_iterator())]
        names = " ".join(str(o.input_line) for o in empty)
        raise BadInput(f"{names}: has no values, so the sweep has no jobs")
    return jobs


def show_jobs(console: Console, jobs: Sequence[dict[str, Any]]) -> None:
    """Print the table of a finished sweep, and the number of jobs in each state."""
    if not jobs:
        return
    jobs = [{**job, "overrides": as_typed(job["overrides"])} for job in jobs]
    common = set.intersection(*(set(job["overrides"]) for job in jobs))
    table = Table(box=None, pad_edge=False, header_style="bold", title="the sweep", title_justify="left")
    table.add_column("job", overflow="fold")
    table.add_column("state")
    table.add_column("accuracy", justify="right")
    table.add_column("seconds", justify="right")
    listed = [job for job in jobs if len(jobs) <= LISTED or job["state"] not in GOOD_STATES]
    for job in listed:
        cells = (
            " ".join(o for o in job["overrides"] if o not in common) or " ".join(job["overrides"]),
            job["state"] + (f": {job['error']}" if "error" in job else "") + ", a bound" * ("bound" in job),
            f"{job['accuracy']:.1%}" if "accuracy" in job else "",
            f"{job['seconds']:.1f}"
            if job["state"] in ("done", "failed", "stopped", "died") and "seconds" in job
            else "",
        )
        table.add_row(*(Text(cell) for cell in cells))
    if listed:
        console.print(table)
    counts = Counter(job["state"] for job in jobs)
    console.print(f"{len(jobs)} jobs: " + ", ".join(f"{n} {state}" for state, n in counts.items()))
    planned = [job for job in jobs if job["state"] in ("to run", "to continue")]
    if known := [job["expected_seconds"] for job in planned if "expected_seconds" in job]:
        minutes = sum(known) / len(known) * len(planned) / 60
        console.print(f"about {minutes:,.0f} minutes of work, to judge by finished runs")
    if any(state not in GOOD_STATES for state in counts):
        console.print("the same command runs what is missing")
