"""Training from scratch: what it depends on, when it stops, what it keeps."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from benchmarks.moving_average import weight_of_start
from hetal.errors import BadInput, Diverged
from hetal.models.mlp import MLP
from hetal.models.resnet import ResNet
from hetal.rng import seeded, stream
from hetal.task import Examples, Task
from hetal.train.ema import EMA
from hetal.train.forward import split
from hetal.train.snapshot import SnapshotWatch
from hetal.train.stopping import Plateau, Threshold
from tests.toy import blobs, labelled_pool, make_learner


def weights(network: nn.Module) -> torch.Tensor:
    return torch.cat([t.flatten().float() for t in network.state_dict().values()])


def test_learns_what_is_easy():
    task = blobs()
    fit = make_learner(task, max_epochs=60).fit(labelled_pool(task, 30), stream(0, "fit"))
    assert fit.accuracy == 1.0
    assert fit.epochs == 60
    assert fit.steps == 60 * 4


def test_same_stream_same_bits_whatever_the_global_generator():
    task = blobs()
    pool, learner = labelled_pool(task, 20), make_learner(task, network=lambda s, n: MLP(s, n, [16], 0.5))
    first = learner.fit(pool, stream(0, "fit")).fitted
    torch.manual_seed(123)
    before = torch.get_rng_state()
    again = learner.fit(pool, stream(0, "fit")).fitted
    assert torch.equal(torch.get_rng_state(), before)
    other = learner.fit(pool, stream(1, "fit")).fitted
    assert torch.equal(weights(first.networks.online), weights(again.networks.online))
    assert torch.equal(weights(first.networks.ema), weights(again.networks.ema))
    assert not torch.equal(weights(first.networks.online), weights(other.networks.online))


@pytest.mark.parametrize("change", [{"snapshot": True}, {"past_steps": 500}])
def test_the_network_does_not_depend_on_what_a_strategy_reads(change):
    task = blobs()
    pool, learner = labelled_pool(task, 20), make_learner(task)
    plain = learner.fit(pool, stream(0, "fit"))
    other = learner.fit(pool, stream(0, "fit"), **change)
    assert torch.equal(weights(plain.fitted.networks.online), weights(other.fitted.networks.online))


def test_only_labelled_rows_are_trained_on():
    task = blobs()
    pool = labelled_pool(task, 20)
    poisoned = labelled_pool(task, 20)
    poisoned.images_M = pool.images_M.clone()
    poisoned.images_M[20:] = torch.nan
    learner = make_learner(task)
    a, b = (learner.fit(p, stream(0, "fit")).fitted.networks.online for p in (pool, poisoned))
    assert torch.equal(weights(a), weights(b))


def test_one_step_is_adam_on_clipped_gradients():
    task = blobs()
    learner = make_learner(task, max_epochs=1, batch_size=20, clip=1e-3)
    pool = labelled_pool(task, 20)
    trained = learner.fit(pool, stream(0, "fit")).fitted.networks.online

    with seeded(stream(0, "fit"), torch.device("cpu")):
        plain = learner.new_network()
    x = (task.train.images[:20] - 3.0) / 2.0
    cross_entropy(plain(x)[0], task.train.labels[:20]).backward()
    for p in plain.parameters():
        # Adam's first step: lr * g / (|g| + eps) with g clipped.
        g = p.grad.clamp(-1e-3, 1e-3)
        p.data -= 1e-2 * g / (g.abs() + 1e-8)
    torch.testing.assert_close(weights(trained), weights(plain), rtol=1e-4, atol=1e-5)


def test_ema_follows_its_formula():
    w = nn.Linear(1, 1, bias=False)
    w.weight.data.fill_(1.0)
    ema = EMA(w, decay=0.7)
    expected = 1.0
    for k, value in enumerate([2.0, 3.0, 5.0, 7.0], start=1):
        w.weight.data.fill_(value)
        ema.update()
        a = min(1 - 1 / (k + 1), 0.7)
        expected = a * expected + (1 - a) * value
        assert ema.network.weight.item() == pytest.approx(expected)


def test_ema_is_the_plain_mean_until_its_decay_is_reached():
    w = nn.Linear(1, 1, bias=False)
    w.weight.data.fill_(1.0)
    ema = EMA(w, decay=0.999)
    for value in (2.0, 6.0, 7.0):
        w.weight.data.fill_(value)
        ema.update()
    assert ema.network.weight.item() == pytest.approx((1 + 2 + 6 + 7) / 4)


def test_published_ema_starts_elsewhere_and_counts_on():
    w, start = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    w.weight.data.fill_(1.0)
    start.weight.data.fill_(-9.0)
    ema = EMA(w, decay=0.999, start=start, past_steps=10_000)
    ema.update()
    assert ema.network.weight.item() == pytest.approx(-9 * 0.999 + 0.001)


@pytest.mark.parametrize("past_steps", [0, 3, 50])
def test_what_an_average_keeps_of_its_start_is_counted_as_it_is_averaged(past_steps):
    w, start = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    w.weight.data.fill_(0.0)
    start.weight.data.fill_(1.0)
    ema = EMA(w, decay=0.9, start=start, past_steps=past_steps)
    for _ in range(20):
        ema.update()
    assert ema.network.weight.item() == pytest.approx(weight_of_start(past_steps, 20, 0.9), rel=1e-4)


def test_ema_averages_batch_norm_statistics():
    norm = nn.BatchNorm1d(1)
    ema = EMA(norm, decay=0.999)
    norm.running_mean.fill_(4.0)
    ema.update()
    assert ema.network.running_mean.item() == pytest.approx(2.0)


def test_threshold_asks_for_the_average_last():
    rule = Threshold(0.99, 0.80)

    def never():
        raise AssertionError("the average's accuracy costs a pass")

    assert not rule([0.5], 9, never)
    assert rule([0.5, 0.99], 9, lambda: 0.80)
    assert not rule([0.99], 9, lambda: 0.79)


def test_plateau_compares_two_windows():
    rule = Plateau(0.99, 0.80, patience=2, min_gain=0.09, min_steps=8)
    assert not rule([0.1, 0.1, 0.1], 8, lambda: 0.0)  # too short to tell
    assert rule([0.1, 0.3, 0.25, 0.3], 8, lambda: 0.0)  # mean 0.2, then 0.275
    assert not rule([0.1, 0.3, 0.25, 0.3], 7, lambda: 0.0)  # a step too early
    assert not rule([0.1, 0.3, 0.3, 0.3], 8, lambda: 0.0)  # mean 0.2, then 0.3
    assert rule([0.99], 1, lambda: 0.9)


def test_stops_by_rule_and_counts_epochs():
    task = blobs()
    seen = []
    fit = make_learner(task, stop=Threshold(0.0, 0.0)).fit(
        labelled_pool(task, 20), stream(0, "fit"), on_epoch=lambda epoch, accuracy: seen.append(epoch)
    )
    assert fit.epochs == 1
    assert seen == [1]


def test_restarts_from_a_fresh_network_within_the_cap():
    task = blobs()
    # Accuracy can never reach 1.1, so every attempt of two epochs begins again until the cap of five.
    fit = make_learner(task, max_epochs=5, restart_every=2, restart_below=1.1).fit(
        labelled_pool(task, 20), stream(0, "fit")
    )
    assert (fit.epochs, fit.restarts) == (5, 2)


class FakeTraining:
    def __init__(self):
        self.accuracies, self._ema, self.pair = [], 0.0, nn.Linear(1, 1)

    def epoch(self, online, ema):
        self.accuracies.append(online)
        self._ema = ema
        self.pair.weight.data.fill_(len(self.accuracies))

    def ema_accuracy(self):
        return self._ema


@pytest.mark.parametrize(
    ("gaps", "at"),
    [
        ([0.5, 0.4, 0.3, 0.2, 0.1, 0.0, -0.1], 6),  # falls in epochs 2..6
        ([0.5, 0.4, 0.3, 0.3, 0.2, 0.1, 0.0, -0.1, -0.2], 9),  # epoch 4 breaks the row
        ([0.5, 0.4, 0.3, 0.2], 4),  # never: the last epoch
    ],
)
def test_snapshot_is_taken_after_five_falls_in_a_row(gaps, at):
    watch, training = SnapshotWatch(5), FakeTraining()
    moments = []
    for gap in gaps:
        training.epoch(0.5 + gap, 0.5)
        moments.append(watch.look(training))
    moments[-1] |= watch.keep(training)
    assert moments == [epoch == at for epoch in range(1, len(gaps) + 1)]
    pair = watch.pair
    assert watch.epoch == at
    assert pair.weight.item() == at
    training.pair.weight.data.fill_(-1)
    assert pair.weight.item() == at  # a copy, that later training does not touch


def test_snapshot_is_kept_only_when_asked_for():
    task = blobs()
    learner, pool = make_learner(task), labelled_pool(task, 20)
    fit = learner.fit(pool, stream(0, "fit"), snapshot=True)
    assert fit.snapshot_epoch is not None
    assert fit.fitted.snapshot is not None
    with pytest.raises(RuntimeError, match="reads_snapshot"):
        _ = learner.fit(pool, stream(0, "fit")).fitted.snapshot


def test_a_loss_that_is_no_number_names_epoch_and_learning_rate():
    task = blobs()
    task.train.images[3] = math.nan
    with pytest.raises(Diverged, match=r"epoch 1: the loss is nan at learning rate 0.01"):
        make_learner(task).fit(labelled_pool(task, 20), stream(0, "fit"))


@pytest.mark.parametrize(("n", "sizes"), [(1, [1]), (4, [4]), (5, [5]), (9, [4, 5]), (10, [4, 4, 2])])
def test_no_batch_of_one_row(n, sizes):
    assert [len(batch) for batch in split(torch.arange(n), 4)] == sizes
    assert torch.cat(split(torch.arange(n), 4)).tolist() == list(range(n))


def test_convolutional_networks_train_on_images_of_any_channels():
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(256, (9, 2, 12, 12), generator=rng, dtype=torch.uint8)
    task = Task(Examples(images, torch.arange(9) % 3), Examples(images, torch.arange(9) % 3), 3)
    learner = make_learner(task, network=lambda s, n: ResNet(s, n, [4, 8], [1, 1]))
    fit = learner.fit(labelled_pool(task, 9), stream(0, "fit"), snapshot=True)
    assert fit.fitted.probs_MC.shape == (9, 3)
    assert fit.fitted.features_MD.shape == (9, 8)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"clip": -1.0}, "train.clip"),
        ({"batch_size": 0}, "train.batch_size"),
        ({"max_epochs": 0}, "train.max_epochs"),
        ({"ema_decay": 1.0}, "train.ema_decay"),
        ({"precision": "fp16"}, "train.precision=fp16: must be fp32, tf32 or bf16"),
        ({"precision": "tf32"}, "train.precision=tf32: not on device=cpu; there is fp32 or bf16"),
        ({"graph": True}, "train.graph=true: only on device=cuda, not on cpu"),
        ({"checkpoint_minutes": -1}, "train.checkpoint_minutes=-1: must be at least 0"),
    ],
)
def test_refuses_settings_out_of_range(change, names):
    with pytest.raises(BadInput, match=names):
        make_learner(blobs(), **change)


def test_plateau_refuses_no_patience():
    with pytest.raises(BadInput, match="patience"):
        Plateau(0.99, 0.8, patience=0, min_gain=0.1, min_steps=0)
