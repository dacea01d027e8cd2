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
import yaml
from PIL import Image

from hetal.app.compose import build_part
from hetal.app.launch import resolved
from hetal.errors import BadInput
from hetal.watch.wandb import WandbTracker
from hetal.watch.wandb_media import CLEAN, NOISY
from tests.command_line import REPOSITORY, TOY, command, composed, environment, only, start
from tests.mock_wandb import MockWandb, Run, serving

LINE = [o for o in TOY if not o.startswith("tracker")] + ["train.max_epochs=100", "n_end=160"]


def n_rounds(root: Path) -> int:
    return sum(len(path.read_text().splitlines()) for path in root.glob("*/*/rounds.jsonl"))


def record_of(root: Path) -> list[dict]:
    return [json.loads(line) for line in (only(root) / "rounds.jsonl").read_text().splitlines()]


def sync(said: str, server: MockWandb, cwd: Path) -> None:
    """Do what the line at the end of an offline run says."""
    (line,) = [line.split(None, 1)[1] for line in said.splitlines() if line.startswith("W&B")]
    wandb, *rest = line.split()
    subprocess.run(
        [Path(sys.executable).parent / wandb, *rest], env=environment(server.env), check=True, cwd=cwd
    )


@pytest.mark.parametrize(
    ("mode", "number"),
    [("online", signal.SIGKILL), ("offline", signal.SIGTERM)],
    ids=["online, kill -9", "offline, SIGTERM"],
)
def test_every_round_is_there_once_through_kills_and_resumes(mode, number, tmp_path):
    with serving() as server:
        arguments = [*LINE, f"root={tmp_path}", f"tracker.mode={mode}"]
        server.takes_files = (
            number == signal.SIGTERM
        )  # a killed run's images have not arrived, but its rows have
        for until in (2, 4) if number == signal.SIGKILL else (3,):
            process = start(*arguments, env=server.env)
            while n_rounds(tmp_path) < until:
                assert process.poll() is None, process.communicate()
                time.sleep(0.02)
            process.send_signal(number)
            said = process.communicate(timeout=60)
            assert process.returncode == (-9 if number == signal.SIGKILL else 143), said
        server.takes_files = True
        done = command(*arguments, env=server.env)
        assert done.returncode == 0, done.stderr
        assert "WARNING" not in done.stdout + done.stderr
        if mode == "offline":
            assert not server.received
            sync(done.stdout, server, tmp_path)
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
    assert not any("n_rejected" in row or "bought_per_kind/clean" in row for row in run.history)
    for sent, row in zip(run.history, record, strict=True):
        for key, value in row.items():
            if isinstance(value, (int, float)) and key != "n_rejected":  # of a pool in which no row can be
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
        "alg": "badge", "data": "digits", "noise": "class", "mult": 4, "oracle": "persistent", "model": "mlp",
        "optimizer": "adam", "schedule": "constant", "train": "paper", "finetune": "none", "start": "random", "seed": 0,
        "n_start": 40, "n_query": 20, "n_end": 160, "name": "default",
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
        done = command("-m", "alg=random,badge", "seed=0,1", *line, env=server.env)
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


