"""One record as the report reads it: checked, and no more of it than the report needs."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hetal.errors import BadInput
from hetal.identity import hash_of, what_counts
from hetal.report.shapes import ABOUT, OVERRIDES, ROWS, SUMMARY
from hetal.seal import check_seal

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Run:
    """One record.

    Attributes:
        folder: where it is.
        choices: the option chosen in each config group.
        config: everything that can change the result but the seed, flat: "train.lr" to its value. `n_end`, too.
        seed: of the run.
        rounds: finished rounds, as in rounds.jsonl.
        summary: None where the run is not finished.
        made_by: versions and code that computed it.
        commit: of hetal's checkout, and a hash of uncommitted changes; None where there was none.
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


def read_run(folder: Path, configs: dict[str, tuple[dict[str, Any], str, str]]) -> Run:
    """Read one record; `configs` remembers what was parsed of configs but for seeds.

    A record that holds its settings carries digests of itself too, by which it is checked; older ones have neither.

    Raises:
        Exception: it is damaged, or was changed after it was written; of which kind depends on which byte is wrong.
    """
    content = (folder / "provenance.json").read_bytes()
    about = ABOUT.validate_json(content)
    settings = about.get("settings")
    if settings is not None:
        _check(content, "", "provenance.json")
    text = (folder / ".hydra" / "config.yaml").read_text()
    seed = re.search(r"^seed: (-?\d{1,18})$", text, re.MULTILINE)
    if seed is None:
        raise BadInput(".hydra/config.yaml holds no seed")
    rest = text[: seed.start()] + text[seed.end() :]
    but_seed = {key: value for key, value in (settings or {}).items() if key != "seed"}
    known = rest + json.dumps(but_seed)
    if known not in configs:
        configs[known] = _config(rest, but_seed)
    config, root, name = configs[known]
    if settings is not None and str(settings.get("seed")) != seed[1]:
        raise BadInput(f".hydra/config.yaml says seed {seed[1]}, provenance.json {settings.get('seed')}")
    rounds, last = _rounds(folder / "rounds.jsonl", None if settings is None else hash_of(settings))
    return Run(
        folder=folder,
        choices=about["choices"],
        config=config,
        seed=int(seed[1]),
        rounds=rounds,
        summary=_summary(folder / "summary.json", len(rounds), last),
        made_by=about["made_by"],
        commit=_commit(about["source"]),
        machine=about["sessions"][-1]["machine"],
        overrides=overrides(folder),
        data=about["data"],
        root=root,
        name=name,
    )


def _commit(source: Mapping[str, str | None]) -> str | None:
    commit, diff = source.get("commit"), source.get("diff")
    return f"{commit} with changes {hashlib.sha256(diff.encode()).hexdigest()[:8]}" if diff else commit


def overrides(folder: Path) -> list[str]:
    """Return the overrides that a run was started with; fails in any way where they cannot be read."""
    text = (folder / ".hydra" / "overrides.yaml").read_text()
    return OVERRIDES.validate_python(yaml.load(text, Loader=LOADER))


def _config(text: str, settings: Mapping[str, Any]) -> tuple[dict[str, Any], str, str]:
    """Return the flat settings of a config, its root and name; the settings are those on record where there are any."""
    loaded = yaml.load(text, Loader=LOADER)
    if not isinstance(loaded, dict) or not isinstance(loaded.get("alg"), dict):
        raise BadInput(".hydra/config.yaml is no config")
    # The same run may be read up to a later end, which is another form of its strategy to a reader.
    counts = {**(settings or what_counts(loaded)), "n_end": loaded.get("n_end")}
    return dict(_flat(counts)), str(loaded.get("root", "")), str(loaded.get("name", ""))


def _rounds(path: Path, first: str | None) -> tuple[Sequence[Mapping[str, Any]], str | None]:
    """Return the whole lines of a rounds.jsonl and the digest of the last; one that is being written does not count.

    Args:
        path: the file.
        first: what the chain of digests begins with; None where the record has none.
    """
    if not path.exists():
        return (), first
    lines = path.read_bytes().split(b"\n")[:-1]
    rows = ROWS.validate_json(b"[" + b",".join(lines) + b"]")
    if len(rows) != len(lines):
        raise BadInput("rounds.jsonl does not hold one round a line")
    for i, row in enumerate(rows):
        if row["round"] != i:
            raise BadInput(f"rounds.jsonl, line {i + 1} is not round {i}")
        if i and row["n_labelled"] <= rows[i - 1]["n_labelled"]:
            raise BadInput(f"rounds.jsonl, line {i + 1} has no more labels than the line before")
        if first is not None:
            first = _check(lines[i], first, f"rounds.jsonl, line {i + 1}")
    return tuple(rows), first


def _summary(path: Path, n_rounds: int, last: str | None) -> Mapping[str, Any] | None:
    """Return a summary that fits the rounds; the run makes any other again, and until then it is not finished.

    Args:
        path: the file.
        n_rounds: in rounds.jsonl.
        last: the digest of the last; None where the record has none.
    """
    try:
        content = path.read_bytes()
        summary: Mapping[str, Any] = SUMMARY.validate_json(content)
    except (OSError, ValueError):
        return None
    if summary["n_rounds"] != n_rounds or not n_rounds:
        return None
    if last is not None:
        _check(content, last, "summary.json")
    return summary


def _check(content: bytes, previous: str, what: str) -> str:
    """Return the digest of what carries one.

    Raises:
        BadInput: it was changed after it was written.
    """
    try:
        return check_seal(content, previous)
    except BadInput as error:
        raise BadInput(f"{what} {error}") from None


def _flat(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from _flat(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, node if isinstance(node, (str, int, float, type(None))) else json.dumps(node)
