"""Records as the report reads them: many, fast, and none of them fatal.

A run's settings are split in three: its strategy, the *setting* it was tried in (data, noise, factor, model), and the
rest. What of the rest differs between runs of one setting becomes part of the strategy's label where one strategy comes
in several forms, and is flagged where it merely goes along with the strategy.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from hetal.errors import BadInput
from hetal.identity import what_counts

# The settings that make up a setting, and the parts of a config they stand for.
SETTING = ("data", "noise", "model")

# Below this many folders, starting processes takes longer than reading.
FEW = 400


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


@dataclass(frozen=True)
class Reading:
    """What was found.

    Attributes:
        runs: readable records with at least one round, labelled.
        problems: folder and reason of what could not be read.
        empty: folders of runs that were begun and have no finished round.
        flags: sentences on settings that differ along with the strategy.
    """

    runs: tuple[Run, ...]
    problems: tuple[tuple[Path, str], ...] = ()
    empty: tuple[Path, ...] = ()
    flags: tuple[str, ...] = field(default=())


def read(folders: Sequence[Path]) -> Reading:
    """Read every run under `folders`: each a run, a study, or a folder of studies.

    Raises:
        BadInput: a folder does not exist or holds no run.
    """
    found: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise BadInput(f"{folder}: there is no such folder")
        here = sorted(_runs_under(folder))
        if not here:
            raise BadInput(f"{folder}: holds no run (a run's folder has a provenance.json)")
        found += here
    found = list(dict.fromkeys(path.resolve() for path in found))
    runs, problems, empty = [], [], []
    for folder, outcome in zip(found, _read_all(found), strict=True):
        if isinstance(outcome, str):
            problems.append((folder, outcome))
        elif not outcome.rounds:
            empty.append(folder)
        else:
            runs.append(outcome)
    labelled, flags = label(runs)
    return Reading(tuple(labelled), tuple(problems), tuple(empty), tuple(flags))


def _runs_under(folder: Path) -> Iterator[Path]:
    for pattern in ("provenance.json", "*/provenance.json", "*/*/provenance.json"):
        yield from (path.parent for path in folder.glob(pattern))


def _read_all(folders: Sequence[Path]) -> list[Run | str]:
    if len(folders) < FEW:
        return _read_some(folders)
    size = 1 + len(folders) // 8
    with ProcessPoolExecutor(2) as workers:
        parts = workers.map(_read_some, [folders[i : i + size] for i in range(0, len(folders), size)])
        return [outcome for part in parts for outcome in part]


def _read_some(folders: Sequence[Path]) -> list[Run | str]:
    configs: dict[str, dict[str, Any]] = {}
    return [_read(folder, configs) for folder in folders]


def _read(folder: Path, configs: dict[str, dict[str, Any]]) -> Run | str:
    """Read one run, or say what is wrong with it; `configs` remembers the parsed text of configs but for seeds."""
    try:
        about = json.loads((folder / "provenance.json").read_bytes())
        text = (folder / ".hydra" / "config.yaml").read_text()
        seed = re.search(r"^seed: (-?\d+)$", text, re.MULTILINE)
        if seed is None:
            return ".hydra/config.yaml holds no seed"
        rest = text.replace(seed[0], "")
        if rest not in configs:
            loaded = yaml.load(rest, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            configs[rest] = dict(_flat(what_counts(loaded)))
        rounds = _read_rounds(folder / "rounds.jsonl")
        try:
            summary = json.loads((folder / "summary.json").read_bytes())
        except FileNotFoundError:
            summary = None
        overrides = yaml.safe_load((folder / ".hydra" / "overrides.yaml").read_text())
        return Run(
            folder=folder,
            choices=about["choices"],
            config=configs[rest],
            seed=int(seed[1]),
            rounds=rounds,
            summary=summary if summary is not None and summary["n_rounds"] == len(rounds) else None,
            made_by=about["made_by"],
            commit=about["source"].get("commit"),
            machine=about["sessions"][-1]["machine"],
            overrides=overrides,
        )
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except (OSError, ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError) as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _read_rounds(path: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a rounds.jsonl; one that is being written, or torn, does not count."""
    if not path.exists():
        return []
    rounds = [json.loads(line) for line in path.read_text().split("\n")[:-1]]
    for i, row in enumerate(rounds):
        if row["round"] != i or not 0 <= row["accuracy"] <= 1 or row["n_labelled"] < 1:
            raise ValueError(f"rounds.jsonl, line {i + 1} is not round {i}")
    return rounds


