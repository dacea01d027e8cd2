"""Records as the report reads them: many, fast, and none of them fatal."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hetal.errors import BadInput
from hetal.identity import what_counts
from hetal.report.labelling import differing, label
from hetal.report.shapes import ABOUT, OVERRIDES, ROWS, SUMMARY

__all__ = ["Reading", "Run", "differing", "label", "read"]

# What makes a folder a run's: any of these, since a damaged record may lack one.
FILES = ("provenance.json", "rounds.jsonl", "summary.json", "queries.npz")

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Run:
    """One record.

    Attributes:
        folder: where it is.
        choices: the option chosen in each config group.
        config: everything that can change the result but the seed, flat: "train.lr" to its value.
        seed: of the run.
        rounds: finished rounds, as in rounds.jsonl.
        summary: None where the run is not finished.
        made_by: versions and code that computed it.
        commit: of hetal's checkout; None where there was none.
        machine: what the last session ran on.
        overrides: of the command line.
        label: its strategy, told apart from the others of its setting.
        setting: its data, noise, factor and model.
        data: fingerprint of its pool and test set.
        root, name: where the config says that it is.
    """

    folder: Path
    choices: Mapping[str, str]
    config: Mapping[str, Any]
    seed: int
    rounds: Sequence[Mapping[str, Any]]
    summary: Mapping[str, Any] | None
    made_by: Mapping[str, str]
    commit: str | None
    machine: Mapping[str, Any]
    overrides: Sequence[str]
    label: str = ""
    setting: str = ""
    data: str = ""
    root: str = ""
    name: str = ""


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
        BadInput: a folder does not exist or holds no run.
    """
    found: list[Path] = []
    alone: set[Path] = set()
    for folder in folders:
        if not folder.is_dir():
            raise BadInput(f"{folder}: there is no such folder")
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


def _runs_under(folder: Path, depth: int) -> Iterator[Path]:
    """Yield the runs' folders among `folder` and what lies up to `depth` under it; what is closed to us is none."""
    try:
        with os.scandir(folder) as entries:
            inside = [(entry.name, entry.is_dir()) for entry in entries]
    except OSError:
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
        return _read(folder, configs)
    except FileNotFoundError as error:
        return f"{Path(str(error.filename)).name} is missing"
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _read(folder: Path, configs: dict[str, tuple[dict[str, Any], str, str]]) -> Run:
    """Read one run; `configs` remembers the parsed text of configs but for seeds."""
    about = ABOUT.validate_json((folder / "provenance.json").read_bytes())
    text = (folder / ".hydra" / "config.yaml").read_text()
    seed = re.search(r"^seed: (-?\d{1,18})$", text, re.MULTILINE)
    if seed is None:
        raise BadInput(".hydra/config.yaml holds no seed")
    rest = text.replace(seed[0], "")
    if rest not in configs:
        configs[rest] = _config(rest)
    config, root, name = configs[rest]
    rounds = _rounds(folder / "rounds.jsonl")
    return Run(
        folder=folder,
        choices=about["choices"],
        config=config,
        seed=int(seed[1]),
        rounds=rounds,
        summary=_summary(folder / "summary.json", len(rounds)),
        made_by=about["made_by"],
        commit=about["source"].get("commit"),
        machine=about["sessions"][-1]["machine"],
        overrides=overrides(folder),
        data=about["data"],
        root=root,
        name=name,
    )


def overrides(folder: Path) -> list[str]:
    """Return the overrides that a run was started with; fails in any way where they cannot be read."""
    text = (folder / ".hydra" / "overrides.yaml").read_text()
    return OVERRIDES.validate_python(yaml.load(text, Loader=LOADER))


def _config(text: str) -> tuple[dict[str, Any], str, str]:
    loaded = yaml.load(text, Loader=LOADER)
    if not isinstance(loaded, dict) or not isinstance(loaded.get("alg"), dict):
        raise BadInput(".hydra/config.yaml is no config")
    return dict(_flat(what_counts(loaded))), str(loaded.get("root", "")), str(loaded.get("name", ""))


def _rounds(path: Path) -> Sequence[Mapping[str, Any]]:
    """Return the whole lines of a rounds.jsonl; one that is being written, or torn, does not count."""
    if not path.exists():
        return ()
    lines = path.read_bytes().split(b"\n")[:-1]
    rows = ROWS.validate_json(b"[" + b",".join(lines) + b"]")
    if len(rows) != len(lines):
        raise BadInput("rounds.jsonl does not hold one round a line")
    for i, row in enumerate(rows):
        if row["round"] != i:
            raise BadInput(f"rounds.jsonl, line {i + 1} is not round {i}")
        if i and row["n_labelled"] <= rows[i - 1]["n_labelled"]:
            raise BadInput(f"rounds.jsonl, line {i + 1} has no more labels than the line before")
    return tuple(rows)


def _summary(path: Path, n_rounds: int) -> Mapping[str, Any] | None:
    """Return a summary that fits the rounds; the run makes any other again, and until then it is not finished."""
    try:
        summary = SUMMARY.validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None
    return summary if summary["n_rounds"] == n_rounds > 0 else None


def _flat(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from _flat(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, node if isinstance(node, (str, int, float, type(None))) else json.dumps(node)
