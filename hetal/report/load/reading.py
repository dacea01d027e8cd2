"""Records as the report reads them: many, fast, and none of them fatal."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hetal.errors import BadInput
from hetal.report.load.labelling import label
from hetal.report.load.records import Run, read_run
from hetal.report.load.untrusted import said

# What makes a folder a run's: any of these, since a damaged record may lack one.
FILES = ("provenance.json", "rounds.jsonl", "summary.json", "queries.npz")
# What the name of a run's folder ends in, see `hetal.record.identity`: its seed and a hash, which was shorter once.
RUN = re.compile(r"-s-?\d+-(?:[0-9a-f]{8}|[0-9a-f]{16})$")


@dataclass(frozen=True)
class Reading:
    """What was found.

    Attributes:
        runs: readable records with at least one round, labelled.
        problems: folder and reason of what could not be read.
        empty: folders of runs that were begun and have no finished round.
        flags: sentences on settings that differ along with the strategy.
        begun: the runs of `empty`, without labels.
        studies: folders of runs that were read whole.
    """

    runs: tuple[Run, ...]
    problems: tuple[tuple[Path, str], ...] = ()
    empty: tuple[Path, ...] = ()
    flags: tuple[str, ...] = field(default=())
    begun: tuple[Run, ...] = ()
    studies: tuple[Path, ...] = ()


def read(folders: Sequence[Path]) -> Reading:
    """Read every run under `folders`: each a run, a study, or a folder of studies.

    Raises:
        BadInput: a folder does not exist, may not be opened, or holds no run.
    """
    found: list[Path] = []
    alone: set[Path] = set()
    for folder in folders:
        check_folder(folder)
        here = sorted(_runs_under(folder.resolve(), 2))
        if not here:
            raise BadInput(f"{folder}: holds no run (a run's folder has a provenance.json)")
        found += here
        alone |= {folder.resolve()} & set(here)
    found = list(dict.fromkeys(found))
    runs: list[Run] = []
    begun: list[Run] = []
    problems: list[tuple[Path, str]] = []
    configs: dict[str, tuple[dict[str, Any], str, str]] = {}
    for folder in found:
        outcome = _read_or_say(folder, configs)
        if isinstance(outcome, str):
            problems.append((folder, outcome))
        else:
            (runs if outcome.rounds else begun).append(outcome)
    labelled, flags = label(runs)
    return Reading(
        runs=tuple(labelled),
        problems=tuple(problems),
        empty=tuple(run.folder for run in begun),
        flags=tuple(flags),
        begun=tuple(begun),
        studies=tuple(sorted({folder.parent for folder in found if folder not in alone})),
    )


def check_folder(folder: Path) -> None:
    """Raise BadInput unless a folder is there and may be opened."""
    try:
        os.scandir(folder).close()
    except (FileNotFoundError, NotADirectoryError):
        raise BadInput(f"{folder}: there is no such folder") from None
    except OSError as error:
        raise BadInput(f"{folder}: cannot be opened: {error.strerror}") from None


def _runs_under(folder: Path, depth: int) -> Iterator[Path]:
    """Yield the runs' folders among `folder` and what lies up to `depth` under it.

    What is closed to us is none, unless its name is a run's.
    """
    try:
        with os.scandir(folder) as entries:
            inside = [(entry.name, entry.is_dir()) for entry in entries]
    except OSError:
        if RUN.search(folder.name):
            yield folder
        return
    if any(name in FILES for name, _ in inside):
        yield folder
    elif depth:
        for name, is_folder in inside:
            if is_folder and not name.startswith("."):
                yield from _runs_under((folder / name).resolve(), depth - 1)


def _read_or_say(folder: Path, configs: dict[str, tuple[dict[str, Any], str, str]]) -> Run | str:
    """Read one run, or say what is wrong with it."""
    # What a damaged file raises depends on which byte is wrong, so anything may come; it is told.
    try:
        return read_run(folder, configs)
    except FileNotFoundError as error:
        return f"{Path(str(error.filename)).name} is missing"
    except Exception as error:
        return said(error)
