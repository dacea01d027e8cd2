"""What is missing: holes in the grid of seeds, runs not finished, jobs that failed; each with its command."""

from __future__ import annotations

import os
import platform
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hetal.errors import BadInput
from hetal.machine.installation import COMMAND
from hetal.record.redact import of_secrets
from hetal.report.analysis import Setting
from hetal.report.bounds import UNREADABLE, json_of
from hetal.report.plain import plain
from hetal.report.reading import Reading
from hetal.report.records import Run, overrides

# Overrides that say how to run, not what: a command that fills a gap needs none of them.
HOW = ("force", "dry_run", "fail_fast")


@dataclass(frozen=True)
class Missing:
    """One run that a complete comparison would have.

    Attributes:
        what: its strategy, setting and seed, or its folder, or the overrides of a job.
        state: "not run", "not started", "running", "stopped", "not finished", "failed" or "damaged", with particulars.
        command: what runs it, from hetal's folder; empty where that cannot be known.
    """

    what: str
    state: str
    command: str


def missing(reading: Reading, settings: Sequence[Setting]) -> list[Missing]:
    """Return everything that is missing of what was read, and of the sweeps that made it."""
    jobs: dict[frozenset[str], dict[str, Any]] = {}
    for job in _jobs(reading.studies):
        key = _key(job["overrides"])
        if (
            job["state"] != "not started" or jobs.get(key, job)["state"] != "failed"
        ):  # why it failed says more
            jobs[key] = job
    found = [
        Missing(plain(folder, None), reason, "")
        if reason.startswith(UNREADABLE)
        else Missing(plain(folder, None), f"damaged: {reason}", _again(folder))
        for folder, reason in reading.problems
    ]
    found += [
        Missing(_short(run.folder), _state(run, jobs, "begun, no round finished"), command(run))
        for run in reading.begun
    ]
    for run in reading.runs:
        if run.summary is None and not _is_finished_elsewhere(run, settings):
            rounds = f"{len(run.rounds)} round{'s' * (len(run.rounds) != 1)}"
            state = _state(run, jobs, f"not finished: {rounds}")
            found.append(Missing(_name(run, run.seed), state, command(run)))
    for setting in settings:
        seeds = sorted(set().union(*setting.runs.values()))
        for runs in setting.runs.values():
            example = next(iter(runs.values()))
            for seed in (seed for seed in seeds if seed not in runs):
                state = _job_state(jobs.get(_key([*_kept(example.overrides), f"seed={seed}"]))) or "not run"
                found.append(Missing(_name(example, seed), state, command(example, seed)))
    known = {_key(run.overrides) for run in (*reading.runs, *reading.begun)}
    listed = {_key(shlex.split(m.command)[len(COMMAND) :]) for m in found}
    for key, job in jobs.items():
        state = _job_state(job)
        if state and key not in known | listed:
            found.append(Missing(" ".join(job["overrides"]), state, _line(_kept(job["overrides"], "seed"))))
    return found


def command(run: Run, seed: int | None = None) -> str:
    """Return the line that runs a record's run, or the same at another seed, and finds the record where it is."""
    given = _kept(run.overrides, *(["seed"] if seed is None else []))
    if seed is not None:
        given.append(f"seed={seed}")
    study = run.folder.parent
    if run.name and study.name != run.name:
        given = [*(o for o in given if not o.startswith("name=")), f"name={study.name}"]
    if run.root and str(study.parent) != _whole(run.root):
        root = os.path.relpath(study.parent) if study.parent.is_relative_to(Path.cwd()) else str(study.parent)
        given = [*(o for o in given if not o.startswith("root=")), f"root={_quoted(root)}"]
    return _line(given)


def _whole(root: str) -> str:
    """Return a record's root from the root of the file system; what the path names is not looked at."""
    return os.path.abspath(os.path.expanduser(root) if root.split("/", 1)[0] == "~" else root)


def _line(given: Sequence[str]) -> str:
    return plain(shlex.join([*COMMAND, *given]), None)


def _kept(given: Sequence[str], *also: str) -> list[str]:
    """Return overrides without those that say how to run, and without the seed unless `also` names it."""
    dropped = {*HOW, *({"seed"} - set(also))}
    return [o for o in given if o.split("=", 1)[0].lstrip("+") not in dropped]


def _quoted(value: str) -> str:
    """Return a value as Hydra's grammar takes it."""
    if re.fullmatch(r"[\w./+-]+", value):
        return value
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", value)
    return f"'{escaped}'"


def _again(folder: Path) -> str:
    """Return the line that makes a damaged record again; nothing where its overrides cannot be read either."""
    try:
        return _line([*_kept(overrides(folder), "seed"), "force=true"])
    except Exception:  # whatever a damaged file raises
        return ""


def _key(given: Sequence[str]) -> frozenset[str]:
    """Return what two commands of one run have in common, wherever its study has been moved."""
    return frozenset(o for o in _kept(given, "seed") if not o.startswith("root="))


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
    """Say what became of a run that is not finished."""
    return _holder(run.folder) or _job_state(jobs.get(_key(run.overrides)), of_record=True) or otherwise


def _job_state(job: dict[str, Any] | None, of_record: bool = False) -> str:
    """Say what became of a job of a sweep that is not finished; nothing where that is all in the record."""
    state = job["state"] if job else ""
    if state == "failed":
        assert job is not None
        return f"failed: {plain(' '.join(str(job.get('error', 'no reason given')).split()), None)}"
    if of_record or state not in ("running", "stopped", "not started"):
        return ""
    return "running, or died" if state == "running" else state


def _holder(folder: Path) -> str:
    """Say which process writes a record, if one does; one that died on another machine still seems to."""
    try:
        holder = json_of(folder / ".holder.json")
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
            for job in [*planned, *written]:
                if _is_job(job) and _study(job["overrides"]) in names:
                    # As `overrides` of a record are, which these are compared with.
                    given = [plain(o, None) for o in job["overrides"] if not of_secrets([o])]
                    yield {**job, "overrides": given}


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
    """Return what a file holds, or nothing where it is not there, damaged, or of another kind."""
    with suppress(OSError, BadInput):
        found = json_of(path)
        if isinstance(found, kind):
            return found
    return kind()
