"""Expected duration of a run, from finished runs that differ only in the seed."""

from __future__ import annotations

import functools
import glob
import json
from contextlib import suppress
from pathlib import Path

from hetal.errors import BadInput
from hetal.machine.files import read_bytes
from hetal.record.writer import Record


def expected_seconds(record: Record) -> float | None:
    """Return the expected seconds left to run: the mean over finished runs that differ only in the seed.

    None if there is no such run.
    """
    prefix = record.dir.name[: record.dir.name.rindex("-s")]
    left = []
    for path in record.dir.parent.glob(f"{glob.escape(prefix)}-s*/summary.json"):
        with suppress(OSError, BadInput, ValueError, LookupError, TypeError):
            left.append(sum(_seconds(path.parent, path.stat().st_mtime_ns)[len(record.rounds) :]))
    return sum(left) / len(left) if left else None


@functools.lru_cache(maxsize=4096)
def _seconds(folder: Path, stamp: int) -> list[float]:
    """Return the seconds of each round of a finished run; `stamp`, when it finished, is part of the cache key."""
    lines = (read_bytes(folder / "rounds.jsonl") or b"").splitlines()
    return [sum(json.loads(line)["seconds"].values()) for line in lines]
