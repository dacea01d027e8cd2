"""Ensembles: K networks trained at once are K networks trained apart, and what a strategy reads of them."""

import io
import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from hetal.acquisition import bald
from hetal.algs import BALD, Random
from hetal.app.compose import build_part, check_config
from hetal.errors import BadInput
from hetal.guard.network import check_network
from hetal.guard.training import check_training
from hetal.models import MLP, Ensemble, ResNet, ensemble_of
from hetal.rng import seeded, stream
from hetal.train.epoch import clip_by_norm
from hetal.train.fit import Fitting
from hetal.train.members import clip_members_by_norm, loss_of
from tests.command_line import TOY, composed, records, run_here
from tests.test_fitting import check_every_epoch, images
from tests.toy import blobs, labelled_pool, make_learner

K = 3


class Counting(nn.Module):
    """Vectors through batch norm, with one weight in two places, and a buffer that is replaced in every step."""

    def __init__(self, shape, n):
        super().__init__()
        self.first, self.norm = nn.Linear(shape[0], 6, bias=False), nn.BatchNorm1d(6)
        self.second, self.again = nn.Linear(6, 6), nn.Linear(6, 6)
        self.again.weight = self.second.weight
        self.head = nn.Linear(6, n)
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def forward(self, x):
        if self.training:
            self.seen = self.seen + 1
        h = self.again(self.second(self.norm(self.first(x)).relu()).relu()).relu()
        return self.head(h), h


NETWORKS = {
    "mlp": (blobs(), partial(MLP, widths=[8, 6], dropout=0.0)),
    "own": (blobs(), Counting),
    "resnet": (images(), partial(ResNet, widths=[4, 8], blocks=[1, 1])),
}
SGD = partial(torch.optim.SGD, lr=0.05, momentum=0.9, weight_decay=1e-2)


def apart(network, k):
    """Return what draws K networks, as an ensemble does, and gives the k-th."""
    return lambda shape, n: [network(shape, n) for _ in range(K)][k]


@pytest.mark.parametrize(
    "changes",
    [{}, {"optimizer": SGD, "clip": None, "clip_norm": 0.1}, {"loss": nn.MultiMarginLoss()}],
    ids=["adam", "sgd", "loss"],
)
@pytest.mark.parametrize("name", NETWORKS)
def test_members_trained_at_once_are_networks_trained_apart(name, changes):
    task, network = NETWORKS[name]
    pool, settings = labelled_pool(task, 18), {"max_epochs": 4, **changes}
    fit = make_learner(task, network=ensemble_of(network, K), **settings).fit(pool, stream(0, "fit"))
    trained = fit.fitted.networks
    probs = []
    for k in range(K):
        alone = make_learner(task, network=apart(network, k), **settings).fit(pool, stream(0, "fit")).fitted
        pairs = ((trained.online, alone.networks.online), (trained.ema, alone.networks.ema))
        for ensemble, own in pairs:
            of_member = ensemble.member(k).state_dict()
            assert of_member.keys() == own.state_dict().keys()
            for key, tensor in own.state_dict().items():
                torch.testing.assert_close(
                    of_member[key], tensor, rtol=2e-3, atol=2e-4, msg=lambda m: f"{k} {key} {m}"
                )
        probs.append(alone.probs_MC)
    torch.testing.assert_close(fit.fitted.members_KMC, torch.stack(probs), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(fit.fitted.probs_MC, fit.fitted.members_KMC.mean(0), rtol=1e-4, atol=1e-5)


def test_members_start_as_networks_drawn_one_after_another():
    network = partial(MLP, widths=[4], dropout=0.0)
    torch.manual_seed(5)
    ensemble = ensemble_of(network, K)((2,), 3)
    torch.manual_seed(5)
    for k in range(K):
        own = network((2,), 3)
        assert all(
            torch.equal(a, b) for a, b in zip(ensemble.member(k).parameters(), own.parameters(), strict=True)
        )
    assert ensemble_of(network, 1) is network


def test_what_an_ensemble_gives():
    ensemble = ensemble_of(partial(MLP, widths=[4], dropout=0.0), K)((2,), 3)
    x, z = torch.randn(2, 2), torch.randn(2, 2)
    logits_KBC, features_KBD = ensemble.members(x)
    logits, features = ensemble(x)
    torch.testing.assert_close(logits.exp(), logits_KBC.softmax(-1).mean(0))
    assert features.shape == (2, K * 4)
    of_members = (features_KBD - ensemble.members(z)[1]).square().sum(-1).mean(0)
    torch.testing.assert_close((features - ensemble(z)[1]).square().sum(-1), of_members)


@pytest.mark.parametrize("own_forward", [False, True])
def test_the_dropout_of_members_differs(own_forward):
    kind = type("Own", (MLP,), {"forward": lambda self, x: MLP.forward(self, x)}) if own_forward else MLP
    first = kind((2,), 3, [32], 0.5)
    same = kind((2,), 3, [32], 0.5)
    same.load_state_dict(first.state_dict())
    ensemble, x = Ensemble([first, same]), torch.ones(4, 2)
    torch.testing.assert_close(*ensemble.eval().members(x)[1])
    a, b = ensemble.train().members(x)[1]
    assert not torch.equal(a == 0, b == 0)


def test_a_perceptron_is_run_as_vmap_runs_it():
    networks = [MLP((1, 2, 3), 4, [8, 5], 0.0) for _ in range(K)]
    fast = Ensemble(networks)
    slow = Ensemble([fast.member(k) for k in range(K)])
    slow.network.forward = partial(MLP.forward, slow.network)
    type(slow.network)  # an MLP whose forward is its own is not taken for a plain one
    x = torch.randn(5, 1, 2, 3)
    for ours, theirs in zip(
        fast.members(x), [torch.stack(t) for t in zip(*(fast.member(k)(x) for k in range(K)))]
    ):
        torch.testing.assert_close(ours, theirs)
