"""Which run a config stands for: all that can change its result, hashed, and names that people can read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hetal.errors import BadInput

# Settings that cannot change a result; what noise makes of mult stands in its own factor, and a run that ends later
# is the same run up to there.
NOT_IDENTITY = (
    "mult",
    "n_end",
    "tracker",
    "device",
    "jobs_per_gpu",
    "name",
    "root",
    "force",
    "dry_run",
    "fail_fast",
    "keep_network",
    "profile",
    "data.root",
    "data.download",
    "train.checkpoint_minutes",
)


@dataclass(frozen=True)
class Identity:
    """The names of a run.

    Attributes:
        hash: of all that can change the result, the seed included.
        title: for people, without the hash.
        group: shared by the runs that differ in nothing but the seed.
        dir: the run's folder.
    """

    hash: str
    title: str
    group: str
    dir: Path


def identify(config: Mapping[str, Any], choices: Mapping[str, str]) -> Identity:
    """Name the run of a resolved config.

    Args:
        config: plain values.
        choices: the option chosen in each config group.

    Raises:
        BadInput: `name` would leave `root`.
    """
    name = str(config["name"])
    if not re.fullmatch(r"\w[\w.+-]*", name):
        raise BadInput(f"name={name}: must be one folder name of letters, digits, '.', '_', '+' and '-'")
    kept = what_counts(config)
    but_seed = {key: value for key, value in kept.items() if key != "seed"}
    readable = {group: re.sub(r"[^\w.+-]", "_", choice) for group, choice in choices.items()}
    factor = config["noise"].get("factor", 0)
    parts = [*(readable[g] for g in ("alg", "data", "noise")), f"x{factor:g}", readable["model"]]
    seed = f"s{config['seed']}"
    folder = "-".join([*parts, seed, _hash(kept)])
    return Identity(
        hash=_hash(kept),
        title=" ".join([*parts, seed]),
        group=" ".join([*parts, _hash(but_seed)]),
        dir=Path(str(config["root"])).expanduser() / name / folder,
    )


def what_counts(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a resolved config that can change a result."""
    # A whole number is the same setting with and without its decimal point.
    kept: dict[str, Any] = json.loads(json.dumps(config), parse_float=lambda x: _number(float(x)))
    for path in NOT_IDENTITY:
        *parents, key = path.split(".")
        node = kept
        for parent in parents:
            node = node.get(parent, {})
        node.pop(key, None)
    return kept


def _number(value: float) -> float | int:
    return int(value) if value.is_integer() else value


def _hash(settings: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
