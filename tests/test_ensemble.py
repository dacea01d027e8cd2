"""Ensembles: K networks trained at once are K networks trained apart, and what a strategy reads of them."""

from functools import partial

import pytest
import torch
from torch import nn

from hetal.acquisition import bald, gini, lhd_embedding, margin
from hetal.algs import (
    BADGE,
    BALD,
    LHD,
    AlfaMix,
    ClassBalanced,
    CoreSet,
    DropQuery,
    Fisher,
    NoiseStability,
    Random,
    Score,
)
from hetal.errors import BadInput, Diverged
from hetal.guard.network import check_network
from hetal.guard.training import check_training
from hetal.models import MLP, Ensemble, ResNet, ensemble_of
from hetal.rng import stream
from hetal.train.epoch import clip_by_norm
from hetal.train.fitted import Fitted, Pair
from hetal.train.members import clip_members_by_norm, logits_of_members, loss_of
from hetal.train.precision import InBfloat16
from tests.command_line import TOY, records, run_here
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
                torch.testing.assert_close(of_member[key], tensor, rtol=2e-3, atol=2e-4)
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


def own_forward():
    """A perceptron that only `vmap` can run, as its forward method is not that of `MLP`."""
    return type("Own", (MLP,), {"forward": lambda self, x: MLP.forward(self, x)})


@pytest.mark.parametrize("kind", [MLP, own_forward()])
def test_the_dropout_of_members_differs(kind):
    first, same = kind((2,), 3, [32], 0.5), kind((2,), 3, [32], 0.5)
    same.load_state_dict(first.state_dict())
    ensemble, x = Ensemble([first, same]), torch.ones(4, 2)
    torch.testing.assert_close(*ensemble.eval().members(x)[1])
    a, b = ensemble.train().members(x)[1]
    assert not torch.equal(a == 0, b == 0)


@pytest.mark.parametrize("kind", [MLP, own_forward()])
def test_all_members_are_what_each_is(kind):
    ensemble, x = Ensemble([kind((1, 2, 3), 4, [8, 5], 0.0) for _ in range(K)]), torch.randn(5, 1, 2, 3)
    half = InBfloat16(ensemble)
    assert logits_of_members(half, x).dtype == torch.float32
    for k in range(K):
        own = ensemble.member(k)
        torch.testing.assert_close(logits_of_members(ensemble, x)[k], own(x)[0])
        torch.testing.assert_close(logits_of_members(half, x)[k], InBfloat16(own)(x)[0], rtol=0.05, atol=0.01)


def test_the_loss_is_the_sum_of_the_members():
    logits, labels = torch.randn(K, 8, 3, requires_grad=True), torch.arange(8) % 3
    for loss in (nn.CrossEntropyLoss(label_smoothing=0.1), nn.CrossEntropyLoss(reduction="sum"), largest):
        apart = [torch.autograd.grad(loss(one, labels), logits)[0][k] for k, one in enumerate(logits)]
        together = loss_of(loss, logits, labels)
        torch.testing.assert_close(together, sum(loss(one, labels) for one in logits))
        torch.testing.assert_close(torch.autograd.grad(together, logits)[0], torch.stack(apart))


def largest(logits_BC, labels_B):
    """A loss whose rows depend on one another."""
    return nn.functional.cross_entropy(logits_BC, labels_B, reduction="none").max()


def test_every_member_is_clipped_by_its_own_norm():
    rng = torch.Generator().manual_seed(0)
    tensors = [torch.randn(K, *shape, generator=rng) for shape in ((4, 2), (3,), ())]
    apart = [[t[k].clone() for t in tensors] for k in range(K)]
    for own in apart:
        clip_by_norm(own, 2.5)
    clip_members_by_norm(tensors, 2.5)
    for k, own in enumerate(apart):
        torch.testing.assert_close([t[k] for t in tensors], own)


def test_a_round_goes_on_after_any_epoch():
    task = blobs()
    network = ensemble_of(partial(MLP, widths=[8], dropout=0.5), K)
    assert check_every_epoch(make_learner(task, network=network, max_epochs=3), labelled_pool(task, 12)) == 3


# ---- what a strategy reads


def test_bald_reads_the_members():
    task, network = blobs(), ensemble_of(partial(MLP, widths=[8], dropout=0.0), K)
    pool, learner = labelled_pool(task, 6), make_learner(task, network=network, max_epochs=1)
    fitted = learner.fit(pool, stream(0, "fit")).fitted
    assert fitted.n_members == K
    ids = pool.unlabelled_ids()
    best = bald(fitted.members_KMC)[pool.source_N[ids]].topk(5).indices
    strategy = BALD(n_passes=2)
    strategy.check(learner.new_network())
    assert set(strategy.query(fitted, pool, 5, stream(0, "query")).tolist()) == set(ids[best].tolist())
    single = make_learner(task, max_epochs=1).fit(pool, stream(0, "fit")).fitted
    assert single.n_members == 1
    assert torch.equal(single.members_KMC[0], single.probs_MC)


