"""Memory that a run is expected to hold, against what it holds on a device that counts it."""

import dataclasses

import pytest
import torch

from hetal.errors import BadInput
from hetal.guard.footprint import Footprint
from hetal.loop import run
from hetal.record.history import History
from tests.cuda_runs import RESNET, prepared
from tests.pretend_cuda import pretend


@pytest.mark.parametrize(
    "overrides",
    [
        ["model=mlp", "model.widths=[2000,500]"],  # mostly networks
        ["model=resnet", "model.widths=[16,16]", "model.blocks=[2,2]", "train.score_batch_size=64"],  # a step
        [*RESNET, "train.score_batch_size=2000", "data.n_train=1297"],  # a batch of scoring
        ["model.members=3", "model.widths=[1000]"],
        [
            "finetune=pseudo_label",
            "finetune.augment=null",
            "finetune.confidence=0",
            "finetune.min_rows=1",
            "noise=clean",
        ],
        ["train.own_ema=true", "optimizer=sgd"],
    ],
)
def test_what_a_run_is_expected_to_hold_is_about_what_it_holds(overrides, monkeypatch):
    monkeypatch.setattr("hetal.loop.reset_peak", lambda device: None)
    with pretend() as device:
        sizes = ["train.batch_size=64", "n_start=100", "n_end=120", "data.n_train=300"]
        setup = prepared("alg=confidence", *sizes, *overrides)
        device.peak = device.live
        run(setup, History())
    assert 0.5 * setup.memory.total < device.peak < 2 * setup.memory.total
    assert setup.memory.least < 1.7 * device.peak


def test_a_run_that_cannot_fit_is_refused_in_one_line_before_it_trains():
    with (
        pretend(memory=26 << 20),
        pytest.raises(BadInput, match=r"cuda: the run needs at least .* has 26\.0 MiB"),
    ):
        prepared("model.widths=[2000,500]")


@pytest.mark.parametrize("megabytes", [2, 8, 20])
def test_a_device_that_others_fill_is_one_line(megabytes):
    refused = pytest.raises(BadInput, match=r"^before the first round: the GPU has too little")
    with pretend(memory=megabytes << 20), refused:
        prepared("model.widths=[2000,500]")


def test_memory_that_runs_out_in_a_round_is_one_line():
    with pretend() as device:
        setup = prepared()
        device.memory = device.live + 50_000
        with pytest.raises(
            BadInput, match=r"^round 0: the GPU has too little free memory \(CUDA out of memory"
        ):
            run(setup, History())


def test_sizes_are_readable():
    footprint = Footprint(3 * 2**30, 2**20, 0, 5 * 2**20)
    assert str(footprint) == (
        "3.0 GiB at once: images 3.0 GiB, networks 1.0 MiB, training 0.1 MiB, scoring 5.0 MiB"
    )
    footprint.check(torch.device("cpu"), 64)
    assert dataclasses.replace(footprint, training=2**23).total == 3 * 2**30 + 9 * 2**20
