"""A round in progress: its state taken out after any epoch and put into another gives the same bits."""

import io

import pytest
import torch

from hetal.augment import Published, Weak
from hetal.errors import Stopped
from hetal.models.mlp import MLP
from hetal.models.resnet import ResNet
from hetal.record.checkpoint import Checkpoint
from hetal.rng import stream
from hetal.task import Examples, Task
from hetal.train.finetune import PseudoLabel
from hetal.train.fit import Fitting
from tests.toy import blobs, labelled_pool, make_learner

TUNE = PseudoLabel(confidence=0.4, lr_factor=10.0, min_rows=1, replace_labels=True, augment=None)
PUBLISHED = {
    "own_ema": True,
    "ema_on_batches": True,
    "falls_over_restarts": True,
    "finetune_at_snapshot": True,
}


def images(n=24) -> Task:
    rng = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (n, 3, 8, 8), dtype=torch.uint8, generator=rng)
    examples = Examples(x, torch.arange(n) % 3)
    return Task(examples, examples, 3, mean=(128.0,), std=(64.0,))


SETTINGS = {
    "plain": {},
    "published average": {"own_ema": True},
    "dropout": {"network": lambda shape, n: MLP(shape, n, [16], 0.5)},
    "restarts": {"restart_every": 2, "restart_below": 1.1, "max_epochs": 7},
    "published average and restarts": {
        "own_ema": True, "restart_every": 2, "restart_below": 1.1, "max_epochs": 7,
    },
    "fine-tuning": {"finetune": TUNE, "max_epochs": 4},
    "an early snapshot": {"falling_epochs": 1, "lr": 0.1, "max_epochs": 12},
    "fine-tuning in the middle": {**PUBLISHED, "finetune": TUNE, "max_epochs": 4, "falling_epochs": 1},
    "published, restarts": {
        **PUBLISHED, "finetune": TUNE, "restart_every": 4, "restart_below": 1.1, "max_epochs": 6, "falling_epochs": 1,
    },
}  # fmt: skip


def bits(fit) -> list:
    fitted = fit.fitted
    pairs = [pair for pair in (fitted.networks, fitted.snapshot, fitted.tuned) if pair]
    tensors = [t for pair in pairs for net in (pair.online, pair.ema) for t in net.state_dict().values()]
    numbers = [fit.epochs, fit.steps, fit.restarts, fit.accuracy, fit.snapshot_epoch]
    return [*numbers, *(t.tolist() for t in [*tensors, *(fit.pseudo or ())])]


def finish(fitting) -> list:
    while fitting.epoch():
        pass
    return bits(fitting.result())


def check_every_epoch(learner, pool):
    def fresh():
        torch.manual_seed(5)
        return Fitting(learner, pool, stream(0, "fit"), past_steps=3, snapshot=True)

    with torch.random.fork_rng([]):
        whole = finish(fresh())
        n_epochs = whole[0]
        for epochs in range(n_epochs + 1):
            fitting = fresh()
            for _ in range(epochs):
                assert fitting.epoch()
            buffer = io.BytesIO()
            torch.save(fitting.state_dict(), buffer)
            torch.manual_seed(77)
            other = Fitting(learner, pool, stream(9, "else"), past_steps=3, snapshot=True)
            other.load_state_dict(torch.load(io.BytesIO(buffer.getvalue()), weights_only=True))
            assert finish(other) == whole
    return n_epochs


@pytest.mark.parametrize("name", SETTINGS)
def test_continued_after_any_epoch_gives_the_same_bits(name):
    task = blobs()
    n_epochs = check_every_epoch(make_learner(task, **SETTINGS[name]), labelled_pool(task, 12))
    assert n_epochs >= 6


@pytest.mark.parametrize("changes", [{}, {**PUBLISHED, "falling_epochs": 1}], ids=["sound", "published"])
def test_continued_convolutions_and_augmentation_too(changes):
    task = images()
    tune = PseudoLabel(
        confidence=0.0, lr_factor=2.0, min_rows=1, replace_labels=False,
        augment=Published(n_ops=2, flip=0.5, cutout=0.5),
    )  # fmt: skip
    learner = make_learner(
        task,
        network=lambda shape, n: ResNet(shape, n, [4, 4, 4, 4], [1, 1, 1, 1]),
        augment=Weak(padding=0.1, flip=0.5),
        finetune=tune,
        max_epochs=3,
        **changes,
    )
    assert check_every_epoch(learner, labelled_pool(task, 12)) == 6


def test_fit_goes_on_from_what_a_stop_left(tmp_path):
    task = blobs()
    learner, pool = make_learner(task, checkpoint_minutes=1e6), labelled_pool(task, 12)
    whole = bits(learner.fit(pool, stream(0, "fit"), snapshot=True))
    path = tmp_path / "round.ckpt"
    told = []

    def stop_at_four(epoch, accuracy):
        told.append(epoch)
        if epoch == 4:
            raise Stopped(15)

    with pytest.raises(Stopped):
        learner.fit(
            pool, stream(0, "fit"), snapshot=True, on_epoch=stop_at_four, checkpoint=Checkpoint(path, 2, 1e6)
        )
    again = learner.fit(
        pool, stream(0, "fit"), snapshot=True,
        on_epoch=lambda epoch, accuracy: told.append(epoch), checkpoint=Checkpoint(path, 2, 1e6),
    )  # fmt: skip
    assert bits(again) == whole
    assert told == [1, 2, 3, 4, 5, 6]


def test_without_minutes_nothing_is_kept(tmp_path):
    checkpoint = Checkpoint(tmp_path / "round.ckpt", 0, None)
    checkpoint.keep(dict, now=True)
    assert not list(tmp_path.iterdir())


def test_state_is_kept_every_so_often(tmp_path):
    checkpoint = Checkpoint(tmp_path / "round.ckpt", 0, 1e6)
    checkpoint.keep(lambda: {"a": 1})
    assert checkpoint.load() is None
    checkpoint.keep(lambda: {"a": 1}, now=True)
    assert checkpoint.load() == {"a": 1}
    Checkpoint(tmp_path / "round.ckpt", 0, 0).keep(lambda: {"a": 2})
    assert checkpoint.load() == {"a": 2}


def test_another_rounds_state_and_a_damaged_one_are_not_read(tmp_path):
    path = tmp_path / "round.ckpt"
    Checkpoint(path, 3, 0).keep(lambda: {"a": torch.arange(5)})
    assert Checkpoint(path, 4, 0).load() is None
    whole = path.read_bytes()
    for i in range(0, len(whole), 7):
        for damaged in (whole[:i], whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :]):
            path.write_bytes(damaged)
            assert Checkpoint(path, 3, 0).load() is None
    path.write_bytes(whole)
    assert Checkpoint(path, 3, 0).load()["a"].tolist() == [0, 1, 2, 3, 4]
