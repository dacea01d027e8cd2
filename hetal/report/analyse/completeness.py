"""Missing runs: seeds that were not run, runs not finished, jobs that failed; each with its command."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hetal.errors import BadInput
from hetal.record.overrides import as_typed
from hetal.record.redact import secret_names
from hetal.report.analyse.commands import command, command_again, command_line, kept, key_of, overrides_in
from hetal.report.analyse.setting import Setting
from hetal.report.load.printable import plain
from hetal.report.load.reading import Reading
from hetal.report.load.records import Run
from hetal.report.load.untrusted import UNREADABLE, read_json


@dataclass(frozen=True)
class Missing:
    """One run that is missing from a complete comparison.

    Attributes:
        what: its strategy, setting and seed; or its folder; or the overrides of a job.
        state: "not run", "not started", "running", "stopped", "not finished", "failed" or "damaged", with particulars.
        command: that runs it, from hetal's folder; empty where it is not known.
    """

    what: str
    state: str
    command: str


def missing(reading: Reading, settings: Sequence[Setting]) -> list[Missing]:
    """Return the runs that are missing from the records, and from the sweeps that made them."""
    jobs: dict[frozenset[str], dict[str, Any]] = {}
    for job in _jobs(reading.studies):
        key = key_of(job["overrides"])
        if job["state"] == "not started" and jobs.get(key, job)["state"] == "failed":
            continue  # the reason of the failure is more useful
        jobs[key] = job
    lost = [
        Missing(plain(folder, None), reason, "")
        if reason.startswith(UNREADABLE)
        else Missing(plain(folder, None), f"damaged: {reason}", command_again(folder))
        for folder, reason in reading.problems
    ]
    lost += [
        Missing(_short(run.folder), _state(run, jobs, "begun, no round finished"), command(run))
        for run in reading.begun
    ]
    for run in reading.runs:
        if run.summary is None and not _is_finished_elsewhere(run, settings):
            rounds = f"{len(run.rounds)} round{'s' * (len(run.rounds) != 1)}"
            state = _state(run, jobs, f"not finished: {rounds}")
            lost.append(Missing(_name(run, run.seed), state, command(run)))
    for setting in settings:
        seeds = sorted(set().union(*setting.runs.values()))
        for runs in setting.runs.values():
            example = next(iter(runs.values()))
            for seed in (seed for seed in seeds if seed not in runs):
                state = _job_state(jobs.get(key_of([*kept(example.overrides), f"seed={seed}"]))) or "not run"
                lost.append(Missing(_name(example, seed), state, command(example, seed)))
    known = {key_of(run.overrides) for run in (*reading.runs, *reading.begun)}
    listed = {key_of(overrides_in(m.command)) for m in lost}
    for key, job in jobs.items():
        state = _job_state(job)
        if state and key not in known | listed:
            again = command_line(kept(job["overrides"], "seed"), job["config_dirs"])
            lost.append(Missing(" ".join(as_typed(job["overrides"])), state, again))
    return lost


def _name(run: Run, seed: int) -> str:
    return f"{run.label}, {run.setting}, seed {seed}"


def _short(folder: Path) -> str:
    return plain(f"{folder.parent.name}/{folder.name}")


def _is_finished_elsewhere(run: Run, settings: Sequence[Setting]) -> bool:
    return any(
        setting.name == run.setting and run.seed in setting.finished.get(run.label, {})
        for setting in settings
    )


def _state(run: Run, jobs: dict[frozenset[str], dict[str, Any]], otherwise: str) -> str:
    """Return the state of a run that is not finished."""
    return _holder(run.folder) or _job_state(jobs.get(key_of(run.overrides)), of_record=True) or otherwise


def _job_state(job: dict[str, Any] | None, of_record: bool = False) -> str:
    """Return the state of a job that is not finished; empty where its record tells it."""
    state = job["state"] if job else ""
    if state == "failed":
        assert job is not None
        return f"failed: {plain(' '.join(str(job.get('error', 'no reason given')).split()), None)}"
    if of_record or state not in ("running", "stopped", "not started"):
        return ""
    return "running, or died" if state == "running" else state


def _holder(folder: Path) -> str:
    """Return which process writes a record, if any; one that died on another machine seems to be alive."""
    try:
        holder = read_json(folder / ".holder.json")
        if holder["host"] == platform.node():
            os.kill(int(holder["pid"]), 0)
        pid, host, since = (plain(holder[key], 60) for key in ("pid", "host", "since"))
        return f"running: process {pid} on {host} since {since}"
    except PermissionError:
        return "running: a process of another user"
    except (OSError, BadInput, ValueError, LookupError, TypeError, OverflowError):
        return ""


def _jobs(studies: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Yield the jobs of all sweeps into these studies, older sweeps first."""
    for root in sorted({study.parent for study in studies}):
        names = {study.name for study in studies if study.parent == root}
        for sweep in sorted((root / ".sweeps").glob("*")):
            planned = [{"overrides": o, "state": "not started"} for o in _json(sweep / "planned", list)]
            written = [_json(path, dict) for path in sorted(sweep.glob("*.json"))]
            where = [plain(one, None) for one in _json(sweep / "config_dirs", list) if isinstance(one, str)]
            for job in [*planned, *written]:
                if _is_job(job) and _study(job["overrides"]) in names:
                    # Cleaned like the overrides of records, which these are compared with.
                    given = [plain(o, None) for o in job["overrides"] if not secret_names([o])]
                    yield {**job, "overrides": given, "config_dirs": where}


def _is_job(job: Any) -> bool:
    return (
        isinstance(job.get("overrides"), list)
        and all(isinstance(o, str) for o in job["overrides"])
        and isinstance(job.get("state"), str)
    )


def _study(given: Sequence[str]) -> str:
    """Return the name of the study that a job belongs to."""
    values = dict(o.split("=", 1) for o in given if "=" in o)
    return values.get("name", values.get("+experiment", "default"))


def _json(path: Path, kind: type) -> Any:
    """Return the content of a JSON file; empty where it is missing, damaged, or of another kind."""
    with suppress(OSError, BadInput):
        content = read_json(path)
        if isinstance(content, kind):
            return content
    return kind()