def _flat(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from _flat(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, tuple(node) if isinstance(node, list) else node


def label(runs: Sequence[Run]) -> tuple[list[Run], list[str]]:
    """Name every run's strategy and setting so that different configs have different names.

    Returns:
        The runs, labelled, and sentences on settings that differ along with the strategy.
    """
    settings: dict[tuple[Any, ...], list[Run]] = defaultdict(list)
    for run in runs:
        own = tuple(sorted((k, v) for k, v in run.config.items() if k.split(".")[0] in SETTING))
        settings[(*_names(run), own)].append(run)
    shared = _variants({key[:-1]: [] for key in settings}, settings)
    labelled, flags = [], []
    for key, members in settings.items():
        setting = shared[key]
        labels, flagged = _label_within(members)
        labelled += [replace(run, label=labels[id(run)], setting=setting) for run in members]
        flags += [f"{setting}: {flag}" for flag in flagged]
    return labelled, flags


def _names(run: Run) -> tuple[str, ...]:
    factor = run.config.get("noise.factor", 0)
    noise = run.choices["noise"] + (f" x{factor:g}" if factor else "")
    return run.choices["data"], noise, run.choices["model"]


def _variants(
    names: Mapping[tuple[str, ...], list[Any]], settings: Mapping[tuple[Any, ...], list[Run]]
) -> dict[tuple[Any, ...], str]:
    """Name every setting, by what differs where options of one name were changed by hand."""
    named = {}
    for name in names:
        alike = [key for key in settings if key[:-1] == name]
        configs = [dict(key[-1]) for key in alike]
        differ = differing(configs)
        for key, config in zip(alike, configs, strict=True):
            extra = [f"{k.split('.', 1)[-1]}={_brief(config.get(k))}" for k in differ]
            named[key] = ", ".join([" ".join(name), *extra])
    return named


def _label_within(members: Sequence[Run]) -> tuple[dict[int, str], list[str]]:
    """Label the runs of one setting."""
    rest = {
        id(run): {k: v for k, v in run.config.items() if k.split(".")[0] not in SETTING} for run in members
    }
    by_alg: dict[str, list[Run]] = defaultdict(list)
    for run in members:
        by_alg[run.choices["alg"]].append(run)
    labels, within = {}, set()
    for alg, runs in by_alg.items():
        differ = differing([rest[id(run)] for run in runs])
        within |= set(differ)
        for run in runs:
            labels[id(run)] = ", ".join([alg, *_parts(run, runs, differ, rest)])
    others = [{k: v for k, v in rest[id(run)].items() if not k.startswith("alg.")} for run in members]
    flags = []
    for key in differing(others):
        if key not in within:
            values = {alg: _brief(rest[id(runs[0])].get(key)) for alg, runs in by_alg.items()}
            common = max(values.values(), key=list(values.values()).count)
            odd = [f"{value} with {alg}" for alg, value in values.items() if value != common]
            flags.append(f"{key} is {common}, but {', '.join(odd)}")
    return labels, flags


def _parts(
    run: Run, runs: Sequence[Run], differ: Sequence[str], rest: Mapping[int, Mapping[str, Any]]
) -> list[str]:
    """Say in what a run differs from others of its strategy: by option where options differ, else by value."""
    parts = {}
    for key in differ:
        group = key.split(".")[0]
        options = {(r.choices.get(group), str(rest[id(r)].get(key))) for r in runs}
        if group in run.choices and len({o for o, _ in options}) == len(options) > 1:
            parts[group] = f"{group}={run.choices[group]}"
        else:
            parts.setdefault(key, f"{key.removeprefix('alg.')}={_brief(rest[id(run)].get(key))}")
    return [part for key, part in parts.items() if "." not in key or key.split(".")[0] not in parts]


def differing(configs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the keys whose values are not the same in all `configs`, in order of their names."""
    unique = list({id(config): config for config in configs}.values())
    keys = sorted({key for config in unique for key in config})
    absent = object()
    return [key for key in keys if any(c.get(key, absent) != unique[0].get(key, absent) for c in unique)]


def _brief(value: Any) -> str:
    return str(value).rsplit(".", 1)[-1] if isinstance(value, str) else str(value)
