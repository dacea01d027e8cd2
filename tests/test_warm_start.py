"""Rounds that start from the weights of the round before: what they start from, and that no kill loses it."""

from __future__ import annotations

import dataclasses
import json
import os
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from hetal.algs import Random
from hetal.budget import Budget
from hetal.errors import BadInput
from hetal.experiment import Setup
from hetal.guard.footprint import Footprint
from hetal.guard.training import check_training
from hetal.loop import run
from hetal.noise import NoisyPool
from hetal.oracle import Oracle
from hetal.pool import Pool
from hetal.record.history import History
from hetal.record.schema import MEASURED
from hetal.record.writer import Record
from hetal.rng import stream
from hetal.train import LastWeights, ShrinkPerturb
from hetal.train.fit import Fitting
from hetal.watch.watcher import Watcher, Watchers
from tests.command_line import only
from tests.test_record import CHOICES, CPU, config
from tests.toy import blobs, labelled_pool, make_learner

SHRINK = ShrinkPerturb(shrink=0.4, perturb=0.1)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head, self.norm = nn.Linear(2, 1), nn.BatchNorm1d(1)
        self.frozen = nn.Parameter(torch.tensor(3.0), requires_grad=False)


def small(head, bias, scale, mean, frozen) -> Small:
    network = Small()
    for tensor, value in (
        (network.head.weight, [head]), (network.head.bias, [bias]), (network.norm.weight, [scale]),
        (network.norm.running_mean, [mean]), (network.frozen, frozen),
    ):  # fmt: skip
        tensor.data.copy_(torch.tensor(value))
    return network


def test_shrink_perturb_by_hand():
    fresh, old = small([1.0, -2.0], 0.5, 1.0, 0.0, 3.0), small([5.0, 10.0], -1.0, 2.0, 7.0, 4.0)
    SHRINK(fresh, old.state_dict())
    torch.testing.assert_close(fresh.head.weight.data, torch.tensor([[2.1, 3.8]]))
    torch.testing.assert_close(fresh.head.bias.data, torch.tensor([-0.35]))
    torch.testing.assert_close(fresh.norm.weight.data, torch.tensor([0.9]))
    assert fresh.norm.running_mean.item() == 0.0  # statistics begin anew, as in the authors' code
    assert fresh.frozen.item() == 3.0
    assert old.head.weight.tolist() == [[5.0, 10.0]]


def test_last_takes_parameters_and_statistics():
    fresh, old = small([1.0, -2.0], 0.5, 1.0, 0.0, 3.0), small([5.0, 10.0], -1.0, 2.0, 7.0, 4.0)
    LastWeights()(fresh, old.state_dict())
    assert all(
        torch.equal(a, b) for a, b in zip(*(n.state_dict().values() for n in (fresh, old)), strict=True)
    )


@pytest.mark.parametrize(
    ("shrink", "perturb", "said"),
    [
        (1.5, 0.1, r"train\.warm_start\.shrink=1\.5: must be in \[0, 1\]"),
        (-0.1, 0.1, r"train\.warm_start\.shrink=-0\.1: must be in \[0, 1\]"),
        (0.4, -1.0, r"train\.warm_start\.perturb=-1\.0: must be at least 0"),
        (0.0, 0.0, r"train\.warm_start\.perturb=0: must be positive where shrink is 0"),
    ],
)
def test_factors_out_of_range_are_refused(shrink, perturb, said):
    with pytest.raises(BadInput, match=said):
        ShrinkPerturb(shrink, perturb)


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_last_goes_on_where_the_last_round_ended():
    task = blobs()
    learner, pool = make_learner(task, max_epochs=40, warm_start=LastWeights()), labelled_pool(task, 30)
    first = learner.fit(pool, stream(0, "fit", 0))
    weights = learner.hand_on(first)
    assert first.accuracy == 1.0
    assert same(weights, first.fitted.networks.online.state_dict())

    torch.manual_seed(0)
    fitting = Fitting(learner, pool, stream(0, "fit", 1), 0, snapshot=False, previous=weights)
    started = fitting.read().networks
    assert same(started.online.state_dict(), weights)
    assert same(started.ema.state_dict(), weights)
    assert same(weights, first.fitted.networks.online.state_dict())
    fitting.epoch()
    assert fitting.accuracy == 1.0  # in the first epoch already
    fresh = Fitting(learner, pool, stream(0, "fit", 1), 0, snapshot=False)
    fresh.epoch()
    assert fresh.accuracy < 1.0


