"""Records changed by someone who seals them again: what digests cannot tell, other checks must."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hetal.record.identity import settings_hash
from hetal.record.schema import Purchase
from hetal.record.seal import queries_digests, seal

Rows = list[dict[str, Any]]


def reseal(
    folder: Path,
    about: Callable[[dict[str, Any]], None] = lambda about: None,
    rows: Callable[[Rows], None] = lambda rows: None,
    summary: Callable[[dict[str, Any]], None] = lambda summary: None,
) -> None:
    """Change what a record holds and seal all of it again; a record of an older version is sealed for the first time.

    Args:
        folder: of the record.
        about, rows, summary: change what they are given: provenance.json, the lines of rounds.jsonl, summary.json.
    """
    path = folder / "provenance.json"
    values = json.loads(path.read_text())
    about(values)
    _write(path, values, "")
    lines, last = [], settings_hash(values["settings"])
    held = [json.loads(line) for line in (folder / "rounds.jsonl").read_text().splitlines()]
    rows(held)
    digests = _digests(folder, len(held))
    for row, digest in zip(held, digests, strict=True):
        row.pop("digest", None)
        lines.append(seal(json.dumps({**row, "queries_digest": digest}), last))
        last = json.loads(lines[-1])["digest"]
    (folder / "rounds.jsonl").write_text("".join(line + "\n" for line in lines))
    path = folder / "summary.json"
    if path.exists():
        values = json.loads(path.read_text())
        summary(values)
        _write(path, values, last)


def change_queries(folder: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    """Change the arrays of queries.npz; nothing is sealed."""
    with np.load(folder / "queries.npz") as file:
        arrays = dict(file)
    change(arrays)
    np.savez(folder / "queries.npz", **arrays)


def _write(path: Path, values: dict[str, Any], previous: str) -> None:
    values.pop("digest", None)
    path.write_text(seal(json.dumps(values, indent=2), previous))


def _digests(folder: Path, n_rounds: int) -> list[str]:
    """Return the digest of the queries for each round; nothing where a made-up record has no queries."""
    if not (folder / "queries.npz").exists():
        return [""] * n_rounds
    with np.load(folder / "queries.npz") as arrays:
        purchases = [
            Purchase(*(arrays[f.name][arrays["round"] == t] for f in dataclasses.fields(Purchase)))
            for t in range(-1, n_rounds)
        ]
    return list(queries_digests(purchases))[1:]
