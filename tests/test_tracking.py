"""The W&B log through kills and stops, against a server on loopback."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.command_line import REPOSITORY, TOY, only
from tests.mock_wandb import serving

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


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill -9", "SIGTERM"])
@pytest.mark.parametrize("mode", ["online", "offline"])
def test_every_round_is_there_once_through_kills_and_resumes(mode, number, tmp_path):
    with serving() as server:
        arguments = [f"root={tmp_path}", f"tracker.mode={mode}"]
        for until in (2, 4) if number == signal.SIGKILL else (3,):
            process = start(server.env, *arguments)
            while n_rounds(tmp_path) < until:
                assert process.poll() is None, process.stdout.read()
                time.sleep(0.02)
            process.send_signal(number)
            said = process.communicate(timeout=60)[0]
            assert process.returncode == (-9 if number == signal.SIGKILL else 143), said
        process = start(server.env, *arguments)
        said = process.communicate(timeout=120)[0]
        assert process.returncode == 0, said
        assert "WARNING" not in said
        if mode == "offline":
            assert not server.runs
            (line,) = [line.split(None, 1)[1] for line in said.splitlines() if line.startswith("W&B")]
            wandb, *rest = line.split()
            subprocess.run(
                [Path(sys.executable).parent / wandb, *rest],
                env=without_service(server.env),
                check=True,
                cwd=tmp_path,
            )
        (run,) = server.runs.values()
        record = [json.loads(line) for line in (only(tmp_path) / "rounds.jsonl").read_text().splitlines()]
        for key in ("round", "n_labelled", "accuracy"):
            assert [row[key] for row in run.history] == [row[key] for row in record]
        assert [row["_step"] for row in run.history] == list(range(7))
        assert run.exit_code == 0
        assert run.summary["final_accuracy"] == record[-1]["accuracy"]
        assert run.config["alg"] == {"_target_": "hetal.algs.badge.BADGE"}
        assert run.config["seed"] == 0
        assert run.about["groupName"].startswith("badge digits class x4 mlp")
        key = server.env["WANDB_API_KEY"].encode()
        assert not [path for path in tmp_path.rglob("*") if path.is_file() and key in path.read_bytes()]
