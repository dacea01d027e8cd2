"""All records under some folders: many, fast, and none of them fatal."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hetal.errors import BadInput
from hetal.report.load.labelling import label
from hetal.report.load.records import Known, Run, read_run
from hetal.report.load.untrusted import describe

# A folder that holds any of these is a run's; a damaged record may lack one.
FILES = ("provenance.json", "rounds.jsonl", "summary.json", "queries.npz")
# How the name of a run's folder ends, see `hetal.record.identity`: its seed and a hash, which was shorter once.
RUN = re.compile(r"-s-?\d+-(?:[0-9a-f]{8}|[0-9a-f]{16})$")


@dataclass(frozen=True)
class Reading:
    """The records under some folders.

    Attributes:
        runs: readable records with at least one round, labelled and ordered by setting.
        problems: folder and reason of each record that cannot be read.
        begun: runs without a finished round, not labelled.
        studies: folders of runs that were read as a whole.
    """

    runs: tuple[Run, ...]
    problems: tuple[tuple[Path, str], ...] = ()
    begun: tuple[Run, ...] = ()
    studies: tuple[Path, ...] = ()


#: Records read before, by folder: when their files were written, and what was read.
Before = dict[Path, tuple[tuple[tuple[int, int], ...], "Run | str"]]


def read(folders: Sequence[Path], before: Before | None = None) -> Reading:
    """Read every run under `folders`: each a run, a study, or a folder of studies.

    Args:
        folders: to read.
        before: what was read before, which is not read again where it has not changed; it is brought up to date.

    Raises:
        BadInput: a folder does not exist, may not be opened, or holds no run.
    """
    run_folders: list[Path] = []
    single: set[Path] = set()  # given by themselves, not as part of a study
    for folder in folders:
        check_folder(folder)
        inside = sorted(runs_under(folder.resolve(), 2))
        if not inside:
            raise BadInput(f"{folder}: holds no run (a run's folder has a provenance.json)")
        run_folders += inside
        single |= {folder.resolve()} & set(inside)
    run_folders = list(dict.fromkeys(run_folders))
    runs: list[Run] = []
    begun: list[Run] = []
    problems: list[tuple[Path, str]] = []
    configs: dict[str, Known] = {}
    for folder in run_folders:
        run = _read_again(folder, configs, before) if before is not None else _read_or_reason(folder, configs)
        if isinstance(run, str):
            problems.append((folder, run))
        else:
            (runs if run.rounds else begun).append(run)
    return Reading(
        runs=tuple(label(runs)),
        problems=tuple(problems),
        begun=tuple(begun),
        studies=tuple(sorted({folder.parent for folder in run_folders if folder not in single})),
    )


def check_folder(folder: Path) -> None:
    """Raise BadInput unless a folder exists and may be opened."""
    try:
        os.scandir(folder).close()
    except (FileNotFoundError, NotADirectoryError):
        raise BadInput(f"{folder}: there is no such folder") from None
    except OSError as error:
        raise BadInput(f"{folder}: cannot be opened: {error.strerror}") from None


def runs_under(folder: Path, depth: int) -> Iterator[Path]:
    """Yield the runs' folders among `folder` and its subfolders down to `depth`.

    A folder that may not be opened counts as a run's where its name is one.
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
                yield from runs_under((folder / name).resolve(), depth - 1)


def _read_again(folder: Path, configs: dict[str, Known], before: Before) -> Run | str:
    """Return a run as it was read before, if its files have not changed since."""
    written = tuple(_written(folder / name) for name in FILES)
    if folder not in before or before[folder][0] != written:
        before[folder] = written, _read_or_reason(folder, configs)
    return before[folder][1]


def _written(path: Path) -> tuple[int, int]:
    """Return when a file was written, in nanoseconds, and its size; zeros where it is not there."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


def _read_or_reason(folder: Path, configs: dict[str, Known]) -> Run | str:
    """Read one run, or return why it cannot be read."""
    # A damaged file raises errors of many classes, depending on which byte is wrong.
    try:
        return read_run(folder, configs)
    except FileNotFoundError as error:
        return f"{Path(str(error.filename)).name} is missing"
    except Exception as error:
        return describe(error)
