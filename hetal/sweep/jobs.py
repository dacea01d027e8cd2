"""Jobs of a sweep under any launcher, and the state that each writes to disk.

Jobs may run in one process, in several, or on several machines; they share the sweep's folder, `root/.sweeps/<when>/`.
It holds `planned`, the overrides of the jobs; `config_dirs`, of a sweep that was given any; `<number>.json`, the state
of each job; and `failed`, once a job has failed.
While a job runs, `root/.sweeps/died/` holds a note with one line per start, removed when the job ends by itself. So a
job that repeatedly kills its process is known to later sweeps.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from hetal.errors import BadInput, Stopped
from hetal.machine.files import make_folder, write_json
from hetal.machine.signals import Supervisor
from hetal.record.overrides import as_typed
from hetal.record.redact import redacted

# States of jobs that need no attention.
GOOD_STATES = ("done", "skipped", "to run", "to continue")

# Longest error message in the state of a job, in characters; the traceback has all of it.
MAX_MESSAGE = 500

# Overrides that do not identify a job: how to run it, and where its record is.
NOT_IDENTIFYING = ("force", "dry_run", "fail_fast", "root")


@dataclass(frozen=True)
class JobResult:
    """Result of one job.

    Attributes:
        state: "done", or "skipped" if the run was finished already; in a dry run "to run" or "to continue".
        folder: of the record.
        area_under_curve: area under the learning curve (AULC), in [0, 1]; NaN in a dry run of an unfinished run.
        final_accuracy: in [0, 1], or None.
        expected_seconds: in a dry run, of what a run would do, see `hetal.record.duration`; or None.
        summary: contents of summary.json; empty in a dry run.
        is_bound: whether the strategy saw hidden labels.
    """

    state: str
    folder: Path
    area_under_curve: float = math.nan
    final_accuracy: float | None = None
    expected_seconds: float | None = None
    summary: Mapping[str, Any] = field(default_factory=dict)
    is_bound: bool = False


def run_job(main: Callable[[], JobResult], cfg: DictConfig) -> float | None:
    """Run one job of a sweep and write its state to the sweep's folder.

    Args:
        main: runs the job.
        cfg: config of the job.

    Returns:
        The area under the learning curve; None if the job failed or was not run, which a sweeper counts as failed.

    Raises:
        BadInput: the sweep's folder cannot be written.
    """
    hydra = HydraConfig.get()
    folder, number, overrides = sweep_folder(hydra), int(hydra.job.num), raw_overrides(hydra.overrides.task)
    if cfg.get("fail_fast") is True and has_failed():
        return None
    began = time.monotonic()

    def write(state: str, **details: Any) -> None:
        write_job(
            folder, number, overrides, state, {"seconds": round(time.monotonic() - began, 2), **details}
        )

    write("running")
    note = None if cfg.get("dry_run") is True else running_note(cfg, overrides)
    if note is not None:
        make_folder(note.parent)
        with (
            suppress(OSError),
            note.open("a") as file,
        ):  # without the note, only the order of jobs is affected
            file.write(f"{time.strftime('%F %T')} {folder.name} {number}\n")
    try:
        outcome = main()
    except Stopped as error:
        write("stopped")
        if error.signal is None:
            return None
        raise
    except BaseException as error:
        # A worker with a supervisor gets no Ctrl-C: a KeyboardInterrupt there is raised by the job's own code.
        if raised_by_cluster(error) or (isinstance(error, KeyboardInterrupt) and not Supervisor.present):
            write("stopped")
            raise
        reason = failure_reason(error)
        report_failure(folder, number, overrides, reason, f"job {job_label(hydra)}")
        write("failed", error=reason)
        return None
    finally:
        if note is not None:
            with suppress(OSError):
                note.unlink()
    write(
        outcome.state,
        folder=str(outcome.folder),
        **({} if outcome.final_accuracy is None else {"accuracy": outcome.final_accuracy}),
        **({} if outcome.expected_seconds is None else {"expected_seconds": outcome.expected_seconds}),
        **({"bound": True} if outcome.is_bound else {}),
    )
    return outcome.area_under_curve


def failure_reason(error: BaseException) -> str:
    """Return why a job failed, in one line; print the traceback if it is not the user's mistake."""
    if isinstance(error, BadInput):
        return redacted(str(error))
    if isinstance(error, SystemExit):
        return f"called sys.exit({'' if error.code is None else repr(error.code)})"
    print(redacted("".join(traceback.format_exception(error))), end="", file=sys.stderr)
    message = redacted(" ".join(str(error).split()))
    return f"{type(error).__name__}: {message[:MAX_MESSAGE]}" if message else type(error).__name__