def test_a_warm_start_leaves_the_streams_as_they_are():
    """A fresh network is drawn all the same: with none of the old weights and all of the new, nothing changes."""
    task = blobs()
    pool = labelled_pool(task, 20)
    plain, warm = make_learner(task), make_learner(task, warm_start=ShrinkPerturb(0.0, 1.0))
    old = warm.hand_on(warm.fit(pool, stream(0, "fit", 0)))
    one, other = plain.fit(pool, stream(0, "fit", 1)), warm.fit(pool, stream(0, "fit", 1), previous=old)
    assert same(*(fit.fitted.networks.online.state_dict() for fit in (one, other)))
    assert plain.hand_on(one) is None


def test_a_warm_start_that_fails_is_refused_before_training():
    def fails(fresh, old):
        fresh.load_state_dict({"lost": old["body.0.weight"]})

    network = nn.Linear(2, 3)
    with pytest.raises(BadInput, match=r"train\.warm_start: fails fails: KeyError") as caught:
        check_training(network, make_learner(blobs(), warm_start=fails))
    assert "\n" not in str(caught.value)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    check_training(network, make_learner(blobs(), warm_start=SHRINK))
    assert same(network.state_dict(), before)


def test_a_restart_begins_with_a_fresh_network():
    task = blobs()
    started = []
    learner = make_learner(
        task, restart_every=2, restart_below=1.1, warm_start=lambda fresh, old: started.append(old)
    )
    fit = learner.fit(labelled_pool(task, 20), stream(0, "fit"), previous={})
    assert (fit.restarts, started) == (2, [{}])


# The record.


def run_of(n_end: int, history: History, watchers=None, warm_start=SHRINK, **changes) -> History:
    task = blobs()
    n, source = len(task.train), torch.arange(len(task.train))
    oracle = Oracle(NoisyPool(task.train.images, source, task.train.labels, torch.zeros(n, dtype=torch.bool)))
    learner = make_learner(task, **{"max_epochs": 2, "warm_start": warm_start, **changes})
    pool, budget = Pool(task.train.images, source), Budget(8, 4, n_end)
    setup = Setup(
        task,
        pool,
        oracle,
        budget,
        learner,
        Random(),
        0,
        torch.arange(8),
        "random",
        Footprint(0, 0, 0, 0),
        Random(),
    )
    summary = run(setup, history, watchers)
    if isinstance(history, Record):
        history.finish(summary)
    return history


@pytest.fixture(autouse=True)
def no_git(monkeypatch):
    """Look for no commit, which takes longer than a run here."""
    monkeypatch.setattr("hetal.record.writer.source", dict)


def recorded(root: Path, n_end: int = 16, *args, **changes) -> Record:
    record = Record(config(root), CHOICES)
    with record.hold(CPU, "data", budget=Budget(8, 4, n_end)):
        run_of(n_end, record, *args, **changes)
    return record


def results(history: History) -> list[dict]:
    rows = [dataclasses.asdict(row) for row in history.rounds]
    return [{key: value for key, value in row.items() if key not in MEASURED} for row in rows]


def left(record: Record) -> dict[str, object]:
    """Return all that a run left, but for timings."""
    files = {path.name: path.read_bytes() for path in record.dir.iterdir() if path.suffix in (".pt", ".npz")}
    return files | {"rounds": results(record), "names": sorted(path.name for path in record.dir.iterdir())}


def weights_in(record: Record) -> list[str]:
    return sorted(path.name for path in record.dir.glob("weights-*"))