@pytest.mark.parametrize(
    ("name", "precision"), [("mlp", "fp32"), ("own", "fp32"), ("resnet", "fp32"), ("mlp", "bf16")]
)
def test_the_head_of_an_ensemble_maps_its_features_to_its_logits(name, precision):
    task, network = NETWORKS[name]
    learner = make_learner(task, network=ensemble_of(network, K), precision=precision)
    torch.manual_seed(0)
    online = learner.new_network()
    fitted = Fitted(Pair(online, online), task.train.images, learner.prepare(online), 16)
    atol = 1e-5 if precision == "fp32" else 0.05
    torch.testing.assert_close(fitted.head(fitted.features_MD), fitted.logits_MC, rtol=0, atol=atol)
    with pytest.raises(
        BadInput, match=r"^this strategy reads head\.weight_CD, which an ensemble has not: model\.mem"
    ):
        _ = fitted.head.weight_CD
    with pytest.raises(BadInput, match=r"reads head\.bias_C, which"):
        _ = fitted.head.bias_C


def test_a_member_that_is_not_finite_is_said():
    task = blobs()
    fit = make_learner(task, network=ensemble_of(partial(MLP, widths=[8], dropout=0.0), K), max_epochs=1)
    fitted = fit.fit(labelled_pool(task, 6), stream(0, "fit")).fitted
    fitted.networks.online.network.head.bias.data[1] = torch.nan
    with pytest.raises(Diverged, match="a member of the ensemble gives NaN"):
        _ = fitted.members_KMC


STRATEGIES = [
    Random(), Score(margin), BADGE(), CoreSet("trained"), Fisher(gini, 0.1, False, None), BALD(n_passes=2),
    LHD(lhd_embedding, batch_statistics=None), LHD(lhd_embedding, batch_statistics=8),
    AlfaMix(0.2, 1.0, 10), DropQuery(3, 0.75, 10), NoiseStability("probs", 3, 0.01), ClassBalanced(),
]  # fmt: skip


def test_all_strategies_work_on_the_mean():
    task = blobs()
    pool, learner = labelled_pool(task, 6), make_learner(task, network=ensemble_of(Counting, K), max_epochs=2)
    fitted = learner.fit(pool, stream(0, "fit"), snapshot=True).fitted
    for i, strategy in enumerate(STRATEGIES):
        strategy.check(fitted.networks.online)
        ids = strategy.query(fitted, pool, 9, stream(i, "query"))
        assert len(ids.unique()) == 9
        assert torch.isin(ids, pool.unlabelled_ids()).all()


# ---- before training


def checked(network, **changes):
    learner = make_learner(blobs(), network=network, **changes)
    ensemble = learner.new_network()
    check_network(ensemble, learner, 4)
    check_training(ensemble, learner)


class Counts(Counting):
    def forward(self, x):
        return super().forward(x * (1 if x.sum().item() > 0 else 2))


class BranchesOnWeights(Counting):
    def forward(self, x):
        return super().forward(x if self.head.weight.sum() > 0 else -x)


class OneOutput(Counting):
    def forward(self, x):
        return super().forward(x)[0]


def of_growing_width():
    widths = iter(range(4, 99))
    return lambda shape, n: MLP(shape, n, [next(widths)], 0.0)


@pytest.mark.parametrize(
    ("network", "changes", "said"),
    [
        (OneOutput, {}, "^model: OneOutput gives one Tensor"),
        (
            BranchesOnWeights,
            {},
            r"^model\.members=3: BranchesOnWeights fails on vectors of 2 features: RuntimeErr",
        ),
        (of_growing_width(), {}, r"^model\.members=3: MLP cannot be stacked: RuntimeError"),
        (lambda shape, n: Lazy(), {}, r"^model\.members=3: Lazy cannot be stacked: ValueError"),
        (
            Counting,
            {"optimizer": partial(torch.optim.Adafactor, lr=0.1)},
            "^optimizer: Adafactor does not train",
        ),
    ],
    ids=["output", "branch", "shapes", "lazy", "optimizer"],
)
def test_what_cannot_be_an_ensemble_is_refused_before(network, changes, said):
    with pytest.raises(BadInput, match=said) as caught:
        checked(ensemble_of(network, K), **changes)
    assert "\n" not in str(caught.value)


class Lazy(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.LazyLinear(3)


def test_ensembles_that_keep_the_contract_are_taken():
    for precision, network in (
        ("fp32", Counting),
        ("fp32", Counts),
        ("bf16", partial(MLP, widths=[4], dropout=0.1)),
    ):
        checked(ensemble_of(network, K), precision=precision, optimizer=SGD)
    with pytest.raises(BadInput, match=r"^model\.members=3: Counting cannot be trained: RuntimeError"):
        checked(ensemble_of(Counting, K), precision="bf16")  # torch has no such batch norm


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["model.members=0"], r"^model\.members=0: must be a whole number in 1\.\.1000$"),
        (["model.members=2.5"], r"^model\.members=2\.5: must be a whole number in 1\.\.1000$"),
        (["~model.members"], r"^model\.members is not set; it must be a whole number in 1\.\.1000$"),
        (
            ["model.members=2", "alg._target_=tests.test_ensemble.OfOne"],
            "^alg=badge: needs one network; model.mem",
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_bad_input_is_named_and_leaves_nothing_behind(overrides, said, tmp_path):
    with pytest.raises(BadInput, match=said):
        run_here(*TOY, *overrides, root=tmp_path / "root")
    assert not (tmp_path / "root").exists()


class OfOne(Random):
    single_network = True


def test_a_run_of_an_ensemble(tmp_path):
    run_here(*TOY, "model.members=2", "alg=bald", "n_end=60", "keep_network=true", root=tmp_path)
    (rounds,) = records(tmp_path).values()
    assert [r["n_bought"] for r in rounds] == [20, 0]
    (path,) = tmp_path.rglob("network.pt")
    weights = torch.load(path, weights_only=True)
    assert weights["network.head.weight"].shape == (2, 10, 256)
