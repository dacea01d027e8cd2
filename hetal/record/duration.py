"""How long a run will take, to judge by finished runs like it."""

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
    """Return the seconds that are left to run: the mean over finished runs of the same name but for the seed.

    None where there is no such run.
    """
    title = record.title.replace(" ", "-")
    prefix = title[: title.rindex("-s")]
    rest = []
    for path in record.dir.parent.glob(f"{glob.escape(prefix)}-s*/summary.json"):
        with suppress(OSError, BadInput, ValueError, LookupError, TypeError):
            rest.append(sum(_seconds(path.parent, path.stat().st_mtime_ns)[len(record.rounds) :]))
    return sum(rest) / len(rest) if rest else None


@functools.lru_cache(maxsize=4096)
def _seconds(folder: Path, stamp: int) -> list[float]:
    """Return how long each round of a finished run took; `stamp` tells when it was finished."""
    lines = (read_bytes(folder / "rounds.jsonl") or b"").splitlines()
    return [sum(json.loads(line)["seconds"].values()) for line in lines]