def test_rounds_after_the_first_depend_on_it_in_memory_and_on_disk_alike(tmp_path):
    fresh, warm = run_of(16, History(), warm_start=None), run_of(16, History())
    assert results(warm)[0] == results(fresh)[0]
    assert all(a["nll"] != b["nll"] for a, b in zip(results(warm)[1:], results(fresh)[1:], strict=True))
    kept = recorded(tmp_path)
    memory, disk = results(warm), results(kept)
    assert [{**row, "queries_digest": ""} for row in disk] == memory
    assert weights_in(kept) == ["weights-1.pt"]  # that the last round started from
    assert kept.weights() is None


class Killed(BaseException):
    pass


def test_killed_before_any_write_and_run_again_it_leaves_the_same(tmp_path, monkeypatch):
    whole = left(recorded(tmp_path / "whole"))
    n_left, said = 0, []

    def counted(real):
        def call(path, *args, **kwargs):
            nonlocal n_left
            n_left -= Path(path).exists()
            if n_left < 0:
                raise Killed
            said.append(Path(path).name)
            return real(path, *args, **kwargs)

        return call

    for name in ("replace", "unlink"):
        monkeypatch.setattr(os, name, counted(getattr(os, name)))
    for k in range(100):
        n_left = k
        try:
            recorded(tmp_path / f"killed{k}")
        except Killed:
            n_left = 10**6
            assert left(recorded(tmp_path / f"killed{k}")) == whole, k
        else:
            break
    # At the least, two files of weights, three each of purchases and rounds, and the weights that are removed.
    assert k > 2 + 3 + 3 + 1
    assert "weights-0.pt" in said


class KilledAfter(Watcher):
    """Kills the run in an epoch, before its state is on disk."""

    def __init__(self, epochs: int) -> None:
        self.left = epochs

    def epoch(self, epoch: int, accuracy: float) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


def test_killed_within_a_round_momentum_and_schedule_go_on_too(tmp_path):
    settings = {
        "optimizer": partial(torch.optim.SGD, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
        "schedule": partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=6),
        "loss": nn.CrossEntropyLoss(label_smoothing=0.1),
        "max_epochs": 6,
        "checkpoint_minutes": 0,
    }
    whole = left(recorded(tmp_path / "whole", **settings))
    root = tmp_path / "killed"
    for epochs in (4, 5, 6, 3):  # in rounds 0, 1 and 2, each beginning after the epochs on disk
        with pytest.raises(Killed):
            recorded(root, 16, Watchers([KilledAfter(epochs)]), **settings)
    killed = Record(config(root), CHOICES)
    assert (len(killed.rounds), (killed.dir / "round.ckpt").exists()) == (2, True)
    assert left(recorded(root, **settings)) == whole


@pytest.mark.parametrize("first", [8, 16, 18])  # one round; whole queries; a short one
def test_a_larger_budget_goes_on_exactly(first, tmp_path):
    recorded(tmp_path / "grown", first)
    assert left(recorded(tmp_path / "grown", 24)) == left(recorded(tmp_path / "whole", 24))


def test_a_last_line_that_is_torn_is_run_again_exactly(tmp_path):
    whole = left(recorded(tmp_path))
    path = only(tmp_path) / "rounds.jsonl"
    path.write_text(path.read_text()[:-50])
    (path.parent / "summary.json").unlink()
    assert left(recorded(tmp_path)) == whole


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.unlink(), r"is missing, which the next round depends on; .*force=true"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), r"is damaged \(ValueError\); .*force=true"),
        (lambda path: path.write_bytes(b""), r"is damaged \(ValueError\); .*force=true"),
        (
            lambda path: os.replace(path.with_name("weights-1.pt"), path),
            r"is damaged \(it is of other queries\)",
        ),
    ],
)
def test_weights_that_are_lost_are_named(damage, said, tmp_path):
    path = recorded(tmp_path, 18).dir / "rounds.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    damage(path.with_name("weights-2.pt"))
    path.write_text("".join(lines[:-1]))
    assert json.loads(lines[-2])["round"] == 2
    with pytest.raises(BadInput, match=rf"weights-2\.pt {said}") as caught:
        recorded(tmp_path, 18)
    assert "\n" not in str(caught.value)


def test_a_forced_run_leaves_no_old_weights(tmp_path):
    record = recorded(tmp_path)
    with record.hold(CPU, "data", force=True):
        assert weights_in(record) == []
