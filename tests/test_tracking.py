"""The W&B log through kills and stops, against a server on loopback."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hetal.tracked import CLEAN, NOISY
from tests.command_line import REPOSITORY, TOY, command, only
from tests.mock_wandb import MockWandb, Run, serving

LINE = [o for o in TOY if not o.startswith("tracker")] + ["train.max_epochs=100", "n_end=160"]


def without_service(env: dict) -> dict:
    """Leave out the service of a test that ran in this process before: it would outlive a killed run."""
    return {**{key: value for key, value in os.environ.items() if key != "WANDB_SERVICE"}, **env}


def start(env: dict, *overrides: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(REPOSITORY / "launch.py"), *LINE, *overrides],
        cwd=REPOSITORY,
        env=without_service(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def n_rounds(root: Path) -> int:
    return sum(len(path.read_text().splitlines()) for path in root.glob("*/*/rounds.jsonl"))


def record_of(root: Path) -> list[dict]:
    return [json.loads(line) for line in (only(root) / "rounds.jsonl").read_text().splitlines()]


def sync(said: str, server: MockWandb, cwd: Path) -> None:
    """Do what the line at the end of an offline run says."""
    (line,) = [line.split(None, 1)[1] for line in said.splitlines() if line.startswith("W&B")]
    wandb, *rest = line.split()
    subprocess.run(
        [Path(sys.executable).parent / wandb, *rest], env=without_service(server.env), check=True, cwd=cwd
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill -9", "SIGTERM"])
@pytest.mark.parametrize("mode", ["online", "offline"])
def test_every_round_is_there_once_through_kills_and_resumes(mode, number, tmp_path):
    with serving() as server:
        arguments = [f"root={tmp_path}", f"tracker.mode={mode}"]
        server.takes_files = (
            number == signal.SIGTERM
        )  # a killed run's images have not arrived, but its rows have
        for until in (2, 4) if number == signal.SIGKILL else (3,):
            process = start(server.env, *arguments)
            while n_rounds(tmp_path) < until:
                assert process.poll() is None, process.stdout.read()
                time.sleep(0.02)
            process.send_signal(number)
            said = process.communicate(timeout=60)[0]
            assert process.returncode == (-9 if number == signal.SIGKILL else 143), said
        server.takes_files = True
        process = start(server.env, *arguments)
        said = process.communicate(timeout=240)[0]
        assert process.returncode == 0, said
        assert "WARNING" not in said
        if mode == "offline":
            assert not server.received
            sync(said, server, tmp_path)
        (run,) = server.runs.values()
        shows_the_record(run, tmp_path)
        shows_what_was_bought(run, tmp_path)
        assert run.exit_code == 0
        sent_nothing_else(run, server, tmp_path)


def shows_the_record(run: Run, root: Path) -> None:
    """Check every number of every round, and the summary."""
    record = record_of(root)
    assert [row["_step"] for row in run.history] == list(range(7))
    with np.load(only(root) / "queries.npz") as arrays:
        queried = {name: arrays[name][arrays["round"] >= 0] for name in arrays.files}
    summary = json.loads((only(root) / "summary.json").read_text())
    for sent, row in zip(run.history, record, strict=True):
        for key, value in row.items():
            if isinstance(value, (int, float)):
                assert sent[key] == value, key
            else:
                assert value is not None or key not in sent
        for phase, seconds in row["seconds"].items():
            assert sent[f"seconds/{phase}"] == seconds
        assert sent["base_rate"] == summary["base_rate"]
        if row["n_bought"]:
            so_far = queried["round"] <= row["round"]
            assert sent["clean_share_so_far"] == 1 - queried["is_noisy"][so_far].mean()
            assert sent["n_distinct_so_far"] == len(set(queried["source"][so_far].tolist()))
            assert sent["bought_per_class"]["values"] == row["bought_per_class"]
            assert sent["bought_per_class"]["bins"] == [c - 0.5 for c in range(11)]
    assert {"peak_memory_mb", "nll", "ece", "macro_f1", "balanced_accuracy", "epochs"} < set(run.history[0])
    for key in ("final_accuracy", "area_under_curve", "queried_clean_share"):
        assert run.summary[key] == summary[key]
    assert run.summary["total_seconds/train"] == summary["seconds"]["train"]
    assert "labels_to_reach_random" not in run.summary  # there is no run of random beside it


def shows_what_was_bought(run: Run, root: Path) -> None:
    """Check that every round's images have arrived and say what the record says."""
    with np.load(only(root) / "queries.npz") as arrays:
        queries = {name: arrays[name] for name in arrays.files}
    for row in run.history[:-1]:
        here = queries["round"] == row["round"]
        words = [
            f"label {label}, {'noisy' if noisy else 'clean'}"
            for label, noisy in zip(queries["labels"][here], queries["is_noisy"][here], strict=True)
        ]
        assert row["bought"]["captions"] == [words[i] for i in np.linspace(0, 19, 12).round().astype(int)]
        for name, caption in zip(row["bought"]["filenames"], row["bought"]["captions"], strict=True):
            picture = Image.open(io.BytesIO(run.files[name]))
            assert picture.size == (72, 72)
            assert picture.getpixel((0, 0)) == (NOISY if "noisy" in caption else CLEAN)
    assert "bought" not in run.history[-1]


