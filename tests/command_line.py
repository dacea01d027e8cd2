"""The real command in a process of its own, and its configs composed in this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from hetal.cli import launch
from hetal.rounds import MEASURED

REPOSITORY = Path(__file__).parent.parent
CONF = REPOSITORY / "conf"

# As short as a run can be that still has two queries.
TOY = [
    "device=cpu",
    "tracker=none",
    "n_start=40",
    "n_query=20",
    "n_end=80",
    "train.max_epochs=2",
    "data.n_train=200",
]


def options(group: str) -> list[str]:
    """Return the names of every YAML of a config group."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def composed(*overrides: object, root: Path) -> DictConfig:
    """Compose the real configs, as Hydra does for a single run."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", [f"root={root}", *map(str, overrides)], return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg


def run_here(*overrides: object, root: Path) -> float:
    """Run the real configs in this process."""
    return launch(composed(*overrides, root=root)).area_under_curve


def command(*overrides: object, cwd: Path | None = None, env: dict[str, str] | None = None):
    """Run `python launch.py` with the overrides, and return the finished process."""
    return subprocess.run(
        [sys.executable, str(REPOSITORY / "launch.py"), *map(str, overrides)],
        capture_output=True,
        text=True,
        timeout=240,
        cwd=cwd or REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "120", **(env or {})},
    )


def records(root: Path) -> dict[str, list[dict]]:
    """Return the rounds of every run under `root` without what the machine adds, by folder name."""
    found = {}
    for path in sorted(root.rglob("rounds.jsonl")):
        rounds = [json.loads(line) for line in path.read_text().splitlines()]
        found[path.parent.name] = [{k: v for k, v in r.items() if k not in MEASURED} for r in rounds]
    return found


def only(root: Path) -> Path:
    """Return the folder of the one run under `root`."""
    (path,) = root.rglob("provenance.json")
    return path.parent
