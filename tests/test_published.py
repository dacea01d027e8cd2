"""What is called published, against a transcription of the published algorithm in plain loops."""

import copy

import pytest
import torch

from hetal.acquisition import lhd_embedding
from hetal.algs.lhd import LHD
from hetal.models.mlp import MLP
from hetal.models.resnet import ResNet
from hetal.rng import stream
from hetal.task import Examples, Task
from hetal.train.finetune import PseudoLabel
from hetal.train.fit import Fitting
from hetal.train.snapshot import SnapshotWatch
from hetal.train.stopping import Threshold
from tests import published
from tests.toy import blobs, labelled_pool, make_learner

DYNAMICS = {
    "own_ema": True,
    "ema_on_batches": True,
    "falls_over_restarts": True,
    "finetune_at_snapshot": True,
}
N_LABELLED, BATCH, READ_BATCH, CLIP = 14, 8, 10, 0.1


def pictures(n=44) -> Task:
    rng = torch.Generator().manual_seed(0)
    examples = Examples(
        torch.randint(256, (n, 3, 8, 8), dtype=torch.uint8, generator=rng), torch.arange(n) % 3
    )
    return Task(examples, examples, 3, mean=(128.0,), std=(64.0,))


def resnet(shape, n):
    return ResNet(shape, n, [4, 8], [1, 1])


def both(task, network, *, cap, falls, confidence=None, factor=1.0, past_steps=0, lr=1e-2):
    """Train one round by hetal and by the oracle, from the same weights, in the same order of rows."""
    tune = None
    if confidence is not None:
        tune = PseudoLabel(
            confidence=confidence,
            lr_factor=factor,
            min_rows=N_LABELLED + 1,
            replace_labels=True,
            augment=None,
        )
    learner = make_learner(
        task, network=network, finetune=tune, lr=lr, batch_size=BATCH, clip=CLIP, max_epochs=cap,
        falling_epochs=falls, stop=Threshold(0.99, 0.8), restart_below=0.0, **DYNAMICS,
    )  # fmt: skip
    pool = labelled_pool(task, N_LABELLED)
    torch.manual_seed(1)
    fitting = Fitting(learner, pool, stream(0, "fit"), past_steps=past_steps, snapshot=True)
    online, average = (
        copy.deepcopy(net) for net in (fitting._training.network, fitting._training.ema.network)
    )
    while fitting.epoch():
        pass
    rng = stream(0, "fit")
    done = published.train_round(
        online,
        average,
        past_steps,
        (task.train.images.float() - task.mean[0]) / task.std[0],
        task.train.labels,
        list(range(N_LABELLED)),
        lambda rows: [rows[i] for i in torch.randperm(len(rows), generator=rng).tolist()],
        lr=lr,
        batch=BATCH,
        clip=CLIP,
        cap=cap,
        falls=falls,
        read_batch=READ_BATCH,
        tune=tune and (confidence, factor, N_LABELLED + 1),
    )
    return fitting.result(), done, online, pool


def close(one, other):
    torch.testing.assert_close(torch.as_tensor(one), torch.as_tensor(other), rtol=2e-3, atol=2e-4)


def mlp(shape, n):
    return MLP(shape, n, [16], 0.0)


def weights(network):
    return torch.cat([t.flatten().float() for t in network.state_dict().values()])


# A task, a network and settings; whether T comes before the cap, rows are enough to fine-tune, the code tests after it.
ROUNDS = {
    "no fine-tuning": (blobs, mlp, {"cap": 8, "falls": 2}, (True, False, True)),
    "fine-tuned in the middle": (
        blobs, mlp, {"cap": 6, "falls": 1, "confidence": 0.34, "factor": 0.02, "past_steps": 200},
        (True, True, True),
    ),
    "fine-tuned after the last epoch": (
        blobs, mlp, {"cap": 4, "falls": 9, "confidence": 0.5, "past_steps": 2000}, (False, True, True),
    ),
    "fine-tuned to the end": (
        blobs, mlp, {"cap": 12, "falls": 2, "confidence": 0.5, "factor": 3.0}, (True, True, False),
    ),
    "too few rows to fine-tune": (
        blobs, mlp, {"cap": 8, "falls": 1, "confidence": 0.6, "past_steps": 20}, (True, False, True),
    ),
    "a ResNet": (pictures, resnet, {"cap": 6, "falls": 3}, (False, False, True)),
    "a ResNet fine-tuned in the middle": (
        pictures, resnet, {"cap": 12, "falls": 1, "confidence": 0.35, "factor": 0.1, "past_steps": 2000},
        (True, True, True),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ROUNDS)
def test_a_published_round_is_that_of_the_transcription(name):
    make_task, network, settings, kind = ROUNDS[name]
    task = make_task()
    fit, done, online, pool = both(task, network, **settings)
    assert (done.moment < settings["cap"], done.rows is not None, done.tested is not None) == kind
    assert fit.snapshot_epoch == done.moment
    assert fit.steps == done.step - settings.get("past_steps", 0)
    assert (fit.pseudo is None) == (done.rows is None)
    if done.rows:
        bought = pool.labelled_ids().tolist()
        assert fit.pseudo.ids.tolist() == [i for i in done.rows if i not in bought]
        labels = dict(zip(done.rows, done.labels, strict=True))
        assert fit.pseudo.labels.tolist() == [labels[i] for i in fit.pseudo.ids.tolist()]
    # The code tests nothing where fine-tuning ends training, and records 0; hetal tests what it left.
    close(weights(fit.fitted.networks.online), weights(done.tested or online))
    images = task.train.images[pool.unlabelled_ids()]
    loss, hidden = LHD(lhd_embedding, READ_BATCH)._gaps(fit.fitted, images)
    close(loss, done.loss)
    close(hidden, done.hidden)
    close(
        lhd_embedding(loss, hidden),
        [[a * b for b in row] for a, row in zip(done.loss, done.hidden, strict=True)],
    )


@pytest.mark.parametrize("falls", [1, 2, 5])
def test_the_moment_of_given_accuracies_is_that_of_the_transcription(falls):
    rng = torch.Generator().manual_seed(falls)
    for _ in range(40):
        online, average = torch.randint(5, (2, 12), generator=rng).tolist()  # many ties
        watch, training = SnapshotWatch(falls, first_gap=0.0), Accuracies()
        for training.online, training.average in zip(online, average, strict=True):
            training.accuracies.append(training.online)
            watch.look(training)
        watch.keep(training)
        assert watch.epoch == published.moment(online, average, falls)


class Accuracies:
    """Stands for a `Training` of which only accuracies are known."""

    pair = "networks"

    def __init__(self):
        self.accuracies = []

    def ema_accuracy(self):
        return self.average


@pytest.mark.parametrize("as_published", [False, True])
@pytest.mark.parametrize("falls", [1, 2])
def test_a_restart_keeps_the_falls_counted_and_the_pair_taken_only_as_published(falls, as_published):
    task = blobs()
    settings = {"falling_epochs": falls, "restart_every": 1, "restart_below": 1.1, "max_epochs": 12}
    learner = make_learner(task, falls_over_restarts=as_published, **settings)
    were_taken_before = []
    for seed in range(4):
        fitted = learner.fit(labelled_pool(task, 14), stream(seed, "fit"), snapshot=True).fitted
        pairs = fitted.snapshot.online, fitted.networks.online
        were_taken_before.append(not torch.equal(*map(weights, pairs)))
    # An attempt of one epoch holds no two falls, and has no gap before it.
    assert any(were_taken_before) == as_published
