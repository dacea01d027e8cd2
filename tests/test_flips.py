"""Strategies that look for what flips or changes a prediction, against slow references in float64, row by row."""

import copy
import itertools
import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

import hetal.acquisition.mixing as mixing
import hetal.algs.noise_stability as stability
from hetal.acquisition import balanced, class_means, dropout_flips, mixing_flips
from hetal.algs import AlfaMix, ClassBalanced, DropQuery, NoiseStability
from hetal.errors import BadInput
from hetal.models import MLP, ensemble_of
from hetal.pool import Pool
from hetal.rng import stream
from hetal.train.fitted import Fitted, Pair
from hetal.train.forward import Standardise
from hetal.train.head import EnsembleHead, Head
from hetal.train.precision import InBfloat16
from tests.test_algs import fitted_on, make_pool

NAMES = ("alfamix", "dropquery", "noise_stability", "class_balanced")


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def heads(seed, c=4, d=6):
    g = rng(seed)
    single = Head(torch.randn(c, d, generator=g), torch.randn(c, generator=g))
    return single, EnsembleHead(torch.randn(3, c, d // 3, generator=g), torch.randn(3, c, generator=g))


def in_double(head):
    return type(head)(*(part.double() for part in vars(head).values()))


def mixing_flip(z, anchors, head, eps):
    """ALFA-Mix's equation 5 for one point: mix every feature by its own alpha, and compare predictions."""
    z = z.double().requires_grad_()
    y = head(z[None]).argmax(1)
    (g,) = torch.autograd.grad(cross_entropy(head(z[None]), y), z)
    z = z.detach()
    for anchor in anchors.double():
        alpha = torch.zeros_like(z)
        for i in range(len(z)):
            if anchor[i] != z[i]:
                move = eps / math.sqrt(len(z)) * (anchor - z).norm() * g[i] / g.norm()
                alpha[i] = move / (anchor[i] - z[i])
        if head((alpha * anchor + (1 - alpha) * z)[None]).argmax(1) != y:
            return True
    return False


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", [0, 1], ids=["single", "ensemble"])
def test_mixing_is_the_closed_form_of_the_paper(kind, seed, monkeypatch):
    head = heads(seed)[kind]
    x = torch.randn(60, 6, generator=rng(seed + 50)).relu()  # with features that are 0 here and in an anchor
    anchors = class_means(x[:9], torch.arange(9) // 3)
    anchors[0, 2:4] = 0
    flips = mixing_flips(x, anchors, head, eps=0.5)
    assert flips.tolist() == [mixing_flip(z, anchors, in_double(head), 0.5) for z in x]
    assert 5 < flips.sum() < 55
    monkeypatch.setattr(mixing, "NUMBERS_AT_ONCE", 7 * 6)
    rows = torch.tensor([30, 2, 59])
    assert torch.equal(mixing_flips(x, anchors, head, eps=0.5), flips)
    assert torch.equal(mixing_flips(x, anchors, head, eps=0.5, rows=rows), flips[rows])
    again = mixing_flips(x.numpy(), anchors.numpy(), head, eps=0.5)
    assert isinstance(again, np.ndarray)
    assert again.tolist() == flips.tolist()


def test_mixing_has_a_direction_where_probabilities_round_to_one():
    x, anchors = torch.randn(200, 5, generator=rng(1)), torch.randn(2, 5, generator=rng(2)) * 3
    head = heads(0, c=2, d=5)[0]
    sharp = Head(1e4 * head.weight_CD, 1e4 * head.bias_C)  # of two classes, g only changes its length
    assert sharp(x).softmax(1).amax(1).eq(1).sum() > 190
    flips = mixing_flips(x, anchors, head, eps=0.2)
    assert torch.equal(mixing_flips(x, anchors, sharp, eps=0.2), flips)
    assert 10 < flips.sum() < 190


def test_nothing_flips_where_nothing_can():
    x = torch.randn(9, 5, generator=rng(1))
    flat, one_class = Head(torch.ones(3, 5), torch.zeros(3)), Head(torch.ones(1, 5), torch.zeros(1))
    single = heads(0, d=5)[0]
    for head, anchors in ((flat, x[:2]), (one_class, x[:2]), (single, x[:0]), (single, x[3:4])):
        assert not mixing_flips(x[3:4] if len(anchors) == 1 else x, anchors, head, eps=9.0).any()
    assert mixing_flips(x[:0], x, single, eps=0.2).shape == (0,)
    for bad, said in (({"eps": 0}, "eps=0: must be above 0"), ({"eps": math.inf}, "eps=inf")):
        with pytest.raises(ValueError, match=said):
            mixing_flips(x, x, single, **bad)
    with pytest.raises(ValueError, match=r"anchors must be \(K, 5\), not \(9, 4\)"):
        mixing_flips(x, x[:, :4], single, eps=0.2)


def test_class_means_leave_out_absent_classes():
    x = torch.tensor([[1.0, 2], [3, 4], [5, 9]])
    assert class_means(x, torch.tensor([7, 2, 7])).tolist() == [[3, 4], [3, 5.5]]
    assert class_means(x[:0], torch.zeros(0, dtype=torch.int64)).shape == (0, 2)


def test_alfamix_takes_the_least_eps_by_which_enough_flip():
    pool = make_pool(n=80, copies=2)
    fitted = fitted_on(pool)
    anchors = fitted.features_MD[:2]  # images 0 and 1 have the labels 0 and 1; class 2 has none
    head, images = in_double(fitted.head), pool.distinct().images
    z = fitted.features_MD[images]
    flips = [torch.tensor([mixing_flip(x, anchors, head, 0.05 * k) for x in z]) for k in range(1, 5)]
    union = [torch.stack(flips[: k + 1]).any(0) for k in range(4)]
    sizes = [int(flipped.sum()) for flipped in union]
    assert 0 < sizes[0] < sizes[1] < sizes[3] < 70
    for n in (sizes[0] - 1, sizes[0], sizes[1], sizes[3] + 3):
        found = AlfaMix(0.05, 0.2, 100).candidates(fitted, pool, images, n, rng())
        wanted = next((flipped for flipped in union if flipped.sum() > n), union[-1])
        assert torch.equal(found, wanted)
        bought = pool.source_N[AlfaMix(0.05, 0.2, 100).query(fitted, pool, n, rng())]
        assert torch.isin(images[wanted], bought).all() or (torch.isin(bought, images[wanted]).all())
        assert len(bought.unique()) >= n - 2  # random ones that fill up may be copies
    fixed = AlfaMix(0.05, 0.05, 100).candidates(fitted, pool, images, 60, rng())
    assert torch.equal(fixed, flips[0])


# ---- dropout


@pytest.mark.parametrize("kind", [0, 1], ids=["single", "ensemble"])
def test_dropout_flips_are_counted_row_by_row(kind):
    head, x = heads(3)[kind], torch.randn(40, 6, generator=rng(4))
    counts = dropout_flips(x, head, rng(5), n_passes=3, dropout=0.75)
    again, slow = rng(5), torch.zeros(40, dtype=torch.int64)
    for _ in range(3):
        kept = torch.empty(40, 6).bernoulli_(0.25, generator=again)
        for i, row in enumerate(x.double()):
            h = [4 * float(row[j]) if kept[i, j] else 0.0 for j in range(6)]
            slow[i] += int(
                in_double(head)(torch.tensor([h]).double()).argmax() != in_double(head)(row[None]).argmax()
            )
    assert counts.tolist() == slow.tolist()
    assert set(counts.tolist()) == {0, 1, 2, 3}


def test_dropout_flips_have_the_law_of_all_masks():
    head, h = heads(6, c=3, d=3)[0], torch.randn(3, generator=rng(7))
    law = 0.0
    for mask in itertools.product([0, 1], repeat=3):
        kept = torch.tensor(mask)
        flips = head((h * kept / 0.4)[None]).argmax() != head(h[None]).argmax()
        law += float(flips) * 0.4 ** sum(mask) * 0.6 ** (3 - sum(mask))
    counts = dropout_flips(h.expand(20_000, 3), head, rng(), n_passes=2, dropout=0.6)
    assert 0.05 < law < 0.95
    assert float(counts.double().mean() / 2) == pytest.approx(law, abs=0.015)  # 6 standard deviations
    with pytest.raises(ValueError, match="dropout=1: must be above 0 and below 1"):
        dropout_flips(h[None], head, rng(), n_passes=3, dropout=1)
    with pytest.raises(ValueError, match="n_passes=0: must be at least 1"):
        dropout_flips(h[None], head, rng(), n_passes=0, dropout=0.5)


def test_dropquery_buys_what_flips_in_most_passes():
    pool = make_pool(n=300)
    fitted, images = fitted_on(pool), pool.distinct().images
    found = images[DropQuery(3, 0.75, 100).candidates(fitted, pool, images, 5, rng(1))]
    counts = dropout_flips(fitted.features_MD, fitted.head, rng(1), n_passes=3, dropout=0.75, rows=images)
    assert found.tolist() == images[counts >= 2].tolist()
    ids = DropQuery(3, 0.75, 100).query(fitted, pool, 10, rng(1))
    seen = rng(1)
    order = torch.randperm(len(images), generator=seen)
    flipped = DropQuery(3, 0.75, 100).candidates(fitted, pool, images[order], 10, seen)
    assert len(found) > 20
    assert torch.isin(ids, images[order][flipped]).all()


# ---- noise on weights


def changes_by_definition(fitted, source, images, seeds, output, scale):
    """The relative changes of the outputs of every row, one network at a time, with the authors' noise."""
    network = copy.deepcopy(fitted.networks.online).double().eval()
    x = fitted._images_M[source].double()

    def outputs(net):
        logits, features = net(x)
        return logits.softmax(1) if output == "probs" else features

    calm = outputs(network)
    norm = calm.norm(dim=1, keepdim=True)
    d = []
    for seed in seeds:
        shaken, g = copy.deepcopy(network), rng(seed)
        for module in shaken.modules():
            if hasattr(module, "weight"):
                noise = torch.randn(module.weight.shape, generator=g).double()
                module.weight += noise * scale * module.weight.norm() / noise.norm()
        d.append((outputs(shaken) - calm) / norm.where(norm > 0, 1))
    return torch.cat(d, 1)


@torch.no_grad()
@pytest.mark.parametrize("output", ["probs", "features"])
def test_noise_stability_is_greedy_k_center_from_zero_on_rows(output, monkeypatch):
    pool = make_pool(n=30, copies=2)
    fitted = fitted_on(pool)
    strategy, seeds = NoiseStability(output, 5, 0.01), itertools.count()
    monkeypatch.setattr(stability, "draw_seed", lambda _: next(seeds) % 5)
    ids = strategy.query(fitted, pool, 12, rng())
    d = changes_by_definition(fitted, pool.source_N, None, range(5), output, 0.01)
    distance = d.norm(dim=1)
    distance[pool.labelled_ids()] = -1
    for pick in ids.tolist():
        assert distance[pick] == pytest.approx(float(distance.max()), rel=1e-3)
        distance = distance.minimum((d - d[pick]).norm(dim=1))
    monkeypatch.setattr(stability, "NUMBERS_AT_ONCE", 100)
    assert torch.equal(strategy.query(fitted, pool, 12, rng()), ids)


def test_noise_has_its_norm_in_every_layer_and_member_and_goes():
    torch.manual_seed(0)
    for n in (1, 3):
        network = ensemble_of(partial(MLP, widths=[8], dropout=0.0), n)((4,), 3)
        before = copy.deepcopy(network.state_dict())
        noise = stability.Noise(network, 0.01)
        noise.draw(3)
        for name, weight in network.state_dict().items():
            change = (weight - before[name]).reshape(n, -1).norm(dim=1)
            share = 0.0 if name.endswith("bias") else 0.01
            wanted = share * before[name].reshape(n, -1).norm(dim=1)
            torch.testing.assert_close(change, wanted, rtol=1e-3, atol=0)
        noise.remove()
        assert all(torch.equal(weight, before[name]) for name, weight in network.state_dict().items())


def test_bfloat16_does_not_round_the_noise_away():
    pool = make_pool(n=30)
    plain = fitted_on(pool)
    wrapped = InBfloat16(plain.networks.online)
    prepare = Standardise((0.0,), (1.0,), (2,), False, torch.device("cpu"))
    fitted = Fitted(Pair(wrapped, wrapped), pool.images_M, prepare, 7)
    strategy = NoiseStability("probs", 4, 0.001)
    assert torch.equal(strategy.query(fitted, pool, 9, rng()), strategy.query(plain, pool, 9, rng()))


def test_noise_stability_with_nothing_to_see_buys_at_random():
    pool = Pool(torch.zeros(20, 2), torch.arange(20))
    pool.reveal(torch.tensor([0]), torch.tensor([0]))
    fitted = fitted_on(pool)
    with torch.no_grad():
        for weight in fitted.networks.online.parameters():
            weight.zero_()
    alg = NoiseStability("features", 2, 0.1)
    assert len({int(alg.query(fitted, pool, 1, stream(s, "query"))) for s in range(30)}) > 10


# ---- equal shares


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-1, 4), min_size=1, max_size=40), st.data())
def test_shares_are_as_equal_as_can_be(labels, data):
    labels = torch.tensor(labels)
    n = data.draw(st.integers(0, len(labels)))
    picks = balanced(labels, n, rng(data.draw(st.integers(0, 9))))
    assert len(picks.unique()) == n
    bought, of = labels[picks], {int(c): int((labels == c).sum()) for c in labels.unique()}
    counts = {c: int((bought == c).sum()) for c in of if c >= 0}
    most = max(counts.values(), default=0)
    assert all(count >= most - 1 or count == of[c] for c, count in counts.items())
    assert not (bought < 0).any() or counts == {c: of[c] for c in counts}


