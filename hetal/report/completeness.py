"""What is missing: holes in the grid of seeds, runs not finished, jobs that failed; each with its command."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hetal.report.analysis import Setting
from hetal.report.reading import Reading


@dataclass(frozen=True)
class Missing:
    """One run that a complete comparison would have.

    Attributes:
        what: its strategy, setting and seed, or its folder.
        state: "not run", "not finished", "damaged" or "failed", with the reason where there is one.
        command: what runs it; empty where that cannot be known.
    """

    what: str
    state: str
    command: str


def missing(reading: Reading, settings: Sequence[Setting]) -> list[Missing]:
    """Return everything that is missing of what was read."""
    found = [Missing(str(folder), f"damaged: {reason}", "") for folder, reason in reading.problems]
    found += [Missing(str(folder), "begun, no round finished", "") for folder in reading.empty]
    for setting in settings:
        seeds = sorted(set().union(*setting.runs.values()))
        for label, runs in setting.runs.items():
            for seed in seeds:
                what = f"{label}, {setting.name}, seed {seed}"
                if seed not in runs:
                    example = next(iter(runs.values()))
                    found.append(Missing(what, "not run", command(example.overrides, seed)))
                elif (run := runs[seed]).summary is None:
                    found.append(
                        Missing(what, f"not finished: {len(run.rounds)} rounds", command(run.overrides, seed))
                    )
    done = {frozenset(run.overrides) for run in reading.runs if run.summary is not None}
    for job in _failed_jobs({run.folder.parent for run in reading.runs}):
        if frozenset(job["overrides"]) not in done:
            line = command(job["overrides"], None)
            found.append(Missing("a job of a sweep", f"failed: {job.get('error', 'no reason given')}", line))
    return found


def command(overrides: Sequence[str], seed: int | None) -> str:
    """Return the line that runs `overrides`, at another seed where one is given."""
    kept = [o for o in overrides if seed is None or not o.startswith("seed=")]
    return shlex.join(["python", "launch.py", *kept, *([] if seed is None else [f"seed={seed}"])])


def _failed_jobs(studies: set[Path]) -> Iterator[dict[str, Any]]:
    """Yield what failed jobs of sweeps into these studies have written down, each line of overrides once."""
    seen = set()
    for study in sorted(studies):
        for path in sorted((study.parent / ".sweeps").glob("*/*.json")):
            job = _job(path)
            if job is None or job["state"] != "failed" or str(job["overrides"]) in seen:
                continue
            given = dict(o.split("=", 1) for o in job["overrides"] if "=" in o)
            if given.get("name", given.get("+experiment", "default")) == study.name:
                seen.add(str(job["overrides"]))
                yield job


def _job(path: Path) -> dict[str, Any] | None:
    """Return what a job has written down, or None where it is none, or damaged."""
    try:
        job: dict[str, Any] = json.loads(path.read_bytes())
        return job if isinstance(job["state"], str) and isinstance(job["overrides"], list) else None
    except (OSError, ValueError, LookupError, TypeError):
        return None