def raised_by_cluster(error: BaseException) -> bool:
    """Return whether a cluster's job runner (submitit) raised `error`, to end this process and requeue its job."""
    frames = traceback.walk_tb(error.__traceback__)
    modules = (frame.f_globals.get("__name__", "") for frame, _ in frames)
    return any(module.split(".")[0] == "submitit" for module in modules)


def report_failure(folder: Path, number: int, overrides: Sequence[str], reason: str, name: str) -> None:
    """Print that a job failed, and mark the sweep as failed for the other jobs."""
    print(f"error in {name} ({' '.join(as_typed(overrides))}): {reason}", file=sys.stderr)
    with suppress(OSError):  # an unwritable folder is reported when the state of the job is written
        (folder / "failed").touch()


def sweep_folder(hydra: Any) -> Path:
    """Return the folder of the sweep."""
    return Path(str(hydra.sweep.dir))


def raw_overrides(overrides: Any) -> list[str]:
    """Return overrides as typed, with interpolations unresolved."""
    plain = OmegaConf.to_container(overrides, resolve=False)
    assert isinstance(plain, list)
    return [str(override) for override in plain]


def config_dirs(hydra: Any) -> list[str]:
    """Return where a command finds configs beside hetal's own: folders, or addresses such as pkg://mine.conf.

    They are those of --config-dir and `hydra.searchpath`, the first of which takes precedence.
    """
    named = [one for one in hydra.runtime.config_sources if "command-line" in str(one.provider)]
    return list(
        dict.fromkeys(
            redacted(os.path.abspath(one.path) if one.schema == "file" else f"{one.schema}://{one.path}")
            for one in named
        )
    )


def job_label(hydra: Any) -> str:
    """Return the label of this job in its sweep, such as "5 of 27", counted from one."""
    n, total = int(hydra.job.num) + 1, n_jobs(hydra)
    return f"{n} of {total}" if total else str(n)


def n_jobs(hydra: Any) -> int | None:
    """Return the number of jobs of the sweep; None if its sweeper decides as it goes."""
    if hydra.sweeper._target_.endswith(".BasicSweeper"):
        return len(read_planned(sweep_folder(hydra)))
    total: int | None = hydra.sweeper.get("n_trials")
    return total


def running_note(cfg: DictConfig, overrides: Sequence[str]) -> Path:
    """Return the note of the starts of this job; it exists while the job runs, and after its process died."""
    identifying = sorted(o for o in overrides if o.split("=", 1)[0].lstrip("+") not in NOT_IDENTIFYING)
    name = hashlib.sha256("\0".join(identifying).encode()).hexdigest()[:16]
    return Path(str(cfg.root)).expanduser() / ".sweeps" / "died" / name


def count_deaths(cfg: DictConfig, overrides: Sequence[str]) -> int:
    """Return how often this job was started and its process died, in all sweeps under the same root."""
    with suppress(OSError):
        return running_note(cfg, overrides).read_bytes().count(b"\n")
    return 0


def has_failed() -> bool:
    """Return whether a job of this job's sweep has failed."""
    return (sweep_folder(HydraConfig.get()) / "failed").exists()


def write_job(
    folder: Path, number: int, overrides: Sequence[str], state: str, details: Mapping[str, Any]
) -> None:
    """Write the state of a job and further details.

    Raises:
        BadInput: the sweep's folder cannot be written.
    """
    write_json(folder / f"{number}.json", {"overrides": list(overrides), "state": state, **details})


def read_job(folder: Path, number: int) -> dict[str, Any] | None:
    """Return what a job has written; None if there is nothing, or it cannot be read."""
    with suppress(OSError, ValueError, RecursionError):
        job = json.loads((folder / f"{number}.json").read_bytes())
        if isinstance(job, dict) and isinstance(job.get("overrides"), list) and "state" in job:
            return job
    return None


def read_jobs(folder: Path) -> list[dict[str, Any]]:
    """Return the jobs of the sweep in `folder` in order of their numbers, with their states."""
    planned = dict(enumerate(read_planned(folder)))
    stems = [path.stem for path in folder.glob("*.json")]
    written = {int(stem) for stem in stems if re.fullmatch("0|[1-9][0-9]*", stem)}
    jobs = []
    for number in sorted(planned.keys() | written):
        job = read_job(folder, number)
        if job is None:
            state = "unknown: its file is damaged" if number in written else "not started"
            job = {"overrides": planned.get(number, []), "state": state}
        elif job["state"] == "running":
            job["state"] = "died"
        jobs.append(job)
    return jobs


def read_planned(folder: Path) -> list[list[str]]:
    """Return the overrides of the planned jobs, as far as known."""
    with suppress(OSError, ValueError):
        planned: list[list[str]] = json.loads((folder / "planned").read_bytes())
        return planned
    return []
