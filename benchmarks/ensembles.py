"""Time of training an ensemble beside that of one network: `python -m benchmarks.ensembles [OVERRIDES...]`.

Prints the milliseconds of a step of the paper's training (batches of 64 synthetic images of 1x28x28, Adam, clipping,
moving average) for each number of members, and their ratio to one network, with one thread and with two. Epochs are
timed in turn, and the shortest counts, since other load on a machine can only make it slower.
"""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from collections.abc import Sequence

import torch

from hetal.bench import NO_STOPPING, compose_experiment, synthetic_task
from hetal.pool import Pool
from hetal.rng import stream
from hetal.train.fit import Fitting

MEMBERS = (1, 2, 5)
ROWS = 640  # 10 steps an epoch
REPEATS = 30


def fitting(members: int, overrides: Sequence[str]) -> Fitting:
    """Return a training in progress of an ensemble, without an end."""
    task = synthetic_task(ROWS, (1, 28, 28))
    experiment = compose_experiment(f"model.members={members}", *overrides, *NO_STOPPING, "noise=clean")
    experiment = dataclasses.replace(experiment, data=lambda rng: task, n_start=ROWS, n_end=ROWS)
    setup = experiment.prepare(torch.device("cpu"))
    pool = Pool(task.train.images, torch.arange(ROWS))
    pool.reveal(torch.arange(ROWS), task.train.labels)
    return Fitting(setup.learner, pool, stream(0, "fit"), past_steps=0, snapshot=False)


def step_milliseconds(overrides: Sequence[str]) -> dict[int, float]:
    """Return the shortest time of a step by number of members."""
    trained = {members: fitting(members, overrides) for members in MEMBERS}
    shortest = dict.fromkeys(MEMBERS, math.inf)
    for _ in range(REPEATS):
        for members, one in trained.items():
            one.epoch()  # its weights are in the cache, as in training
            began = time.perf_counter()
            one.epoch()
            shortest[members] = min(shortest[members], 1000 * (time.perf_counter() - began) / (ROWS / 64))
    return shortest


if __name__ == "__main__":
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found = step_milliseconds(sys.argv[1:])
        cells = [f"{members}: {ms:.2f} ms, {ms / found[1]:.2f}x" for members, ms in found.items()]
        print(f"{threads} threads; members: " + "; ".join(cells))
