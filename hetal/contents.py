"""What a run's folder holds: read, checked, and mended where that is exact.

A round is a pure function of what was bought before it, so a round that cannot be read is run again and gives the
same bits. A damage that would lose more than the last round is refused: someone may have a copy.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError

from hetal.errors import BadInput
from hetal.files import read_npz
from hetal.provenance import Session
from hetal.rounds import START, Bought, Round

AGAIN = "force=true starts again"


@dataclass(frozen=True)
class About:
    """What `provenance.json` holds.

    Attributes:
        id: of this record, drawn when it was begun.
        data: `Setup.fingerprint` of its data.
        choices: the option chosen in each config group.
        made_by: see `hetal.provenance.made_by`.
        source: see `hetal.provenance.source`.
        sessions: every start, see `hetal.provenance.session`.
    """

    id: str
    data: str
    choices: dict[str, str]
    made_by: dict[str, str]
    source: dict[str, str | None]
    sessions: list[Session]


@dataclass(frozen=True)
class Contents:
    """All that a run has left so far.

    Attributes:
        about: None where the run was never begun.
        rounds: finished rounds.
        bought: the start set and what each finished round bought; empty where no round is finished.
        summary: of the finished run; None while it is not finished.
        notes: what was found damaged and can be made again.
    """

    about: About | None = None
    rounds: tuple[Round, ...] = ()
    bought: tuple[Bought, ...] = ()
    summary: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()


def read_contents(folder: Path) -> Contents:
    """Read what the run of `folder` has left; nothing of it is ever unpickled.

    Raises:
        BadInput: a file is damaged beyond what running one round again would mend, or cannot be read.
    """
    notes: list[str] = []
    try:
        about = _read_about(folder / "provenance.json")
        rounds = _read_rounds(folder / "rounds.jsonl", notes)
        bought = _read_queries(folder / "queries.npz", rounds) if rounds else ()
        summary = _read_summary(folder / "summary.json", len(rounds), notes)
    except OSError as error:
        raise BadInput(f"cannot read {folder}: {error.strerror or error}") from None
    if rounds and about is None:
        raise BadInput(
            f"{folder / 'provenance.json'} is missing, which says what made the rounds beside it; {AGAIN}"
        )
    return Contents(about, rounds, bought, summary, tuple(notes))


def _read_rounds(path: Path, notes: list[str]) -> tuple[Round, ...]:
    if not path.exists():
        return ()
    *lines, rest = path.read_text(errors="replace").split("\n")
    begins = f'{{"round": {len(lines)}, '
    if torn := rest != "" and (rest.startswith(begins) or begins.startswith(rest)):
        notes.append(f"the last line of {path} is torn; round {len(lines)} runs again")
    if not torn and (rest or not lines):
        raise BadInput(f"{path} is damaged (line {len(lines) + 1} is no round); {AGAIN}")
    return tuple(_parse(line, i, path) for i, line in enumerate(lines))


def _parse(line: str, i: int, path: Path) -> Round:
    try:
        row = _ROUND.validate_json(line)
        if row.round != i:
            raise ValueError(f"round {row.round}")
    except ValueError as error:
        raise BadInput(f"{path} is damaged (line {i + 1}: {_first(error)}); {AGAIN}") from None
    return row


def _read_summary(path: Path, n_rounds: int, notes: list[str]) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        summary: dict[str, Any] = json.loads(path.read_bytes())
        if summary["n_rounds"] == n_rounds:
            return summary
    except (ValueError, TypeError, LookupError):
        pass
    notes.append(f"{path} is damaged or ahead of rounds.jsonl; it is made again")
    return None


def _read_about(path: Path) -> About | None:
    try:
        return _ABOUT.validate_json(path.read_bytes()) if path.exists() else None
    except ValidationError as error:
        raise BadInput(f"{path} is damaged ({_first(error)}); {AGAIN}") from None


def _read_queries(path: Path, of: tuple[Round, ...]) -> tuple[Bought, ...]:
    names = [f.name for f in dataclasses.fields(Bought)]
    try:
        arrays = read_npz(path, ["round", *names])
        if len({array.shape for array in arrays.values()}) != 1 or arrays["round"].ndim != 1:
            raise BadInput("its arrays differ in length")
        if any(arrays[name].dtype != (bool if name == "is_noisy" else np.int64) for name in names):
            raise BadInput("its arrays have the wrong types")
        masks = [torch.from_numpy(arrays["round"] == t) for t in range(START, len(of))]
        columns = [torch.from_numpy(arrays[name]) for name in names]
        bought = tuple(Bought(*(column[mask] for column in columns)) for mask in masks)
        if [len(b.ids) for b in bought[1:]] != [row.n_bought for row in of]:
            raise BadInput("it does not match rounds.jsonl")
    except BadInput as error:
        raise BadInput(f"{path} is damaged ({error}); {AGAIN}") from None
    return bought


def _first(error: ValueError) -> str:
    """Return the first complaint of an error that may hold several."""
    if isinstance(error, ValidationError):
        wrong = error.errors()[0]
        return " ".join([*map(str, wrong["loc"]), wrong["msg"]])
    return str(error)


_ROUND = TypeAdapter(Round)
_ABOUT = TypeAdapter(About)
