"""A sweep under any launcher: every job says on disk what became of it, and a table at the end sums that up.

Jobs may run in this process, in others, or on other machines; what they share is the sweep's folder,
`root/.sweeps/<when>/`. `planned` holds the jobs that are to run; each leaves `<number>.json`, and the first that fails
`failed`.
"""

from __future__ import annotations

import atexit
import json
import math
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from hetal.errors import BadInput, Stopped
from hetal.files import make_folder, write_json
from hetal.launchers import prepare_launcher
from hetal.secrecy import check_arguments, check_settings, redacted

# More jobs than this are counted, and only those that need attention are listed.
LISTED = 40

# States of jobs that want no attention.
FINE = ("done", "skipped", "to run", "to continue")

# The sweep whose jobs this process starts, if any.
_started_here: Path | None = None


class Sweep(Callback):
    """Hydra's hooks around a sweep, in the process that starts it."""

    def __init__(self) -> None:
        self._folder = Path()
        self._planned: list[list[str]] = []
        self._reported = False

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check that the sweep can be written down, before Hydra tries to."""
        global _started_here
        self._folder = Path(str(config.hydra.sweep.dir)).expanduser()
        try:
            # Of hydra's own settings too: it writes all of them to multirun.yaml.
            check_arguments([str(override) for override in config.hydra.overrides.task])
            check_settings(OmegaConf.to_container(config))
            prepare_launcher(config.hydra)
            try:
                make_folder(self._folder)
                self._planned = _planned(config)
                write_json(self._folder / "planned", self._planned)
            except BadInput as error:
                raise BadInput(f"root={config.root}: {error}") from None
        except BadInput as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(1) from None
        _started_here = self._folder
        atexit.register(self._report)  # for a sweep that is cut short

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the table; exit with 1 where a job failed."""
        if not self._report():
            raise SystemExit(1)

    def _report(self) -> bool:
        """Print what became of the jobs, once; tell whether all are done."""
        if self._reported:
            return True
        self._reported = True
        jobs = read_jobs(self._folder)
        if not jobs:  # Hydra has refused the settings, and said so
            self._leave_nothing()
            return False
        known = {tuple(job["overrides"]) for job in jobs}
        left = [job for job in self._planned if tuple(job) not in known]
        jobs += [{"overrides": job, "state": "not started"} for job in left]
        show_jobs(Console(), jobs)
        return all(job["state"] in FINE for job in jobs)

    def _leave_nothing(self) -> None:
        for name in ("multirun.yaml", "planned"):
            (self._folder / name).unlink(missing_ok=True)
        with suppress(OSError):  # where they are empty
            for folder in (self._folder, self._folder.parent):
                folder.rmdir()


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Attributes:
        state: "done", or "skipped" where it was finished already; in a dry run "to run" or "to continue" instead.
        folder: the record.
        area_under_curve: of the learning curve, in [0, 1]; NaN where there is none yet.
        final_accuracy: in [0, 1], or None.
        expected_seconds: of what a dry run would do, see `Record.expected`; or None.
    """

    state: str
    folder: Path
    area_under_curve: float = math.nan
    final_accuracy: float | None = None
    expected_seconds: float | None = None


def run_job(main: Callable[[], Outcome], fail_fast: bool) -> float | None:
    """Run one job of a sweep and write down what became of it.

    Args:
        main: the job.
        fail_fast: where a job has failed, run no other.

    Returns:
        The area under the learning curve; None where the job failed or was not run, which a sweeper counts as failed.

    Raises:
        BadInput: the sweep's folder cannot be written.
    """
    hydra = HydraConfig.get()
    folder = Path(str(hydra.sweep.dir)).expanduser()
    overrides = list(hydra.overrides.task)
    job: dict[str, Any] = {"overrides": overrides, "state": "running"}
    path = folder / f"{hydra.job.num}.json"
    began = time.monotonic()

    def write(**what: Any) -> None:
        job.update(what, seconds=round(time.monotonic() - began, 2))
        write_json(path, job)

    if fail_fast and has_failed():
        return None
    write()
    try:
        outcome = main()
    except Exception as error:
        if isinstance(error, BadInput):
            said = redacted(str(error))
        else:
            print(redacted(traceback.format_exc()), end="", file=sys.stderr)
            said = redacted(f"{type(error).__name__}: {error}".splitlines()[-1])
        print(f"error in job {hydra.job.num} ({' '.join(overrides)}): {said}", file=sys.stderr)
        write(state="failed", error=said)
        (folder / "failed").touch()
        if fail_fast and folder == _started_here:
            raise SystemExit(1) from None
        return None
    except Stopped as error:
        write(state="stopped")
        if error.signal is None:
            return None
        raise
    except BaseException:
        write(state="stopped")
        raise
    write(
        state=outcome.state,
        folder=str(outcome.folder),
        **({} if outcome.final_accuracy is None else {"accuracy": outcome.final_accuracy}),
        **({} if outcome.expected_seconds is None else {"expected_seconds": outcome.expected_seconds}),
    )
    return outcome.area_under_curve


def has_failed() -> bool:
    """Tell whether a job of the sweep that this job belongs to has failed."""
    return (Path(str(HydraConfig.get().sweep.dir)).expanduser() / "failed").exists()


def read_jobs(folder: Path) -> list[dict[str, Any]]:
    """Return what the jobs of the sweep in `folder` have written down, in order of their numbers."""
    paths = sorted(folder.glob("*.json"), key=lambda path: int(path.stem))
    jobs = [json.loads(path.read_text()) for path in paths]
    return [{**job, "state": "died"} if job["state"] == "running" else job for job in jobs]


def show_jobs(console: Console, jobs: Sequence[dict[str, Any]]) -> None:
    """Print the table of a sweep that has ended, and how many jobs ended how."""
    if not jobs:
        return
    common = set.intersection(*(set(job["overrides"]) for job in jobs))
    table = Table(box=None, pad_edge=False, header_style="bold", title="the sweep", title_justify="left")
    table.add_column("job", overflow="fold")
    table.add_column("state")
    table.add_column("accuracy", justify="right")
    table.add_column("seconds", justify="right")
    listed = [job for job in jobs if len(jobs) <= LISTED or job["state"] not in FINE]
    for job in listed:
        table.add_row(
            " ".join(o for o in job["overrides"] if o not in common) or " ".join(job["overrides"]),
            job["state"] + (f": {job['error']}" if "error" in job else ""),
            f"{job['accuracy']:.1%}" if "accuracy" in job else "",
            f"{job['seconds']:.1f}" if job["state"] in ("done", "failed", "stopped") else "",
        )
    if listed:
        console.print(table)
    counts = Counter(job["state"] for job in jobs)
    console.print(
        f"{len(jobs)} jobs: " + ", ".join(f"{n} {state}" for state, n in counts.items()),
        highlight=False,
    )
    planned = [job for job in jobs if job["state"] in ("to run", "to continue")]
    if known := [job["expected_seconds"] for job in planned if "expected_seconds" in job]:
        minutes = sum(known) / len(known) * len(planned) / 60
        console.print(f"about {minutes:,.0f} minutes of work, to judge by finished runs", highlight=False)
    if any(state not in FINE for state in counts):
        console.print("the same command runs what is missing", highlight=False)


def _planned(config: DictConfig) -> list[list[str]]:
    """Return the overrides of every job that Hydra's own sweeper will start; other sweepers decide as they go."""
    if not config.hydra.sweeper._target_.endswith(".BasicSweeper"):
        return []
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    given = [str(override) for override in config.hydra.overrides.task]
    params = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    batches = BasicSweeper.split_arguments(parser.parse_overrides([*params, *given]), None)
    return [list(job) for batch in batches for job in batch]
