"""The real command in processes of its own, and its configs composed in this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from hetal.app.launch import launch
from hetal.record.schema import MEASURED
from hetal.sweep.overrides import as_options
from tests.processes import REPOSITORY, Launched

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
        words = as_options([f"root={root}", *map(str, overrides)])
        cfg = compose("config", words, return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg


def run_here(*overrides: object, root: Path) -> float:
    """Run the real configs in this process."""
    return launch(composed(*overrides, root=root)).area_under_curve


def environment(env: dict[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a launched command, with `env` added.

    The service of W&B that a test in this process has started is left out: it would outlive a run that is killed.
    """
    env = env or {}
    path = os.pathsep.join([str(REPOSITORY), *filter(None, [env.get("PYTHONPATH")])])
    own = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
    return {**own, "COLUMNS": "120", **env, "PYTHONPATH": path}


def start(
    *overrides: object, cwd: Path | None = None, env: dict[str, str] | None = None, nowhere: str | None = None
) -> Launched:
    """Start `launch.py` with the overrides in a process forked from one that has torch imported already."""
    return Launched([*map(str, overrides)], cwd or REPOSITORY, environment(env), nowhere)


def command(
    *overrides: object, cwd: Path | None = None, env: dict[str, str] | None = None, fresh: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run `launch.py` with the overrides, and return the finished process.

    Args:
        overrides: the command line.
        cwd: where it is started; in the repository unless given.
        env: added to the environment.
        fresh: start a new `python`, which takes seconds; else fork one that has torch imported already.
    """
    if not fresh:
        process = start(*overrides, cwd=cwd, env=env)
        said, errors = process.communicate()
        return subprocess.CompletedProcess(
            ["launch.py", *map(str, overrides)], process.returncode, said, errors
        )
    return subprocess.run(
        [sys.executable, str(REPOSITORY / "launch.py"), *map(str, overrides)],
        capture_output=True,
        text=True,
        timeout=240,
        cwd=cwd or REPOSITORY,
        env=environment(env),
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
