"""What a run leaves behind, and how it finds itself again.

A run's folder is `root/name/<readable names>-<hash>`, where the hash covers all that affects the result and
nothing else. In it: `.hydra/` (the resolved config and the overrides), `rounds.jsonl` (one `Round` a line, the
public record), `queries.npz` (every row bought), `summary.json` once finished, `provenance.json`, `curve.png`.

`rounds.jsonl` is the commit point: queries are written first, and what they hold beyond it is dropped.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import re
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import torch
from omegaconf import OmegaConf

from hetal.errors import BadInput
from hetal.files import read_npz, write_atomically, write_json, write_text
from hetal.provenance import provenance
from hetal.rounds import START, Bought, Round

# Settings that cannot change a result; what noise makes of mult stands in its own factor.
NOT_IDENTITY = ("mult", "tracker", "device", "name", "root", "force", "data.root", "data.download")

# Files that a forced run replaces.
OUTPUTS = ("summary.json", "rounds.jsonl", "queries.npz", "provenance.json", "curve.png")


def identity(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a resolved config that can change a result."""
    # A whole number is the same setting with and without its decimal point.
    kept: dict[str, Any] = json.loads(json.dumps(config), parse_float=lambda x: _number(float(x)))
    for path in NOT_IDENTITY:
        *parents, key = path.split(".")
        node = kept
        for parent in parents:
            node = node[parent]
        node.pop(key, None)
    return kept


def _number(value: float) -> float | int:
    return int(value) if value.is_integer() else value


