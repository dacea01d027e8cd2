"""Records as runs leave them, made without running anything: for tests of the report and for its benchmark."""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from hydra.core.hydra_config import HydraConfig

from hetal.app.compose import GROUPS
from hetal.app.launch import resolved
from hetal.app.names import noise_name
from hetal.record.identity import identify
from hetal.record.schema import Round
from hetal.report.load.records import Run
from hetal.sweep.overrides import nested_groups
from tests.command_line import composed
from tests.sealed import reseal

BASE = ("device=cpu", "tracker=none")


def write_run(
    root: Path,
    *overrides: str,
    seed: int = 0,
    accuracy: Sequence[float] = (0.5, 0.6, 0.7, 0.8),
    finished: bool = True,
    sealed: bool = False,
    **fields: Any,
) -> Path:
    """Write the record of one run and return its folder.

    Args:
        root: as `root=` of the command.
        overrides: of the command line, but for seed and root.
        seed: of the run.
        accuracy: of every round.
        finished: whether there is a summary.
        sealed: whether the record holds its settings and digests of itself; else it is as older versions left them.
        fields: of every round, to be other than what is made up here.
    """
    config, choices, text = _composed(str(root), overrides)
    config = {**config, "seed": seed}
    identity = identify(config, choices)
    folder = identity.dir
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "config.yaml").write_text(text.replace("seed: 0\n", f"seed: {seed}\n"))
    given = [*overrides, f"seed={seed}", f"root={root}"]
    (folder / ".hydra" / "overrides.yaml").write_text("".join(f"- {line}\n" for line in given))
    about = _about(choices) | ({"settings": identity.settings, "files": {}} if sealed else {})
    (folder / "provenance.json").write_text(json.dumps(about, indent=2))
    rows = [
        {**_round(t, config, value, t == len(accuracy) - 1), **fields} for t, value in enumerate(accuracy)
    ]
    (folder / "rounds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if finished:
        summary = {
            "area_under_curve": float(np.mean(accuracy)), "final_accuracy": accuracy[-1],
            "n_labelled": rows[-1]["n_labelled"], "n_rounds": len(rows), "queried_clean_share": 0.25,
            "base_rate": 0.2, "seconds": {"train": 1.0},
        }  # fmt: skip
        (folder / "summary.json").write_text(json.dumps(summary, indent=2))
    if sealed:
        reseal(folder)
    return folder


def write_queries(folder: Path, n: int = 5) -> None:
    """Add a small queries.npz to a record."""
    ids = np.arange(n)
    np.savez(
        folder / "queries.npz", round=ids - 1, ids=ids, labels=ids % 2, source=ids, is_noisy=ids % 3 == 0
    )


def make_run(
    label: str, seed: int, accuracy: Sequence[float], grid: Sequence[int] = (), **changes: Any
) -> Run:
    """Return a finished run as the report holds it, without any file; `grid` counts 10, 20, ... unless given."""
    grid = list(grid) or [10 * (t + 1) for t in range(len(accuracy))]
    rounds = tuple(
        {**_round(t, {"n_start": 0, "n_query": 0}, value, t == len(grid) - 1), "n_labelled": n}
        for t, (n, value) in enumerate(zip(grid, accuracy, strict=True))
    )
    run = Run(
        folder=Path(f"{label}-s{seed}"), choices={"alg": label, "data": "d", "noise": "n", "model": "m"},
        config={"alg._target_": label}, seed=seed, rounds=rounds,
        summary={"n_rounds": len(rounds), "base_rate": 0.2, "queried_clean_share": 0.25},
        made_by={}, commit=None, machine={}, overrides=(f"alg={label}", f"seed={seed}"), label=label, setting="d n m",
    )  # fmt: skip
    return dataclasses.replace(run, **changes)


@functools.cache
def _composed(root: str, overrides: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, str], str]:
    cfg = composed(*BASE, *overrides, root=Path(root))
    config = resolved(cfg)
    choices = {
        k: str(v) for k, v in HydraConfig.get().runtime.choices.items() if k in (*GROUPS, *nested_groups())
    }
    choices["noise"] = noise_name(config, choices["noise"])
    return config, choices, yaml.safe_dump(config, sort_keys=False)


def _about(choices: dict[str, str]) -> dict[str, Any]:
    machine = {"host": "here", "system": "Linux", "cores": 2, "threads": 1, "cpu": "AVX2", "device": "cpu"}
    return {
        "id": "0" * 8, "data": "0" * 16, "choices": choices, "made_by": {"hetal": "0.1.0 (0)", "device": "cpu"},
        "source": {"commit": "0" * 40, "diff": "", "untracked": ""},
        "sessions": [{"started": "2026-01-01T00:00:00+0000", "python": "3.11", "packages": {}, "machine": machine}],
    }  # fmt: skip


def _round(t: int, config: dict[str, Any], accuracy: float, is_last: bool) -> dict[str, Any]:
    n = 0 if is_last else 20
    row = Round(
        round=t, n_labelled=config["n_start"] + t * config["n_query"], accuracy=float(accuracy),
        balanced_accuracy=float(accuracy), macro_f1=float(accuracy), nll=1.0, ece=0.1, train_accuracy=0.99,
        epochs=10, steps=100, restarts=0, snapshot_epoch=None, n_pseudo=None, pseudo_accuracy=None, n_asked=n,
        n_bought=n, clean_share=0.25 if n else None, n_distinct=15 if n else None,
        bought_per_class=[2] * 10 if n else None,
        seconds={"train": 1.0, "score": 0.1, "select": 0.2, "test": 0.3}, peak_memory_mb=600.0,
    )  # fmt: skip
    return {k: v for k, v in dataclasses.asdict(row).items() if k not in ("queries_digest", "digest")}


def copy(folder: Path, to: Path) -> Path:
    """Copy a record, or a study of them."""
    return Path(shutil.copytree(folder, to))