def sent_nothing_else(run: Run, server: MockWandb, root: Path) -> None:
    """Check that nothing went out that is not the run's: no code, diff, host, path, printed line or measurement."""
    settings = {key: value for key, value in run.config.items() if "/" not in key and key != "_wandb"}
    assert settings == {
        "alg": "badge", "data": "digits", "noise": "class", "mult": 4, "model": "mlp", "train": "paper",
        "finetune": "none", "seed": 0, "n_start": 40, "n_query": 20, "n_end": 160, "name": "default",
    }  # fmt: skip
    assert run.config["train/max_epochs"] == 100
    assert run.config["data/n_train"] == 200
    assert run.about["displayName"] == "badge digits class x4 mlp s0"
    assert run.about["groupName"].startswith("badge digits class x4 mlp ")
    assert not any(run.about.get(key) for key in ("host", "repo", "commit", "tags", "notes"))
    assert {name for name in run.files if not name.startswith("media/")} <= {
        "config.yaml",
        "wandb-summary.json",
    }
    # `wandb sync` is another program than hetal, and says where it is itself.
    itself = str(Path(sys.executable).parent / "wandb").encode()
    everything = b"".join(server.received).replace(b"\\/", b"/").replace(itself, b"")
    for place in (REPOSITORY, root, Path.home(), sys.executable):
        assert str(place).encode() not in everything
    key = server.env["WANDB_API_KEY"].encode()
    assert not [path for path in root.rglob("*") if path.is_file() and key in path.read_bytes()]


def test_a_group_of_runs_and_the_labels_that_random_choice_would_need(tmp_path):
    with serving() as server:
        line = [*LINE, "tracker.mode=online", "tracker.images=0", f"root={tmp_path}", "n_end=80"]
        done = command("-m", "alg=random,badge", "seed=0,1", *line, env=without_service(server.env))
        assert done.returncode == 0, done.stderr
        runs = {(run.config["alg"], run.config["seed"]): run for run in server.runs.values()}
        assert len(runs) == 4
        assert len({run.about["groupName"] for run in runs.values()}) == 2
        assert runs["badge", 0].about["groupName"] == runs["badge", 1].about["groupName"]
        for (_, seed), run in runs.items():
            target = runs["random", seed].history[-1]["accuracy"]
            reached = [row["n_labelled"] for row in run.history if row["accuracy"] >= target]
            assert run.summary.get("labels_to_reach_random") == (min(reached) if reached else None)
            assert "bought" not in run.history[0]
        assert runs["random", 0].summary["labels_to_reach_random"] <= 80
