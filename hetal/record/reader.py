"""Reader of a run's folder: reads and checks its files, and drops what can be recomputed exactly.

A round is a pure function of the purchases before it, so a last round that was torn while it was written is run again
and gives the same bits. Damage that would lose more than the last round is refused, since there may be a backup. So is
a file that was changed after it was written, which its digests show, see `hetal.record.seal`.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError

from hetal.errors import BadInput, Unreadable
from hetal.machine.files import read_bytes, read_npz
from hetal.record.identity import settings_hash
from hetal.record.schema import START, Provenance, Purchase, Round, Summary
from hetal.record.seal import CHANGED, check_seal, queries_digests

RESTART_HINT = "force=true starts again, in place of what is there"
REPAIR_HINT = "put a copy of it back if there is one; force=true starts again, in place of all that is there"

FILES = ("provenance.json", "rounds.jsonl", "queries.npz", "summary.json")


@dataclass(frozen=True)
class Contents:
    """Contents of a run's folder.

    Attributes:
        about: the provenance; None if the run was never started.
        rounds: finished rounds.
        lines: their lines in `rounds.jsonl`.
        purchases: the start set, then the purchase of each finished round; empty if no round is finished.
        summary: of the finished run; None while it is not finished.
        notes: messages on damaged parts that will be recomputed.
    """

    about: Provenance | None = None
    rounds: tuple[Round, ...] = ()
    lines: tuple[str, ...] = ()
    purchases: tuple[Purchase, ...] = ()
    summary: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()


def read_contents(folder: Path) -> Contents:
    """Read the files of a run's folder; nothing is ever unpickled.

    Raises:
        Unreadable: a file cannot be read.
        BadInput: a file was changed after it was written, or is damaged so that running the last round again is not
            enough.
    """
    # Each file is replaced atomically, but not all of them together: read again if one was replaced meanwhile.
    for _ in range(10):
        before = _stamps(folder)
        try:
            return _read(folder)
        except BadInput:
            if _stamps(folder) == before:
                raise
    return _read(folder)


def _stamps(folder: Path) -> list[tuple[int, int] | None]:
    """Return values that change when a file of a record is replaced."""
    return [_stamp(folder / name) for name in FILES]


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _read(folder: Path) -> Contents:
    notes: list[str] = []
    try:
        about = _read_about(folder / "provenance.json")
        lines = _read_lines(folder / "rounds.jsonl", notes)
        if lines and about is None:
            raise BadInput(
                f"{folder / 'provenance.json'} is missing, which says what made the rounds beside it; {REPAIR_HINT}"
            )
        first = settings_hash(about.settings) if about else ""
        rounds = _parse(lines, first, folder / "rounds.jsonl")
        purchases = _read_queries(folder / "queries.npz", rounds) if rounds else ()
        summary = _read_summary(folder / "summary.json", rounds, notes)
    except MemoryError:
        raise Unreadable(f"cannot read {folder}: not enough memory; nothing was changed") from None
    return Contents(about, rounds, lines, purchases, summary, tuple(notes))


def _read_lines(path: Path, notes: list[str]) -> tuple[str, ...]:
    """Return the complete lines of rounds.jsonl; a torn last line is left out, with a note."""
    content = read_bytes(path)
    if content is None:
        return ()
    *lines, rest = content.decode(errors="replace").split("\n")
    prefix = f'{{"round": {len(lines)}, '
    if torn := rest != "" and (rest.startswith(prefix) or prefix.startswith(rest)):
        notes.append(f"the last line of {path} is torn; round {len(lines)} runs again")
    if not torn and (rest or not lines):
        raise BadInput(f"{path} is damaged (line {len(lines) + 1} is no round); {REPAIR_HINT}")
    return tuple(lines)


def _parse(lines: Sequence[str], first: str, path: Path) -> tuple[Round, ...]:
    """Return the rounds of `lines`; `first` is the digest that their chain starts from."""
    rounds: list[Round] = []
    for i, line in enumerate(lines):
        try:
            row = _ROUND.validate_json(line)
            if row.round != i:
                raise BadInput(f"holds round {row.round}")
            check_seal(line.encode(), rounds[-1].digest if rounds else first)
            if rounds and row.n_labelled <= rounds[-1].n_labelled:
                raise BadInput(f"holds n_labelled={row.n_labelled}, which does not rise")
        except (ValidationError, BadInput) as error:
            raise BadInput(
                f"{path} is damaged (line {i + 1} {_first_message(error)}); {REPAIR_HINT}"
            ) from None
        rounds.append(row)
    return tuple(rounds)


def _read_summary(path: Path, rounds: Sequence[Round], notes: list[str]) -> dict[str, Any] | None:
    content = read_bytes(path)
    if content is None:
        return None
    try:
        summary = dict(_SUMMARY.validate_json(content))
        if rounds and summary["n_rounds"] == len(rounds):
            check_seal(content, rounds[-1].digest)
            del summary["digest"]
            return summary
        fault = "is ahead of rounds.jsonl"
    except BadInput as error:
        fault = str(error)
    except (ValueError, LookupError):
        fault = "is damaged"
    notes.append(f"{path} {fault}; it is made again")
    return None


def _read_about(path: Path) -> Provenance | None:
    content = read_bytes(path)
    if content is None:
        return None
    try:
        about = _PROVENANCE.validate_json(content)
        check_seal(content, "")
    except (ValidationError, BadInput) as error:
        raise BadInput(f"{path} is damaged ({_first_message(error)}); {REPAIR_HINT}") from None
    return about


def _read_queries(path: Path, rounds: Sequence[Round]) -> tuple[Purchase, ...]:
    names = [f.name for f in dataclasses.fields(Purchase)]
    content = read_bytes(path)
    try:
        if content is None:
            raise BadInput("there is no such file")
        arrays = read_npz(io.BytesIO(content), ["round", *names])
        if len({array.shape for array in arrays.values()}) != 1 or arrays["round"].ndim != 1:
            raise BadInput("its arrays differ in length")
        if any(arrays[name].dtype != (bool if name == "is_noisy" else np.int64) for name in names):
            raise BadInput("its arrays have the wrong types")
        masks = [torch.from_numpy(arrays["round"] == t) for t in range(START, len(rounds))]
        columns = [torch.from_numpy(arrays[name]) for name in names]
        purchases = tuple(Purchase(*(column[mask] for column in columns)) for mask in masks)
        n = len(purchases[0].ids)
        for row, purchase, digest in zip(
            rounds, purchases[1:], [*queries_digests(purchases)][1:], strict=True
        ):
            if (n, len(purchase.ids)) != (row.n_labelled, row.n_bought):
                raise BadInput("it does not match rounds.jsonl")
            n += row.n_bought
            if digest != row.queries_digest:
                raise BadInput(f"what it says was bought by the end of round {row.round} {CHANGED}")
    except Unreadable as error:
        raise Unreadable(f"cannot read {path}: {error}; nothing was changed") from None
    except BadInput as error:
        raise BadInput(f"{path} is damaged ({error}); {REPAIR_HINT}") from None
    return purchases


def _first_message(error: ValueError | BadInput) -> str:
    """Return the first message of an error that may hold several."""
    if isinstance(error, ValidationError):
        detail = error.errors()[0]
        return ": ".join([*(map(str, detail["loc"])), detail["msg"]])
    return str(error)


_ROUND = TypeAdapter(Round)
_PROVENANCE = TypeAdapter(Provenance)
_SUMMARY = TypeAdapter(Summary)
