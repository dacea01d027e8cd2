"""Golden records: what tiny runs of every strategy, noise and way of training gave, kept to be compared with.

`python -m tests.golden` runs all cases again and says which changed; with `--write` it replaces them. A commit that
changes one says why.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hetal.app.launch import launch
from hetal.record.schema import MEASURED
from tests.command_line import composed, only, options
from tests.tiny_data import write_cifar10

FOLDER = Path(__file__).parent

TINY = [
    "device=cpu",
    "tracker=none",
    "data.n_train=200",
    "n_start=40",
    "n_query=20",
    "n_end=100",
    "train.lr=3e-3",
    "train.max_epochs=12",
    "train.falling_epochs=2",
]

FINETUNE = ["finetune.confidence=0.3", "finetune.min_rows=50", "finetune.lr_factor=1"]
RESNET = ["model=resnet", "model.widths=[4,8]", "model.blocks=[1,1]"]
CIFAR10 = [
    "data=cifar10",
    "data.train._target_=tests.tiny_data.CIFAR10",
    "data.test._target_=tests.tiny_data.CIFAR10",
]

# Noise of labels that people gave, which digits lack.
OF_PEOPLE = ("human", "votes")

# By name, the overrides of every case.
CASES: dict[str, list[str]] = {
    **{f"alg-{alg}": [f"alg={alg}"] for alg in options("alg")},
    "alg-bait": ["alg=bait", "model.widths=[32]"],
    **{f"alg-{alg}": [f"alg={alg}", "model=mlp_dropout"] for alg in ("bald", "batchbald", "epig")},
    **{
        f"noise-{noise}": ["alg=badge", f"noise={noise}"]
        for noise in options("noise")
        if noise not in OF_PEOPLE
    },
    "noise-long_tail": ["alg=badge", "noise=long_tail", "noise.rho=4"],
    "noise-blank-lhd": ["alg=lhd", "noise=blank"],
    "train-fast": ["alg=lhd", "train=fast", "train.stop.min_steps=5", "train.stop.patience=2"],
    "train-published": ["alg=lhd", "train=published"],
    "finetune-pseudo_label": ["alg=lhd", "finetune=pseudo_label", *FINETUNE],
    "finetune-published": ["alg=badge", "finetune=published", *FINETUNE],
    "data-four_moons": ["alg=coreset", "data=four_moons", "noise=copies"],
    "data-cifar10": ["alg=margin", "noise=diverse", *CIFAR10],
    "model-resnet": ["alg=badge", "noise=blank", *RESNET],
    "model-resnet-lhd_published": ["alg=lhd_published", *RESNET],
    "model-vgg": [
        "alg=badge",
        "noise=blank",
        *CIFAR10,
        "model=vgg",
        "model.widths=[4,8]",
        "model.convolutions=[1,1]",
    ],
}


def run_case(name: str, root: Path) -> list[dict[str, Any]]:
    """Run a case under `root`, and return its record as the objects of its golden file.

    What it is (names and settings), its rounds and summary without what the machine adds, and the rows of each
    purchase.
    """
    root.mkdir(parents=True, exist_ok=True)
    overrides = [*TINY, *CASES[name]]
    if "data=cifar10" in overrides:
        write_cifar10(root / "data", 200)
        overrides.append(f"data.root={root / 'data'}")
    launch(composed(*overrides, root=root / "runs"))
    return record_of(only(root / "runs"))


def record_of(folder: Path) -> list[dict[str, Any]]:
    """Return the record in a run's folder as the objects of a golden file."""
    import numpy as np

    about = json.loads((folder / "provenance.json").read_text())
    rounds = [_plain(json.loads(line)) for line in (folder / "rounds.jsonl").read_text().splitlines()]
    with np.load(folder / "queries.npz") as queries:
        bought = [{"array": key, "values": queries[key].tolist()} for key in sorted(queries.files)]
    summary = _plain(json.loads((folder / "summary.json").read_text()))
    return [
        {"folder": folder.name, **{key: about[key] for key in ("data", "settings")}},
        *rounds,
        *bought,
        summary,
    ]


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in (*MEASURED, "queries_digest")}


def kind_of_machine() -> dict[str, str]:
    """Return what bits may depend on: the release of torch, and the kind of processor."""
    cpu = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {"torch": torch.__version__, "cpu": cpu, "kernels": torch.backends.cpu.get_cpu_capability()}


def load(name: str) -> list[dict[str, Any]]:
    """Return the objects of a golden file."""
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text().splitlines()]


def text_of(rows: list[dict[str, Any]]) -> str:
    """Return the text of a golden file, an object a line."""
    return "".join(json.dumps(row) + "\n" for row in rows)


def differences(golden: list[dict[str, Any]], now: list[dict[str, Any]], *, exact: bool) -> list[str]:
    """Return in which fields two records of a case differ, a line each.

    Args:
        golden: the one kept.
        now: the other.
        exact: ask for the same bits. Else what follows from the settings alone must be the same, and what passed
            through a network within what rounding does to runs as short as these: the metrics of the first round
            within 0.005, the accuracy of later ones, whose purchases may differ, within 0.15.
    """
    if exact:
        return [
            f"{_name(old)}: {key}: {old.get(key)} was kept, {new.get(key)} came"
            for old, new in zip(golden, now, strict=True)
            for key in old.keys() | new.keys()
            if old.get(key) != new.get(key)
        ]
    same = {
        "folder",
        "data",
        "settings",
        "round",
        "n_labelled",
        "n_asked",
        "n_bought",
        "n_rounds",
        "base_rate",
    }
    first = dict.fromkeys(
        ("accuracy", "balanced_accuracy", "macro_f1", "nll", "ece", "train_accuracy"), 0.005
    )
    found = []
    for old, new in zip(golden, now, strict=True):
        within = first if old.get("round") == 0 else {"accuracy": 0.15, "area_under_curve": 0.15}
        for key in old.keys() | new.keys():
            a, b = old.get(key), new.get(key)
            if (key in same and a != b) or (key in within and abs(a - b) > within[key]):
                found.append(f"{_name(old)}: {key}: {a} was kept, {b} came")
    return found


def _name(row: Mapping[str, Any]) -> str:
    return f"round {row['round']}" if "round" in row else str(row.get("array", "the run"))