class Record:
    """The record of one run.

    Args:
        config: the resolved config, plain values.
        choices: the option chosen in each config group, for a readable folder name.
        overrides: the overrides of the command line.
        force: do not read what the folder holds, be it damaged: it is to be replaced.

    Raises:
        BadInput: `name` would leave `root`, or the record found is damaged.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        choices: Mapping[str, str],
        overrides: Sequence[str] = (),
        force: bool = False,
    ) -> None:
        name = str(config["name"])
        if not re.fullmatch(r"\w[\w.+-]*", name):
            raise BadInput(f"name={name}: must be one folder name of letters, digits, '.', '_', '+' and '-'")
        kept = identity(config)
        self.hash = _hash(kept)
        but_seed = {key: value for key, value in kept.items() if key != "seed"}
        self.config = config
        self.choices = dict(choices)
        factor = config["noise"].get("factor", 0)
        parts = [
            choices["alg"],
            choices["data"],
            choices["noise"],
            f"x{factor:g}",
            choices["model"],
            f"s{config['seed']}",
        ]
        self.title = " ".join(parts)
        self.group = " ".join([*parts[:-1], _hash(but_seed)])
        self.dir = Path(str(config["root"])).expanduser() / name / "-".join([*parts, self.hash])
        self.id = ""
        self.rounds: list[Round] = []
        self.bought: list[Bought] = []
        self._overrides = list(overrides)
        if not force:
            self._load()

    @property
    def summary(self) -> dict[str, Any] | None:
        """The finished run's summary; None while it is not finished."""
        path = self.dir / "summary.json"
        return _read_json(path) if path.exists() else None

    @property
    def steps(self) -> int:
        """Optimiser steps of all rounds so far."""
        return sum(row.steps for row in self.rounds)

    @contextmanager
    def hold(self, device: torch.device, data: str, force: bool = False) -> Iterator[Record]:
        """Be the only writer of this record for a while.

        Args:
            device: for the provenance.
            data: `Setup.fingerprint` of the data the run is to use.
            force: forget what the folder holds and start again.

        Raises:
            BadInput: another process holds the record, it was begun with other data, or the folder cannot be
                written.
        """
        try:
            self.dir.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(self.dir / ".lock")
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise BadInput(f"{self.dir} is being written by {self._holder()}") from None
        except OSError as error:
            raise BadInput(
                f"root={self.config['root']}: cannot write {self.dir}: {error.strerror or error}"
            ) from None
        try:
            holder = {"host": platform.node(), "pid": os.getpid(), "since": time.strftime("%F %T")}
            write_json(self.dir / ".holder.json", holder)
            if force:
                for old in OUTPUTS:
                    (self.dir / old).unlink(missing_ok=True)
                shutil.rmtree(self.dir / "wandb", ignore_errors=True)
            self._load()
            self._begin(device, data)
            yield self
        finally:
            (self.dir / ".holder.json").unlink(missing_ok=True)
            lock.release()

    def start(self, bought: Bought) -> None:
        """Enter the start set, unless it is there already."""
        if not self.bought:
            self.bought.append(bought)
            self._write_queries()

    def append(self, row: Round, bought: Bought) -> None:
        """Enter a finished round and what was bought with it."""
        self.rounds.append(row)
        self.bought.append(bought)
        self._write_queries()
        lines = [json.dumps(dataclasses.asdict(r), allow_nan=False) for r in self.rounds]
        write_text(self.dir / "rounds.jsonl", "\n".join(lines) + "\n")

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Enter the summary: the run is finished."""
        write_json(self.dir / "summary.json", summary)

    def _begin(self, device: torch.device, data: str) -> None:
        path = self.dir / "provenance.json"
        new = {"id": uuid.uuid4().hex[:8], "choices": self.choices, "sessions": []}
        about: dict[str, Any] = _read_json(path) if path.exists() else new
        if about.setdefault("data", data) != data:
            raise BadInput(f"{self.dir} was begun with other data than these; force=true starts it again")
        self.id = about["id"]
        about["sessions"].append({"started": time.strftime("%FT%T%z"), **provenance(device)})
        folder = self.dir / ".hydra"
        folder.mkdir(exist_ok=True)
        write_text(folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(dict(self.config))))
        write_text(folder / "overrides.yaml", OmegaConf.to_yaml(OmegaConf.create(self._overrides)))
        write_json(path, about)

    def _load(self) -> None:
        path = self.dir / "rounds.jsonl"
        text = path.read_text(errors="replace") if path.exists() else ""
        if path.exists() and not text:
            raise BadInput(f"{path} is damaged (it is empty); force=true starts again")
        self.rounds = [self._parse(line, i) for i, line in enumerate(text.splitlines())]
        self.bought = self._read_queries() if self.rounds else []

    def _parse(self, line: str, i: int) -> Round:
        try:
            row = Round(**json.loads(line))
            if row.round != i:
                raise ValueError(f"round {row.round}")
        except (ValueError, TypeError) as error:
            raise BadInput(
                f"{self.dir / 'rounds.jsonl'}: line {i + 1} is damaged ({error}); force=true starts again"
            ) from None
        return row

    def _write_queries(self) -> None:
        sizes = [len(b.ids) for b in self.bought]
        columns: dict[str, Any] = {
            f.name: torch.cat([getattr(b, f.name).cpu() for b in self.bought]).numpy()
            for f in dataclasses.fields(Bought)
        }
        round_ = np.repeat(np.arange(len(sizes)) + START, sizes)
        write_atomically(self.dir / "queries.npz", lambda file: np.savez(file, round=round_, **columns))

    def _read_queries(self) -> list[Bought]:
        path = self.dir / "queries.npz"
        names = [f.name for f in dataclasses.fields(Bought)]
        try:
            arrays = read_npz(path, ["round", *names])
            if len({array.shape for array in arrays.values()}) != 1 or arrays["round"].ndim != 1:
                raise BadInput("its arrays differ in length")
            if any(arrays[name].dtype != (bool if name == "is_noisy" else np.int64) for name in names):
                raise BadInput("its arrays have the wrong types")
            rounds = [torch.from_numpy(arrays["round"] == t) for t in range(START, len(self.rounds))]
            columns = [torch.from_numpy(arrays[name]) for name in names]
            bought = [Bought(*(column[mask] for column in columns)) for mask in rounds]
            if [len(b.ids) for b in bought[1:]] != [row.n_bought for row in self.rounds]:
                raise BadInput("it does not match rounds.jsonl")
        except BadInput as error:
            raise BadInput(f"{path} is damaged ({error}); force=true starts again") from None
        return bought

    def _holder(self) -> str:
        try:
            holder = json.loads((self.dir / ".holder.json").read_text())
            return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
        except (OSError, ValueError, KeyError):
            return "another process"


def _hash(settings: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise BadInput(f"{path} is damaged ({error}); force=true starts again") from None
