"""`dry_run=true` says what a run would say, and runs nothing."""

import dataclasses
import os

import pytest

from hetal.errors import BadInput
from hetal.experiment import Experiment
from tests.command_line import TOY, command, run_here

# Settings, and what a run says of them before its first round.
WRONG = {
    "n_end=2000": "n_end=2000",
    "data.n_train=5": "data.n_train=5",
    "optimizer.lr=-1": "optimizer.lr=-1",
    "train.graph=true": "train.graph=true",
    "model=vgg": "model=vgg",
    "model=resnet alg=bald": "",
    "noise.noisy_class=77": "noisy_class=77",
    "data=npz data.path=/none.npz": "data.path=/none.npz",
    "jobs_per_gpu=0": "jobs_per_gpu=0",
    "threads=0": "threads=0",
    "tracker=wandb tracker.mode=wrong": "tracker.mode=wrong",
}


@pytest.mark.parametrize("settings", WRONG)
def test_a_dry_run_says_what_a_run_would_say(settings, tmp_path):
    said = []
    for how in ("dry_run=true", "dry_run=false"):
        with pytest.raises(BadInput) as caught:
            run_here(*TOY, *settings.split(), how, root=tmp_path)
        said.append(str(caught.value))
        if how == "dry_run=true":
            assert list(tmp_path.iterdir()) == []
    assert said[0] == said[1]
    assert WRONG[settings] in said[0]


def test_jobs_that_differ_in_their_seed_are_checked_once(tmp_path, monkeypatch):
    made, loaded = [], []
    prepare = Experiment.prepare

    def counted(experiment, device):
        made.append(experiment.name)

        def load(**given):
            loaded.append(experiment.name)
            return experiment.data(**given)

        return prepare(dataclasses.replace(experiment, data=load), device)

    monkeypatch.setattr(Experiment, "prepare", counted)
    monkeypatch.setattr("hetal.app.dry_run._checked", {})
    for alg in ("random", "badge"):
        for seed in range(3):
            run_here(*TOY, f"alg={alg}", f"seed={seed}", "dry_run=true", root=tmp_path)
    assert made == ["random", "badge"]
    for _ in range(2):
        with pytest.raises(BadInput, match="n_end=2000"):
            run_here(*TOY, "n_end=2000", "dry_run=true", root=tmp_path)
    assert len(made) == 3
    assert list(tmp_path.iterdir()) == []


def test_a_dry_sweep_names_every_job_that_would_fail_and_says_how_far_it_is(tmp_path):
    line = ["-m", "data.n_train=200,5", "seed=0,1", *TOY[:-1], "dry_run=true", f"root={tmp_path}"]
    done = command(*line)
    assert done.returncode == 1
    for i in (1, 2):
        assert f"{i} of 4 checked  badge digits" in done.stdout
    for i in (3, 4):
        assert f"error in job {i} of 4 (data.n_train=5 seed={i - 3}" in done.stderr
    assert "4 jobs: 2 to run, 2 failed" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == [".sweeps"]


def test_a_dry_run_says_that_a_begun_run_has_other_data_now(tmp_path, monkeypatch):
    with pytest.raises(BadInput, match="the loss is nan"):
        run_here(*TOY, "optimizer.lr=1e30", root=tmp_path)
    monkeypatch.setattr("hetal.experiment.Setup.fingerprint", property(lambda setup: "other"))
    for how in ("dry_run=true", "dry_run=false"):
        with pytest.raises(BadInput, match="was begun with other data than these"):
            run_here(*TOY, "optimizer.lr=1e30", how, root=tmp_path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_dry_run_says_that_nothing_can_be_written(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(BadInput, match=f"root={tmp_path}: cannot write"):
        run_here(*TOY, "dry_run=true", root=tmp_path)


def test_a_dry_run_into_what_is_no_folder(tmp_path):
    with pytest.raises(BadInput, match="root=/dev/null/out: cannot write"):
        run_here(*TOY, "dry_run=true", root="/dev/null/out")