def test_class_balanced_shares_by_predicted_class():
    pool = make_pool(n=200, copies=2)
    fitted = fitted_on(pool, seed=11)
    predicted = fitted.probs_MC.argmax(1)[pool.source_N]
    left = torch.bincount(predicted[pool.unlabelled_ids()], minlength=3)
    ids = ClassBalanced().query(fitted, pool, 30, rng())
    counts = torch.bincount(predicted[ids], minlength=3)
    assert left.amin() > 10
    assert counts.tolist() == [10, 10, 10]
    assert len({tuple(ClassBalanced().query(fitted, pool, 1, rng(s)).tolist()) for s in range(60)}) > 30


# ---- settings


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: AlfaMix(0.0, 1.0, 100), r"^alg\.eps=0\.0: must be above 0, and finite$"),
        (
            lambda: AlfaMix(0.2, 0.1, 100),
            r"^alg\.most_eps=0\.1: must be at least alg\.eps=0\.2, and at most 1000",
        ),
        (lambda: AlfaMix(0.2, math.inf, 100), r"^alg\.most_eps=inf: must be"),
        (lambda: AlfaMix(0.2, 1.0, 0), r"^alg\.max_iterations=0: must be at least 1$"),
        (lambda: DropQuery(0, 0.5, 100), r"^alg\.n_passes=0: must be in 1\.\.1000000$"),
        (lambda: DropQuery(3, 1.0, 100), r"^alg\.dropout=1\.0: must be above 0 and below 1$"),
        (lambda: NoiseStability("logits", 5, 0.1), r"^alg\.output=logits: must be one of probs, features$"),
        (lambda: NoiseStability("probs", 0, 0.1), r"^alg\.n_draws=0: must be in 1\.\.1000000$"),
        (lambda: NoiseStability("probs", 5, 0.0), r"^alg\.scale=0\.0: must be above 0, and finite$"),
    ],
)
def test_bad_settings_are_named(make, said):
    with pytest.raises(BadInput, match=said):
        make()
