"""Optimizers, schedules, clipping and losses that a user may choose, against torch's own training loop."""

import copy
from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from hetal.errors import BadInput
from hetal.guard.training import check_training
from hetal.models.mlp import MLP
from hetal.pool import Pool
from hetal.rng import stream
from hetal.sweep.overrides import as_options
from hetal.train.ema import EMA
from hetal.train.epoch import Training, clip_by_norm
from hetal.train.optim import Adam, AdamW, make_optimizer
from hetal.train.schedule import Schedule, warm_up_cosine
from tests.test_fitting import check_every_epoch
from tests.toy import blobs, labelled_pool, make_learner

OPTIMIZERS = {
    "adam": (partial(Adam, lr=0.01), partial(torch.optim.Adam, lr=0.01, fused=True)),
    "adam with an L2 penalty": (
        partial(Adam, lr=0.01, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.1),
        partial(torch.optim.Adam, lr=0.01, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.1, fused=True),
    ),
    "adamw": (
        partial(AdamW, lr=0.01, weight_decay=0.2),
        partial(torch.optim.AdamW, lr=0.01, weight_decay=0.2, fused=True),
    ),
    "sgd": (
        partial(torch.optim.SGD, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
        partial(torch.optim.SGD, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    ),
}

SCHEDULES = {
    "cosine": partial(lr_scheduler.CosineAnnealingLR, T_max=8),
    "step": partial(lr_scheduler.StepLR, step_size=2, gamma=0.5),
    "one cycle": partial(lr_scheduler.OneCycleLR, max_lr=0.5, total_steps=8),
    "plateau": partial(lr_scheduler.ReduceLROnPlateau, patience=0, factor=0.5),
    "warm-up": partial(warm_up_cosine, warm_up=3, epochs=8),
}
LOSSES = [1.0, 0.9, 0.95, 0.99, 0.5, 0.6, 0.7]


def train(make, schedule=None, epochs=4, lr_factor=1.0, **changes):
    """Train a small network, and return it and the learning rate of every epoch."""
    torch.manual_seed(3)
    task = blobs()
    learner = make_learner(task, optimizer=make, **changes)
    network = learner.new_network()
    pool = labelled_pool(task, 20)
    training = Training(
        learner, network, EMA(network, 0.9), pool.images_M, pool.labelled_ids(), pool.labels(pool.labelled_ids()),
        stream(0, "fit"), schedule=schedule, lr_factor=lr_factor,
    )  # fmt: skip
    rates = []
    for _ in range(epochs):
        training.epoch()
        rates.append(training.lr)
    return network, rates


def reference(make, epochs=4, schedule=None, clip=lambda parameters: None, loss=None):
    """Train the same network as a plain loop of torch would."""
    torch.manual_seed(3)
    task = blobs()
    learner = make_learner(task)
    network = learner.new_network().train()
    x, y = learner.prepare(network)(task.train.images[:20]), task.train.labels[:20]
    optimizer, rng = make(network.parameters()), stream(0, "fit")
    scheduler = schedule(optimizer) if schedule else None
    loss = loss or nn.CrossEntropyLoss()
    for _ in range(epochs):
        for rows in torch.randperm(20, generator=rng).split(8):
            optimizer.zero_grad()
            loss(network(x[rows])[0], y[rows]).backward()
            clip(network.parameters())
            optimizer.step()
        if scheduler:
            scheduler.step()
    return network


def assert_equal(one, other):
    for p, q in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_gives_the_bits_of_torchs_loop(name):
    ours, theirs = OPTIMIZERS[name]
    assert_equal(train(ours, clip=None)[0], reference(theirs))


def test_a_gradient_may_lie_in_memory_as_it_likes():
    rng = torch.Generator().manual_seed(0)
    start, gradient = torch.randn(3, 4, generator=rng), torch.randn(4, 3, generator=rng).mT
    one, other = start.clone(), start.clone()
    Adam([one], lr=0.1).step([gradient])
    Adam([other], lr=0.1).step([gradient.contiguous()])
    assert torch.equal(one, other)


@pytest.mark.parametrize("name", ["adam", "sgd"])
@pytest.mark.parametrize("schedule", [name for name in SCHEDULES if name != "plateau"])
def test_a_schedule_moves_once_an_epoch(name, schedule):
    ours, theirs = OPTIMIZERS[name]
    network, rates = train(ours, SCHEDULES[schedule], epochs=6, clip=None)
    assert_equal(network, reference(theirs, 6, SCHEDULES[schedule]))
    assert len(set(rates)) > 2


def test_rates_of_schedules():
    _, rates = train(partial(Adam, lr=1.0), partial(warm_up_cosine, warm_up=2, epochs=4), epochs=4)
    assert rates == pytest.approx([0.1, 0.55, 1.0, 0.5])
    _, rates = train(partial(Adam, lr=0.25), partial(lr_scheduler.StepLR, step_size=1, gamma=0.5), epochs=3)
    assert rates == [0.25, 0.125, 0.0625]
    assert train(partial(Adam, lr=0.25), epochs=3, lr_factor=10.0)[1] == [2.5] * 3
    factors = [1.0, 0.5, 2.0]  # no more than there are epochs
    assert train(partial(Adam, lr=0.5), partial(lr_scheduler.LambdaLR, lr_lambda=lambda t: factors[t]), 3)[1] == [
        0.5, 0.25, 1.0,
    ]  # fmt: skip


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_replayed_schedule_is_where_it_was(schedule):
    def new():
        weights = [torch.zeros(2, requires_grad=True)]
        optimizer = make_optimizer(partial(torch.optim.SGD, lr=0.1, momentum=0.9), weights)
        return optimizer, Schedule(SCHEDULES[schedule], optimizer)

    optimizer, whole = new()
    for n, loss in enumerate(LOSSES, start=1):
        whole.step(loss)
        other, replayed = new()
        replayed.replay(LOSSES[:n])
        for key in ("lr", "momentum"):
            assert other.param_groups[0][key] == optimizer.param_groups[0][key]


@pytest.mark.parametrize("limit", [0.01, 100.0])
def test_clipping_by_norm_is_torchs(limit):
    clip = partial(nn.utils.clip_grad_norm_, max_norm=limit)
    ours, theirs = OPTIMIZERS["sgd"]
    one, other = train(ours, clip=None, clip_norm=limit)[0], reference(theirs, clip=clip)
    for p, q in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-4, atol=1e-6)
    zeros = [torch.zeros(3)]
    clip_by_norm(zeros, 1.0)
    assert zeros[0].tolist() == [0, 0, 0]


def test_a_loss_may_be_any_of_torchs():
    for loss in (nn.CrossEntropyLoss(label_smoothing=0.1), nn.MultiMarginLoss(margin=0.5)):
        assert_equal(
            train(OPTIMIZERS["adam"][0], clip=None, loss=loss)[0], reference(OPTIMIZERS["adam"][1], loss=loss)
        )


class CountsEpochs(nn.CrossEntropyLoss):
    """A loss that notes which epochs it was told of."""

    def __init__(self):
        super().__init__()
        self.epochs = []

    def begin_epoch(self, epoch):
        self.epochs.append(epoch)


def test_a_loss_that_changes_is_told_the_epoch_of_the_attempt():
    task, loss = blobs(), CountsEpochs()
    learner = make_learner(task, max_epochs=5, restart_every=2, restart_below=1.1, loss=loss)
    learner.fit(labelled_pool(task, 20), stream(0, "fit"))
    assert loss.epochs == [1, 2, 1, 2, 1]


@pytest.mark.parametrize("schedule", ["one cycle", "plateau"])
def test_a_round_goes_on_with_its_optimizer_and_schedule(schedule):
    task = blobs()
    learner = make_learner(task, optimizer=OPTIMIZERS["sgd"][0], schedule=SCHEDULES[schedule], clip=None)
    check_every_epoch(learner, labelled_pool(task, 12))


class Stub(Pool):
    """Not an optimizer."""

    def __init__(self, parameters):
        pass


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": -1.0}, r"optimizer\.lr=-1\.0: must be positive"),
        ({"optimizer": partial(Adam, lr=1.0, betas=(0.9, 1.0))}, r"optimizer\.betas=\[0\.9, 1\.0\]: must be two"),
        ({"optimizer": partial(Adam, lr=1.0, eps=0.0)}, r"optimizer\.eps=0\.0: must be positive"),
        ({"optimizer": partial(Adam, lr=1.0, weight_decay=-1.0)}, r"optimizer\.weight_decay=-1\.0: must be at least 0"),
        ({"optimizer": partial(torch.optim.SGD, lr=-1.0)}, "optimizer: SGD fails: ValueError: Invalid learning rate"),
        ({"optimizer": partial(torch.optim.SGD, lr=0.0)}, r"optimizer\.lr=0\.0: must be a positive number"),
        ({"optimizer": partial(torch.optim.SGD, lr=1.0, nesterov=True)}, "optimizer: SGD fails: .*Nesterov"),
        ({"optimizer": partial(torch.optim.LBFGS, lr=1.0)}, "optimizer: LBFGS fails: .*closure"),
        ({"optimizer": Stub}, "optimizer: gives a Stub; it must give a torch.optim.Optimizer"),
        ({"schedule": partial(lr_scheduler.CosineAnnealingLR, T_max=0)}, "schedule: CosineAnnealingLR fails"),
        (
            {"schedule": partial(lr_scheduler.OneCycleLR, max_lr=1.0, total_steps=4)},
            r"schedule: OneCycleLR fails at epoch 6 of train\.max_epochs=6: .*total steps is 4",
        ),
        (
            {"schedule": partial(lr_scheduler.StepLR, step_size=2, gamma=-1.0)},
            r"gives the learning rate -0\.01 for epoch 3 of train\.max_epochs=6",
        ),
        ({"schedule": partial(warm_up_cosine, warm_up=6, epochs=6)}, r"schedule\.warm_up=6: must be from 1 to under"),
        ({"loss": nn.CrossEntropyLoss(reduction="none")}, r"train\.loss: .*gives a tensor of shape \(7,\)"),
        ({"loss": nn.MSELoss()}, r"train\.loss: .*fails"),
        ({"loss": lambda logits, labels: 0.0}, "gives float; it must give the mean"),
        ({"loss": lambda logits, labels: logits.detach().mean()}, "a loss without a gradient"),
        ({"loss": lambda logits, labels: logits.sum() / 0}, "gives -?(nan|inf) for logits"),
    ],
)  # fmt: skip
def test_what_cannot_train_is_refused_before(changes, message):
    learner = make_learner(blobs(), **changes)
    network = MLP((2,), 3, [4], 0.0)
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(BadInput, match=message):
        check_training(network, learner)
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clip_norm": 1.0}, r"train\.clip_norm=1\.0: not together with train\.clip=0\.1"),
        ({"clip": None, "clip_norm": 0.0}, r"train\.clip_norm=0\.0: must be positive, or null"),
        ({"label_smoothing": 1.0}, r"train\.label_smoothing=1\.0: must be in \[0, 1\)"),
        (
            {"label_smoothing": 0.1, "loss": nn.MultiMarginLoss()},
            r"train\.label_smoothing=0\.1: MultiMarginLoss has",
        ),
    ],
)
def test_settings_that_contradict_each_other(changes, message):
    with pytest.raises(BadInput, match=message):
        make_learner(blobs(), **changes)


@pytest.mark.parametrize(
    ("typed", "taken"),
    [
        ("train.loss=cross_entropy", "train/loss=cross_entropy"),
        ("+train.loss=cross_entropy", "train/loss=cross_entropy"),
        ("train.loss=a,b", "train/loss=a,b"),
        ("train.loss=glob(*)", "train/loss=glob(*)"),
        ("train.loss=null", "train/loss=null"),
        ("train.augment=null", "train/augment=none"),
        ("train.augment=null,weak", "train/augment=none,weak"),
        ("train.lr=1e-3", "optimizer.lr=1e-3"),
        ("train.lr=1e-3,1e-2", "optimizer.lr=1e-3,1e-2"),
        ("++train.lr=1", "++optimizer.lr=1"),
        ("train.loss={_target_:a.B}", "train.loss={_target_:a.B}"),
        ("train.loss.q=0.5", "train.loss.q=0.5"),
        ("train/loss=a", "train/loss=a"),
        ("model.lr=1", "model.lr=1"),
        ("~train.loss", "~train.loss"),
        ("alg=badge", "alg=badge"),
    ],
)
def test_what_is_typed_for_a_group_inside_another(typed, taken):
    assert as_options([typed]) == [taken]
