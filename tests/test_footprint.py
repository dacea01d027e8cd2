"""Memory that a run is expected to hold, against what it holds on a device that counts it."""

import dataclasses

import pytest
import torch

from hetal.errors import BadInput
from hetal.footprint import Footprint
from hetal.loop import run
from hetal.record.history import History
from tests.cuda_runs import RESNET, prepared
from tests.pretend_cuda import pretend


@pytest.mark.parametrize(
    "overrides",
    [
        ["model=mlp", "model.widths=[2000,500]"],  # mostly networks
        [
            "model=resnet",
            "model.widths=[16,16]",
            "model.blocks=[2,2]",
            "train.score_batch_size=64",
        ],  # a training step
        [*RESNET, "train.score_batch_size=2000", "data.n_train=1297"],  # a batch of scoring
        ["model.members=3", "alg=random"],
    ],
)
def test_what_a_run_is_expected_to_hold_is_about_what_it_holds(overrides):
    with pretend() as device:
        setup = prepared("train.batch_size=64", "n_start=100", "n_end=120", "data.n_train=300", *overrides)
        device.peak = device.live
        run(setup, History())
    tiles = 8 * min(2**25, 512 * len(setup.pool.images_M))  # reserved for more centres than there are here
    memory = dataclasses.replace(setup.memory, selection=setup.memory.selection - tiles)
    assert 0.6 * memory.total < device.peak < 1.5 * memory.total
    assert memory.least < 1.5 * device.peak


def test_a_run_that_cannot_fit_is_refused_in_one_line_before_it_trains():
    with (
        pretend(memory=26 << 20),
        pytest.raises(BadInput, match=r"cuda: the run needs at least .* has 26\.0 MiB"),
    ):
        prepared("model.widths=[2000,500]")


def test_memory_that_runs_out_in_a_round_is_one_line():
    with pretend() as device:
        setup = prepared()
        device.memory = device.live + 50_000
        with pytest.raises(
            BadInput, match=r"^round 0: the GPU has too little memory \(.*train.batch_size=16"
        ):
            run(setup, History())


def test_sizes_are_readable():
    footprint = Footprint(3 * 2**30, 2**20, 0, 5 * 2**20, 10)
    assert str(footprint) == (
        "3.0 GiB at once: images 3.0 GiB, networks 1.0 MiB, training 0.1 MiB, scoring 5.0 MiB, selection 0.1 MiB"
    )
    footprint.check(torch.device("cpu"), 64)
    assert dataclasses.replace(footprint, training=2**23).total == 3 * 2**30 + 9 * 2**20
