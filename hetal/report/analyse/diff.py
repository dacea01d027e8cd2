"""Differences between two experiments, run by run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hetal.errors import BadInput
from hetal.record.schema import MEASURED
from hetal.report.load.acquired import Array, read_queries
from hetal.report.load.printable import plain
from hetal.report.load.reading import Reading
from hetal.report.load.records import Run
from hetal.report.load.untrusted import describe

QUERIES = ("round", "ids", "labels", "source", "is_noisy")

# More runs that are on one side only are counted, and so many of each side named.
MOST_LISTED, NAMED = 20, 3


class Differences(NamedTuple):
    """What differs between two experiments.

    Attributes:
        lines: of text.
        n: runs that differ, are on one side only, or cannot be read.
        n_shared: runs that are on both sides.
    """

    lines: list[str]
    n: int
    n_shared: int


def differences(one: Reading, other: Reading) -> Differences:
    """Return which runs differ, are on one side only, or cannot be read; a line each, unless they are many.

    Runs are matched by every setting that can change a result, and the seed. Compared are all rounds except what
    describes the machine (`hetal.record.schema.MEASURED`), whether they are finished, and every row acquired; the rows
    themselves, since older records have no digest of them.

    Raises:
        BadInput: there is no round on either side, so there is nothing to compare.
    """
    if not one.runs and not other.runs and not one.problems and not other.problems:
        raise BadInput("there is nothing to compare: no run has finished a round")
    lines = [
        f"{plain(folder, None)}: {reason}" for reading in (one, other) for folder, reason in reading.problems
    ]
    first, second = (_by_key(reading, lines) for reading in (one, other))
    shared = sorted(first.keys() & second.keys())
    lines += [
        f"{plain(first[key].folder.name)}: {differs}"
        for key in shared
        if (differs := next(_differ(first[key], second[key]), None))
    ]
    only = [
        [side[key] for key in sorted(side.keys() - another.keys())]
        for side, another in ((first, second), (second, first))
    ]
    n_only = sum(map(len, only))
    n = len(lines) + n_only
    if not shared and not one.problems and not other.problems:
        lines.append(f"no run is in both: {len(first)} and {len(second)} runs")
    elif n_only <= MOST_LISTED:
        lines += [f"{plain(run.folder, None)}: only on one side" for side in only for run in side]
    else:
        lines += [
            _summarised(which, runs) for which, runs in zip(("first", "second"), only, strict=True) if runs
        ]
    return Differences(lines, n, len(shared))


def _summarised(which: str, runs: Sequence[Run]) -> str:
    names = ", ".join(plain(run.folder.name) for run in runs[:NAMED])
    return f"only in the {which}: {len(runs)} run{'s' * (len(runs) != 1)}, such as {names}"


def _by_key(reading: Reading, lines: list[str]) -> dict[str, Run]:
    runs: dict[str, Run] = {}
    for run in (*reading.runs, *reading.begun):
        key = json.dumps([sorted(run.config.items()), run.seed])
        if key in runs:
            lines.append(f"{plain(run.folder, None)}: the same run as {plain(runs[key].folder, None)}")
        runs.setdefault(key, run)
    return runs


def _differ(a: Run, b: Run) -> Iterator[str]:
    """Yield the differences between two records of one run."""
    for t, (x, y) in enumerate(zip(_results(a), _results(b), strict=False)):
        for key in sorted(x.keys() | y.keys()):
            if (key in x) != (key in y) or x[key] != y[key]:
                values = (plain(row.get(key, "absent"), 100) for row in (x, y))
                yield f"round {t}: {plain(key, 100)} is {' and '.join(values)}"
    if len(a.rounds) != len(b.rounds):
        yield f"{len(a.rounds)} rounds and {len(b.rounds)}"
    if _summary(a) != _summary(b):
        yield "only one is finished" if None in (a.summary, b.summary) else "summary.json differs"
    if a.rounds:
        yield from _acquired(a.folder / "queries.npz", b.folder / "queries.npz")


def _results(run: Run) -> Sequence[Mapping[str, Any]]:
    return [{k: v for k, v in row.items() if k not in (*MEASURED, "queries_digest")} for row in run.rounds]


def _summary(run: Run) -> dict[str, Any] | None:
    return None if run.summary is None else {k: v for k, v in run.summary.items() if k not in MEASURED}


def _acquired(a: Path, b: Path) -> Iterator[str]:
    try:
        one, other = _queries(a), _queries(b)
    except BadInput as error:
        yield str(error)
        return
    unequal = [name for name in QUERIES if not np.array_equal(one[name], other[name])]
    if unequal:
        yield f"queries.npz: {', '.join(unequal)} differ"


def _queries(path: Path) -> Mapping[str, Array]:
    try:
        return read_queries(path, QUERIES)
    except FileNotFoundError:
        raise BadInput(f"{plain(path, None)} is missing") from None
    except (OSError, BadInput) as error:
        raise BadInput(f"{plain(path.parent, None)}: {describe(error)}") from None