@pytest.fixture
def clean(monkeypatch):
    """The environment without any variable of W&B's."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    return monkeypatch


def tracker(*overrides: str) -> WandbTracker:
    """Return the tracker that a command line makes."""
    config = resolved(composed("alg=random", *overrides, root=Path("x")))
    return build_part(config, "tracker")


SAID = {
    "project": ("WANDB_PROJECT", "hetal", "mine"),
    "entity": ("WANDB_ENTITY", None, "team"),
    "mode": ("WANDB_MODE", "offline", "online"),
    "group": ("WANDB_RUN_GROUP", None, "mine"),
    "job_type": ("WANDB_JOB_TYPE", None, "mine"),
    "run_name": ("WANDB_NAME", None, "mine"),
}


@pytest.mark.parametrize("setting", SAID)
def test_the_command_line_wins_over_the_environment_and_that_over_the_default(setting, clean):
    variable, default, said = SAID[setting]
    assert getattr(tracker(), setting) == default
    clean.setenv(variable, "")
    assert getattr(tracker(), setting) == default
    clean.setenv(variable, said)
    assert getattr(tracker(), setting) == said
    assert getattr(tracker(f"tracker.{setting}={default or 'typed'}"), setting) == (default or "typed")


def test_older_ways_to_say_the_mode(clean):
    clean.setenv("WANDB_DISABLED", "true")
    assert tracker().mode == "disabled"
    assert tracker("tracker.mode=online").mode == "online"
    for old, now in (("dryrun", "offline"), ("run", "online"), ("online", "online")):
        clean.setenv("WANDB_MODE", old)
        assert tracker().mode == now


@pytest.mark.parametrize(
    ("variable", "value", "setting"),
    [
        ("WANDB_MODE", "foo", "mode"),
        ("WANDB_MODE", "shared", "mode"),
        ("WANDB_PROJECT", "a/b", "project"),
        ("WANDB_PROJECT", "x" * 129, "project"),
        ("WANDB_PROJECT", " ", "project"),
        ("WANDB_ENTITY", "team/project", "entity"),
    ],
)
def test_a_variable_that_is_no_such_thing_is_named(variable, value, setting, clean):
    clean.setenv(variable, value)
    with pytest.raises(BadInput, match=rf"tracker\.{setting}={value} \({variable}\): must be"):
        tracker()
    with pytest.raises(BadInput, match=rf"tracker\.{setting}=x%%y?: must be"):
        tracker(f"tracker.{setting}=x%%y" if setting != "mode" else "tracker.mode=x%%")
    tracker(f"tracker.{setting}={'offline' if setting == 'mode' else 'fine'}")


def test_what_the_environment_says_arrives(tmp_path, clean):
    said = {
        "WANDB_MODE": "online", "WANDB_PROJECT": "mine", "WANDB_ENTITY": "team", "WANDB_RUN_GROUP": "a group",
        "WANDB_JOB_TYPE": "a job", "WANDB_NAME": "a name", "WANDB_TAGS": "one,two", "WANDB_NOTES": "a note",
        "WANDB_RUN_ID": "another", "WANDB_DIR": str(tmp_path / "elsewhere"), "WANDB_RESUME": "never",
    }  # fmt: skip
    with serving() as server:
        for typed in ([], ["tracker.project=typed", "seed=1"]):
            done = command(
                *LINE,
                "train.max_epochs=1",
                "n_end=80",
                *typed,
                f"root={tmp_path / 'out'}",
                env={**said, **server.env},
            )
            assert done.returncode == 0, done.stderr
        one, two = server.runs.values()
    assert "another" not in server.runs
    told = {
        "project": "mine",
        "entity": "mock",
        "groupName": "a group",
        "jobType": "a job",
        "displayName": "a name",
    }
    assert {key: one.about[key] for key in told} == told
    assert (one.about["tags"], one.about["notes"]) == (["one", "two"], "a note")
    assert two.about["project"] == "typed"
    assert len(one.history) == 3
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("WANDB_BASE_URL", "nonsense", "base_url"),
        ("WANDB_INIT_TIMEOUT", "soon", "init_timeout"),
    ],
)
@pytest.mark.parametrize("mode", ["online", "offline"])
def test_what_wandb_refuses_of_its_environment_is_said_before_the_training(
    mode, variable, value, said, tmp_path, clean
):
    with serving() as server:
        env = {**server.env, variable: value}
        done = command(*LINE, f"tracker.mode={mode}", f"root={tmp_path}", env=env)
    assert done.returncode == 1, done.stdout
    assert done.stderr.startswith(f"error: tracker.mode={mode}: W&B says: ")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert variable in done.stderr
    assert not list(tmp_path.rglob("rounds.jsonl"))


@pytest.mark.parametrize("service", ["nonsense", "3-1-unix-/absent/socket", "3-1-tcp-localhost-9"])
def test_the_service_of_a_process_that_has_ended_is_no_hindrance(service, tmp_path, clean):
    line = [*LINE, "n_end=60", "train.max_epochs=1", "tracker.mode=offline", f"root={tmp_path}"]
    done = command(*line, env={"WANDB_SERVICE": service})
    assert (done.returncode, done.stderr) == (0, "")
    assert list(only(tmp_path).glob("wandb/offline-run-*/*.wandb"))


def test_a_sweep_of_wandbs_by_the_sample_file(tmp_path, clean):
    """Every run of the agent has the rounds and the objective, also one that hetal has finished before."""
    quick = "import wandb.wandb_agent as agent; agent.Agent.POLL_INTERVAL = 0.2; import wandb.cli.cli as c; c.cli()"
    same = {"alg": "margin", "optimizer.lr": 0.001, "seed": 0, "root": str(tmp_path / "out")}
    same |= dict(option.split("=") for option in TOY if not option.startswith("tracker"))
    with serving() as server:
        env = {**os.environ, **server.env, "WANDB_DIR": str(tmp_path)}
        env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"

        def wandb(*arguments: str) -> str:
            done = subprocess.run(
                [sys.executable, "-c", quick, *arguments],
                cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=240,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            return done.stdout + done.stderr

        assert "wandb agent team/mine/s1" in wandb("sweep", "-p", "mine", "-e", "team", "docs/sweep.yaml")
        server.jobs = [same, same]
        said = wandb("agent", "team/mine/s1")
        assert said.count("finished already") == 1
    assert set(server.runs) == {"agents-1", "agents-2"}
    sweep = yaml.safe_load(server.sweep)
    for run in server.runs.values():
        assert run.about["project"] == "mine"
        assert [row["_step"] for row in run.history] == [0, 1, 2]
        assert 0 < run.summary[sweep["metric"]["name"]] < 1
        assert run.exit_code == 0
        assert set(sweep["parameters"]) <= set(run.config)
        assert run.config["alg"] == "margin"
    again, first = (server.runs[f"agents-{i}"] for i in (1, 2))
    for one, other in zip(first.history, again.history, strict=True):
        assert {key: one[key] for key in other if key[0] != "_"} == {
            k: other[k] for k in other if k[0] != "_"
        }
    assert "media/images" in " ".join(first.files)


def test_an_agent_that_can_get_nothing_is_told_in_a_line(tmp_path, clean):
    agent = {"WANDB_SWEEP_ID": "s1", "WANDB_RUN_ID": "r1"}
    for env, line, said in (
        (agent, [], "tracker.mode=offline: the agent of W&B sweep s1 (WANDB_SWEEP_ID) gets nothing from a run that is"),
        ({**agent, "WANDB_MODE": "offline"}, [], "tracker.mode=offline (WANDB_MODE): the agent of W&B sweep s1"),
        ({"WANDB_SWEEP_ID": "s1"}, ["tracker.mode=online"], "WANDB_SWEEP_ID=s1: set, but no WANDB_RUN_ID"),
        (agent, ["-m", "seed=0,1", "tracker.mode=online"], "leave -m out of its command"),
    ):  # fmt: skip
        done = command(*line, *LINE, f"root={tmp_path}", env={**env, "WANDB_BASE_URL": "http://127.0.0.1:9"})
        assert done.returncode == 1
        assert said in done.stderr
        assert "Traceback" not in done.stderr
        assert "online" in done.stderr or "WANDB_RUN_ID" in done.stderr or "-m" in done.stderr
    command(*LINE, "tracker.mode=disabled", f"root={tmp_path / 'disabled'}", env=agent)
    assert only(tmp_path / "disabled").joinpath("summary.json").exists()


def test_what_resume_and_force_delete_is_this_runs_own_and_not_behind_a_link(tmp_path, clean):
    line = [
        *LINE,
        "tracker.mode=offline",
        "tracker.images=0",
        "train.max_epochs=1",
        "n_end=60",
        f"root={tmp_path / 'out'}",
    ]
    assert command(*line).returncode == 0
    folder = only(tmp_path / "out")
    (own,) = (folder / "wandb").glob("offline-run-*")
    for kept in (folder / "wandb" / "offline-run-20200101_000000-another", folder / "wandb" / "mine"):
        kept.mkdir()
        (kept / "data").write_text("kept")
    for name in ("trace-of-mine.txt", ".mine.tmp"):
        (folder / name).write_text("kept")
    target = tmp_path / "target"
    target.write_text("kept")
    for name in ("curve.png", "network.pt"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)
    assert command(*line, "force=true").returncode == 0
    assert not own.exists()
    (own,) = (folder / "wandb").glob("offline-run-*-*-*")
    assert [path.read_text() for path in sorted(folder.glob("wandb/*/data"))] == ["kept", "kept"]
    assert [(folder / name).read_text() for name in ("trace-of-mine.txt", ".mine.tmp")] == ["kept", "kept"]
    assert target.read_text() == "kept"
    scratch = tmp_path / "scratch"
    (folder / "wandb").rename(scratch)
    (folder / "wandb").symlink_to(scratch)
    before = {path for path in scratch.rglob("*") if path.is_file()}
    for how in ([], ["force=true"]):
        (folder / "summary.json").unlink()
        assert command(*line, *how).returncode == 0
    assert before <= {path for path in scratch.rglob("*") if path.is_file()}
    assert len(list(scratch.glob("offline-run-*-*-*"))) == 3
