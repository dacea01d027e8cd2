"""Small runs on a pretended CUDA device, for tests; `python -m tests.cuda_runs` prints where they wait for it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from hydra.core.hydra_config import HydraConfig
from torch import Tensor

from hetal.app.compose import build_experiment
from hetal.app.launch import resolved
from hetal.bench import learner, synthetic_task
from hetal.experiment import Setup
from hetal.guard.query import CheckedStrategy
from hetal.loop import run
from hetal.machine.device import pick_device
from hetal.pool import Pool
from hetal.record.checkpoint import packed
from hetal.record.history import History
from hetal.rng import seeded, stream
from hetal.train.fit import Fitting
from tests.command_line import composed, options
from tests.pretend_cuda import Notes, pretend

TINY = ["tracker=none", "n_start=40", "n_query=20", "n_end=60", "train.max_epochs=2", "data.n_train=200"]
TINY += ["train.batch_size=16"]
RESNET = ["model=resnet", "model.widths=[4,8]", "model.blocks=[1,1]"]
VGG = ["model=vgg", "model.widths=[4,8]", "model.convolutions=[1,1]"]
NEEDS = {name: ["model=mlp_dropout"] for name in ("bald", "batchbald", "epig")}


def prepared(*overrides: str, device: str = "cuda") -> Setup:
    """Return the setup of a run with the real configs on a device."""
    with tempfile.TemporaryDirectory() as root:
        config = resolved(composed(f"device={device}", *TINY, *overrides, root=Path(root)))
        name = str(HydraConfig.get().runtime.choices["alg"])
    return build_experiment(config, name).prepare(pick_device(device, 1))


@contextmanager
def fitting(setup: Setup, t: int = 0, **given: object) -> Iterator[Fitting]:
    """Begin the training of a round on the start set's labels."""
    if not len(setup.pool.labelled_ids()):
        setup.pool.reveal(setup.start_ids, setup.oracle.label(setup.start_ids))
    targets = setup.task.test.images if setup.strategy.reads_targets else None
    rng = stream(setup.seed, "fit", t)
    with seeded(rng, setup.learner.device):
        yield Fitting(
            setup.learner, setup.pool, rng, 0, setup.strategy.reads_snapshot, targets=targets, **given
        )


def trained(setup: Setup) -> Fitting:
    """Return the training of a round, at its end."""
    with fitting(setup) as training:
        while training.epoch():
            pass
    return training


def queried(setup: Setup, training: Fitting, n: int = 20) -> Tensor:
    """Return what the strategy buys, checked as in a run."""
    return CheckedStrategy(setup.strategy, "alg").query(
        training.result().fitted, setup.pool, n, setup.seed, 0
    )


def main() -> None:
    """Print, for every part of a run, where it waits for the device."""
    steps()
    with pretend() as device:
        notes = device.notes
        for title, overrides in (("MLP", []), ("ResNet", RESNET)):
            with notes.only() as part:
                setup = prepared(*overrides, "alg=lhd")
            show(f"{title}: prepare", part)
            with notes.only() as part, fitting(setup) as training:
                pass
            show(f"{title}: begin of a round", part)
            with notes.only() as part:
                training.epoch()
            show(f"{title}: one epoch (3 steps), with the moving average's accuracy", part)
        with notes.only() as part:
            packed(training.state_dict())
        show("checkpoint", part)
        for augment in ("strong", "published"):
            setup = prepared(*RESNET, f"train/augment={augment}", "train.batch_size=8", "alg=badge")
            with fitting(setup) as training, notes.only() as part:
                training.epoch()
            show(f"one epoch (5 steps), train.augment={augment}", part)
        with notes.only() as part:
            run(prepared("alg=random"), History())
        show("a whole run, alg=random, 2 rounds of 2 epochs", part)
        for name in options("alg"):
            setup = prepared(f"alg={name}", *NEEDS.get(name, []))
            training = trained(setup)
            with notes.only() as part:
                queried(setup, training)
            show(f"query of {name} (20 rows)", part)


def steps() -> None:
    """Print what a training step of the paper's networks starts, from epochs of two and of four steps."""
    for name in ("mlp", "resnet"):
        for graph in ("train.graph=false", "train.graph=true"):
            launches = []
            for n in (128, 256):
                with pretend() as device:
                    task = synthetic_task(n, (3, 32, 32))
                    pool = Pool(task.train.images.to("cuda"), torch.arange(n))
                    pool.reveal(torch.arange(n), task.train.labels)
                    recipe = learner(name, task, torch.device("cuda"), graph)
                    training = Fitting(recipe, pool, stream(0, "fit"), past_steps=0, snapshot=False)
                    training.epoch()
                    with device.notes.only() as part:
                        training.epoch()
                    launches.append(part.launches.total())
            print(
                f"a step of {name}, 3x32x32, {graph}: {(launches[1] - launches[0]) / 2:g} operations started"
            )


def show(title: str, part: Notes) -> None:
    """Print what a part waited for, and what of it does not repeat."""
    print(
        f"\n## {title}: {part.syncs.total()} waits, {part.launches.total()} launches, {part.copied.total()} bytes"
    )
    for (where, what), n in sorted(part.syncs.items()):
        print(f"- {n} x {where} {what}")
    for (where, what), n in sorted(part.unrepeatable.items()):
        print(f"- {n} x {where} DOES NOT REPEAT: {what}")


if __name__ == "__main__":
    sys.exit(main())
