"""One run's record, checked, as far as the report needs it."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from hetal.errors import BadInput
from hetal.record.identity import identifying_settings, settings_hash
from hetal.record.redact import secret_names
from hetal.record.schema import LARGEST, is_of_bound
from hetal.record.seal import check_seal
from hetal.report.load.printable import plain
from hetal.report.load.schema import OVERRIDES, PROVENANCE, ROWS, SUMMARY
from hetal.report.load.untrusted import parse_yaml, read_bytes


@dataclass(frozen=True)
class Run:
    """One run's record; its text is plain, see `hetal.report.load.printable`, except `folder`.

    Attributes:
        folder: of the record.
        choices: the option chosen in each config group.
        config: every setting that can change the result except the seed, flat: "train.clip" to its value.
        seed: of the run.
        rounds: finished rounds, as in rounds.jsonl.
        summary: None where the run is not finished.
        made_by: versions and code that computed it.
        commit: of hetal's checkout, and a hash of uncommitted changes; None where there was none.
        machine: of the last session.
        overrides: of the command line.
        label: name of its strategy, unique within the setting; see `hetal.report.load.labelling`.
        setting: name of its setting: data, noise, factor and model.
        data: fingerprint of its pool and test set.
        root, name: the folder of studies and the study, as the config has them.
        sees: what its choices of rows saw besides the pool, such as hidden labels.
        classes: names of the classes, in order; () where they are numbers only.
        pool: what the pool holds, see `hetal.record.schema.PoolContent`; empty in old records.
        n_end: labels to end with, as asked for; None where the config does not say it.
        config_dirs: where its last command found configs beside hetal's own.
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
    sees: Sequence[str] = ()
    classes: Sequence[str] = ()
    pool: Mapping[str, Any] = field(default_factory=dict)
    n_end: int | None = None
    config_dirs: Sequence[str] = ()

    @property
    def is_bound(self) -> bool:
        """Whether its strategy saw hidden labels."""
        return is_of_bound(self.sees)


class Known(NamedTuple):
    """What the config of a run says besides its seed, see `Run`."""

    config: Mapping[str, Any]
    root: str
    name: str
    n_end: int | None


def read_run(folder: Path, configs: dict[str, Known]) -> Run:
    """Read one record.

    A record with settings also has digests of itself, by which it is checked; older records have neither.

    Args:
        folder: of the record.
        configs: cache of parsed configs without their seeds; extended here.

    Raises:
        Exception: the record is damaged, or was changed after it was written; its class depends on which byte is wrong.
    """
    written = read_bytes(folder / "provenance.json")
    provenance = PROVENANCE.validate_json(written)
    settings = provenance.get("settings")
    if settings is not None:
        _check(written, "", "provenance.json")
    text = read_bytes(folder / ".hydra" / "config.yaml").decode()
    seed = re.search(r"^seed: (-?\d{1,18})$", text, re.MULTILINE)
    if seed is None:
        raise BadInput(".hydra/config.yaml holds no seed")
    rest = text[: seed.start()] + text[seed.end() :]
    but_seed = {key: value for key, value in (settings or {}).items() if key != "seed"}
    known = rest + json.dumps(but_seed)
    if known not in configs:
        configs[known] = _config(rest, but_seed)
    config, root, name, n_end = configs[known]
    if settings is not None and str(settings.get("seed")) != seed[1]:
        raise BadInput(f".hydra/config.yaml says seed {seed[1]}, provenance.json {settings.get('seed')}")
    rounds, last = _rounds(folder / "rounds.jsonl", None if settings is None else settings_hash(settings))
    return Run(
        folder=folder,
        choices={plain(k, None): plain(v, None) for k, v in provenance["choices"].items()},
        config=config,
        seed=int(seed[1]),
        rounds=rounds,
        summary=_summary(folder / "summary.json", len(rounds), last),
        made_by={plain(k): plain(v, None) for k, v in provenance.get("made_by", {}).items()},
        commit=_commit(provenance.get("source", {})),
        machine={plain(k): plain(v) for k, v in _machine(provenance).items()},
        overrides=overrides(folder),
        data=plain(provenance.get("data", ""), None),
        root=root,
        name=name,
        sees=tuple(plain(what) for what in provenance.get("sees", [])),
        classes=tuple(plain(name) for name in provenance.get("classes", [])),
        pool=_plain_kinds(provenance.get("pool", {}), "kinds"),
        n_end=n_end,
        config_dirs=_config_dirs(provenance),
    )


