"""Two experiments, run by run: proof that a change altered nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hetal.report.reading import Reading, Run
from hetal.rounds import MEASURED


def differences(one: Reading, other: Reading) -> list[str]:
    """Return a line for every run that differs, is on one side only, or cannot be read; none where all is equal.

    Runs are matched by everything that can change a result, the seed included. Compared are all rounds but for what
    the machine adds (`hetal.rounds.MEASURED`), and every row bought.
    """
    sides = [{_key(run): run for run in reading.runs} for reading in (one, other)]
    lines = [f"{folder}: {reason}" for reading in (one, other) for folder, reason in reading.problems]
    for key in sorted(sides[0].keys() | sides[1].keys()):
        runs = [side.get(key) for side in sides]
        first, second = runs
        if first is None or second is None:
            there = first or second
            assert there is not None
            lines.append(f"{there.folder}: only on one side")
        elif said := _difference(first, second):
            lines.append(f"{first.folder.name}: {said}")
    return lines


def _key(run: Run) -> str:
    return json.dumps([sorted(run.config.items()), run.seed], default=str)


def _difference(a: Run, b: Run) -> str | None:
    if len(a.rounds) != len(b.rounds):
        return f"{len(a.rounds)} rounds and {len(b.rounds)}"
    for x, y in zip(_results(a.rounds), _results(b.rounds), strict=True):
        for key in x.keys() | y.keys():
            if x.get(key) != y.get(key):
                return f"round {x['round']}: {key} is {x.get(key)} and {y.get(key)}"
    return _bought_differently(a.folder / "queries.npz", b.folder / "queries.npz")


def _results(rounds: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k not in MEASURED} for row in rounds]


def _bought_differently(a: Path, b: Path) -> str | None:
    try:
        with np.load(a) as one, np.load(b) as other:
            unequal = [name for name in one.files if not np.array_equal(one[name], other[name])]
    except (OSError, ValueError, KeyError) as error:
        return f"queries.npz: {error}"
    return f"queries.npz: {', '.join(unequal)} differ" if unequal else None
