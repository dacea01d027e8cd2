"""One job of a sweep, under any launcher: it says on disk what became of it.

Jobs may run in one process, in several, or on other machines; what they share is the sweep's folder,
`root/.sweeps/<when>/`. `planned` holds the jobs that are to run; each leaves `<number>.json`, and the first that
fails `failed`. While a job runs, and for ever where its process died, `root/.sweeps/died/` holds a note of it, with a
line for each time it was begun: so what brings down its process again and again is known from one sweep to the next.
"""

from __future__ import annotations

import hashlib
import json
import math
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
from hetal.record.redact import redacted

# States of jobs that want no attention.
GOOD_STATES = ("done", "skipped", "to run", "to continue")

# Characters of an error's message that are kept; the traceback has all.
MAX_MESSAGE = 500

# Overrides that say how to run a job, or where it is kept, and not which job it is.
NOT_IDENTIFYING = ("force", "dry_run", "fail_fast", "root")


@dataclass(frozen=True)
class JobResult:
    """What a run came to.

    Attributes:
        state: "done", or "skipped" where it was finished already; in a dry run "to run" or "to continue" instead.
        folder: the record.
        area_under_curve: of the learning curve, in [0, 1]; NaN where there is none yet.
        final_accuracy: in [0, 1], or None.
        expected_seconds: of what a dry run would do, see `Record.expected`; or None.
        summary: what summary.json holds of this run; empty after a dry run.
    """

    state: str
    folder: Path
    area_under_curve: float = math.nan
    final_accuracy: float | None = None
    expected_seconds: float | None = None
    summary: Mapping[str, Any] = field(default_factory=dict)


def run_job(main: Callable[[], JobResult], cfg: DictConfig) -> float | None:
    """Run one job of a sweep and write down what became of it.

    Args:
        main: the job.
        cfg: its config.

    Returns:
        The area under the learning curve; None where the job failed or was not run, which a sweeper counts as failed.

    Raises:
        BadInput: the sweep's folder cannot be written.
    """
    hydra = HydraConfig.get()
    folder, number, overrides = sweep_folder(hydra), int(hydra.job.num), raw_overrides(hydra.overrides.task)
    if cfg.get("fail_fast") is True and has_failed():
        return None
    began = time.monotonic()

    def write(state: str, **what: Any) -> None:
        write_job(folder, number, overrides, state, {"seconds": round(time.monotonic() - began, 2), **what})

    write("running")
    note = None if cfg.get("dry_run") is True else running_note(cfg, overrides)
    if note is not None:
        make_folder(note.parent)
        with suppress(OSError), note.open("a") as file:  # without it, the order of jobs is all that is lost
            file.write(f"{time.strftime('%F %T')} {folder.name} {number}\n")
    try:
        outcome = main()
    except Stopped as error:
        write("stopped")
        if error.signal is None:
            return None
        raise
    except BaseException as error:
        # A process that another one watches is sent no KeyboardInterrupt: what raises it is the job's own code.
        if raised_by_cluster(error) or (isinstance(error, KeyboardInterrupt) and not Supervisor.present):
            write("stopped")
            raise
        said = failure_reason(error)
        report_failure(folder, number, overrides, said, f"job {job_label(hydra)}")
        write("failed", error=said)
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
    )
    return outcome.area_under_curve


def failure_reason(error: BaseException) -> str:
    """Return in one line why a job failed; of what is no mistake of the user's, print the traceback too."""
    if isinstance(error, BadInput):
        return redacted(str(error))
    if isinstance(error, SystemExit):
        return f"called sys.exit({'' if error.code is None else repr(error.code)})"
    print(redacted("".join(traceback.format_exception(error))), end="", file=sys.stderr)
    said = redacted(" ".join(str(error).split()))
    return f"{type(error).__name__}: {said[:MAX_MESSAGE]}" if said else type(error).__name__


def raised_by_cluster(error: BaseException) -> bool:
    """Tell whether a cluster's job runner raised `error`, to end this process and queue its job again."""
    frames = traceback.walk_tb(error.__traceback__)
    modules = (frame.f_globals.get("__name__", "") for frame, _ in frames)
    return any(module.split(".")[0] == "submitit" for module in modules)


def report_failure(folder: Path, number: int, overrides: Sequence[str], said: str, name: str) -> None:
    """Say that a job failed, and let others know."""
    print(f"error in {name} ({' '.join(overrides)}): {said}", file=sys.stderr)
    with suppress(OSError):  # what cannot be written here is said when the job's own file is
        (folder / "failed").touch()


def sweep_folder(hydra: Any) -> Path:
    """Return the folder of the sweep."""
    return Path(str(hydra.sweep.dir))


def raw_overrides(overrides: Any) -> list[str]:
    """Return overrides as they were given, with nothing resolved in them."""
    plain = OmegaConf.to_container(overrides, resolve=False)
    assert isinstance(plain, list)
    return [str(override) for override in plain]


def job_label(hydra: Any) -> str:
    """Return which job of a sweep this is, such as "5 of 27"; people count from one."""
    n, total = int(hydra.job.num) + 1, n_jobs(hydra)
    return f"{n} of {total}" if total else str(n)


def n_jobs(hydra: Any) -> int | None:
    """Return how many jobs the sweep has; None where its sweeper decides as it goes."""
    if hydra.sweeper._target_.endswith(".BasicSweeper"):
        return len(read_planned(sweep_folder(hydra)))
    total: int | None = hydra.sweeper.get("n_trials")
    return total


def running_note(cfg: DictConfig, overrides: Sequence[str]) -> Path:
    """Return the file that notes when this job was begun; it is removed when the job ends by itself."""
    which = sorted(o for o in overrides if o.split("=", 1)[0].lstrip("+") not in NOT_IDENTIFYING)
    name = hashlib.sha256("\0".join(which).encode()).hexdigest()[:16]
    return Path(str(cfg.root)).expanduser() / ".sweeps" / "died" / name


def count_deaths(cfg: DictConfig, overrides: Sequence[str]) -> int:
    """Return how often this job was begun and never ended, in all sweeps into the same root."""
    with suppress(OSError):
        return running_note(cfg, overrides).read_bytes().count(b"\n")
    return 0


def has_failed() -> bool:
    """Tell whether a job of the sweep that this job belongs to has failed."""
    return (sweep_folder(HydraConfig.get()) / "failed").exists()


def write_job(
    folder: Path, number: int, overrides: Sequence[str], state: str, what: Mapping[str, Any]
) -> None:
    """Write down what became of a job: its state, and what else is known of it.

    Raises:
        BadInput: the sweep's folder cannot be written.
    """
    write_json(folder / f"{number}.json", {"overrides": list(overrides), "state": state, **what})


def read_job(folder: Path, number: int) -> dict[str, Any] | None:
    """Return what a job has written down; None where it has not, or where that cannot be read."""
    with suppress(OSError, ValueError, RecursionError):
        job = json.loads((folder / f"{number}.json").read_bytes())
        if isinstance(job, dict) and isinstance(job.get("overrides"), list) and "state" in job:
            return job
    return None


def read_jobs(folder: Path) -> list[dict[str, Any]]:
    """Return the jobs of the sweep in `folder` in order of their numbers, with what became of each."""
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
    """Return the overrides of the jobs that are to run, as far as they are known."""
    with suppress(OSError, ValueError):
        planned: list[list[str]] = json.loads((folder / "planned").read_bytes())
        return planned
    return []