def _plain_kinds(counts: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return `counts` with the numbers of rows by kind that one of its fields may hold under plain names."""
    kinds = counts.get(name)
    return counts if kinds is None else {**counts, name: {plain(kind): n for kind, n in kinds.items()}}


def _commit(source: Mapping[str, Any]) -> str | None:
    commit, diff = source.get("commit"), source.get("diff")
    if not diff or not isinstance(diff, str):
        return None if commit is None else plain(commit)
    changes = hashlib.sha256(diff.encode(errors="replace")).hexdigest()[:8]
    return f"{plain(commit)} with changes {changes}"


def _machine(provenance: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the machine of the last session, if there was one."""
    return next((session.get("machine", {}) for session in reversed(provenance.get("sessions", ()))), {})


def _config_dirs(provenance: Mapping[str, Any]) -> list[str]:
    """Return where the command of the last session found configs."""
    sessions = provenance.get("sessions") or [{}]
    return [plain(where, None) for where in sessions[-1].get("config_dirs", ())]


def config_dirs(folder: Path) -> list[str]:
    """Return where the last command of a run found configs beside hetal's own.

    Raises:
        Exception: they cannot be read.
    """
    return _config_dirs(PROVENANCE.validate_json(read_bytes(folder / "provenance.json")))


def overrides(folder: Path) -> list[str]:
    """Return the overrides that a run was started with, except secrets, which older records may hold.

    Raises:
        Exception: they cannot be read.
    """
    text = read_bytes(folder / ".hydra" / "overrides.yaml").decode()
    given = OVERRIDES.validate_python(parse_yaml(text, ".hydra/overrides.yaml"))
    return [plain(override, None) for override in given if not secret_names([override])]


def _config(text: str, settings: Mapping[str, Any]) -> Known:
    """Return what a config says; settings on record take precedence."""
    loaded = parse_yaml(text, ".hydra/config.yaml")
    if not isinstance(loaded, dict) or not isinstance(loaded.get("alg"), dict):
        raise BadInput(".hydra/config.yaml is no config")
    root, name = (plain(loaded.get(key, ""), None) for key in ("root", "name"))
    n_end = loaded.get("n_end")
    is_number = isinstance(n_end, int) and 0 < n_end <= LARGEST
    return Known(
        dict(_flat(settings or identifying_settings(loaded))), root, name, n_end if is_number else None
    )


def _rounds(path: Path, first: str | None) -> tuple[Sequence[Mapping[str, Any]], str | None]:
    """Return the complete lines of a rounds.jsonl and the digest of the last; a line being written is ignored.

    Args:
        path: of the file.
        first: the start of the chain of digests; None where the record has none.
    """
    try:
        lines = read_bytes(path).split(b"\n")[:-1]
    except FileNotFoundError:
        return (), first
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
    return tuple(_plain_kinds(row, "bought_per_kind") for row in rows), first


def _summary(path: Path, n_rounds: int, last: str | None) -> Mapping[str, Any] | None:
    """Return the summary; None where there is none for these rounds, so that the run is not finished.

    Args:
        path: of the file.
        n_rounds: in rounds.jsonl.
        last: digest of the last round; None where the record has none.
    """
    try:
        written = read_bytes(path)
        summary: Mapping[str, Any] = SUMMARY.validate_json(written)
    except (OSError, ValueError, BadInput):
        return None
    if summary["n_rounds"] != n_rounds or not n_rounds:
        return None
    if last is not None:
        _check(written, last, "summary.json")
    return summary


def _check(written: bytes, previous: str, what: str) -> str:
    """Return the digest that `written` carries.

    Raises:
        BadInput: `written` was changed after it was written.
    """
    try:
        return check_seal(written, previous)
    except BadInput as error:
        raise BadInput(f"{what} {error}") from None


def _flat(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from _flat(value, f"{path}.{plain(key, None)}" if path else plain(key, None))
    else:
        yield path, _value(node)


def _value(node: Any) -> str | int | float | None:
    """Return a value that can be compared and written: a plain number or text, or the JSON text of anything else."""
    if isinstance(node, str):
        return plain(node, None)
    if node is None or (isinstance(node, (int, float)) and math.isfinite(node) and abs(node) <= LARGEST):
        return node
    return plain(json.dumps(node), None)
