"""BatchBALD and EPIG against their definitions over all labels, and what dropout passes must share for them."""

import itertools
import math

import pytest
import torch
from torch import nn

from hetal.acquisition import bald, batchbald, epig
from hetal.acquisition.configurations import Configurations
from hetal.algs import BALD, EPIG, BatchBALD
from hetal.errors import BadInput
from hetal.models.ensemble import ensemble_of
from hetal.models.mlp import MLP
from hetal.pool import Pool
from hetal.rng import stream
from hetal.testing import check_strategy
from hetal.train.fitted import Fitted, Pair
from hetal.train.forward import Standardise
from hetal.train.masks import share_masks
from tests.test_algs import fitted_on, make_pool


def probabilities(K, M, C, seed=0, scale=2.0, dtype=torch.float64):
    rng = torch.Generator().manual_seed(seed)
    shared = torch.randn(1, M, C, generator=rng, dtype=dtype)
    return (shared + scale * torch.randn(K, M, C, generator=rng, dtype=dtype)).softmax(2)


def joint_information(probs_KMC, batch):
    """I(y_1..y_B; theta) by its definition: H(y_1..y_B) - mean_k H(y_1..y_B | k), over all C^B labels."""
    K, _, C = probs_KMC.shape
    joint, given = 0.0, 0.0
    for labels in itertools.product(range(C), repeat=len(batch)):
        p_K = [
            math.prod(float(probs_KMC[k, x, y]) for x, y in zip(batch, labels, strict=True)) for k in range(K)
        ]
        p = sum(p_K) / K
        joint -= p * math.log(p) if p > 0 else 0
        given -= sum(p_k * math.log(p_k) for p_k in p_K if p_k > 0) / K
    return joint - given


@pytest.mark.parametrize("zeros", [False, True])
def test_batchbald_is_greedy_in_joint_information(zeros):
    for seed, (K, C) in enumerate([(2, 3), (3, 2), (4, 3)]):
        probs = probabilities(K, 7, C, seed)
        if zeros:
            probs = torch.where(probs > 0.2, probs, 0)
            probs /= probs.sum(2, keepdim=True)
        copies = torch.tensor([1, 2, 1, 0, 1, 3, 1])
        rng = stream(seed, "x")
        picks = batchbald(probs, 4, rng, weights=copies, n_configurations=C**4, restart_below=0.0).tolist()
        assert 3 not in picks
        for b in range(4):
            left = [x for x in range(7) if picks[:b].count(x) < copies[x]]
            told = {x: joint_information(probs, [*picks[:b], x]) for x in left}
            assert told[picks[b]] == pytest.approx(max(told.values()), abs=1e-9)


def test_what_a_point_adds_is_the_rise_of_joint_information():
    probs = probabilities(3, 5, 2)
    known = Configurations(probs, 100, stream(0, "x"))
    for batch in ([], [0], [0, 0], [0, 0, 4]):
        if batch:
            known.add(batch[-1])
        rise = [joint_information(probs, [*batch, x]) - joint_information(probs, batch) for x in range(5)]
        torch.testing.assert_close(
            known.information(torch.arange(5)), torch.tensor(rise, dtype=torch.float64)
        )
        assert len(known.share_R) == 2 ** len(batch)
        assert float(known.share_R.sum()) == pytest.approx(1)


def test_of_one_row_it_is_bald():
    probs = probabilities(5, 200, 4, dtype=torch.float32)
    assert batchbald(probs, 1, stream(0, "x")).tolist() == [int(bald(probs).argmax())]
    assert batchbald(probs.numpy(), 1, stream(0, "x")).tolist() == [int(bald(probs).argmax())]
    pool = make_pool()
    fitted = ensemble_on(pool)
    for alg in (BALD(2), BatchBALD(2, 100, 0.05)):
        assert alg.query(fitted, pool, 1, stream(0, "query")) == BALD(2).query(
            fitted, pool, 1, stream(1, "query")
        )


def test_drawn_configurations_estimate_what_all_of_them_give():
    probs = probabilities(4, 30, 3, scale=1.0)
    everything, drawn = (Configurations(probs, most, stream(0, "x")) for most in (3**6, 400))
    for point in (0, 1, 2, 3, 4, 4):  # 400 hold the labels of five
        everything.add(point)
        drawn.add(point)
    assert (len(everything.share_R), len(drawn.share_R)) == (3**6, 400)
    points = torch.arange(5, 30)
    each_Rn = drawn.each(points).double()
    error_n = each_Rn.std(0) / 400**0.5
    off_n = (drawn.information(points) - everything.information(points)) / error_n
    assert float(off_n.abs().max()) < 3
    assert float(off_n.square().mean()) < 2
    assert bool((each_Rn >= 0).all())


def test_many_picks_stay_within_what_the_networks_can_tell():
    probs = probabilities(3, 500, 10, scale=4.0)
    known = Configurations(probs, 30, stream(0, "x"))
    told = 0.0
    for point in range(400):  # their products of probabilities are under what float64 holds
        told += float(known.information(torch.tensor([point])))
        known.add(point)
    assert math.isfinite(told)
    assert told < 1.5 * math.log(3)
    torch.testing.assert_close(known.posterior_RK.sum(1), torch.ones(30, dtype=torch.float64))


def test_it_takes_what_differs_before_copies_of_the_best():
    probs = probabilities(2, 3, 2)
    probs[:, 0] = torch.tensor([[0.95, 0.05], [0.05, 0.95]])
    probs[:, 1] = probs[:, 0]
    probs[:, 2] = torch.tensor([[0.9, 0.1], [0.5, 0.5]])
    assert bald(probs).argsort(descending=True).tolist()[2] == 2
    four = probs.repeat(2, 1, 1)
    four[2:, 2] = torch.tensor([[0.1, 0.9], [0.5, 0.5]]).double()  # tells what 0 and 1 do not
    picks = batchbald(four, 2, stream(0, "x"), restart_below=0.0).tolist()
    assert 2 in picks


def test_once_nothing_more_is_told_another_batch_begins_among_images_not_picked():
    probs = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]]).repeat(1, 6, 1)  # one label tells all
    probs[:, 4:] = 0.5
    copies = torch.full((6,), 3)
    for seed in range(5):
        picks = batchbald(probs, 18, stream(seed, "x"), weights=copies).tolist()
        assert set(picks[:4]) == {0, 1, 2, 3}
        assert sorted(picks) == sorted([*range(6)] * 3)
    never = [
        batchbald(probs, 2, stream(s, "x"), weights=copies, restart_below=0.0).tolist() for s in range(60)
    ]
    assert {second for _, second in never} == set(range(6))  # the rest tells nothing, and ties


def test_where_nothing_is_told_all_images_come_before_copies_in_random_order():
    probs = probabilities(1, 8, 3).repeat(4, 1, 1)
    orders = {
        tuple(batchbald(probs, 8, stream(s, "x"), weights=torch.full((8,), 2)).tolist()) for s in range(20)
    }
    assert len(orders) > 15
    assert all(sorted(order) == list(range(8)) for order in orders)
    one_class = batchbald(torch.ones(3, 4, 1), 4, stream(0, "x"))
    assert sorted(one_class.tolist()) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": 8}, r"n=8: must be in 0..7"),
        ({"n_configurations": 0}, "n_configurations=0: must be at least 1"),
        ({"restart_below": 1.5}, "restart_below=1.5: must be in 0..1"),
        ({"probs_KMC": torch.randn(2, 7, 3)}, "must hold probabilities"),
    ],
)
def test_mistakes_are_named(change, message):
    arguments = {"probs_KMC": probabilities(2, 7, 3), "n": 2, "generator": stream(0, "x"), **change}
    with pytest.raises(ValueError, match=message):
        batchbald(**arguments)


@pytest.mark.parametrize(("K", "C"), [(1, 3), (3, 2), (4, 5)])
def test_epig_is_the_mean_divergence_of_joint_and_product(K, C, monkeypatch):
    points, targets = probabilities(K, 6, C), probabilities(K, 5, C, seed=1)
    points[:, 0], targets[:, 0] = torch.eye(C)[0].double(), torch.eye(C)[0].double()
    expected = torch.zeros(6, 5, dtype=torch.float64)
    for x, t in itertools.product(range(6), range(5)):
        for y, z in itertools.product(range(C), repeat=2):
            p = sum(float(points[k, x, y] * targets[k, t, z]) for k in range(K)) / K
            apart = float(points[:, x, y].mean() * targets[:, t, z].mean())
            expected[x, t] += p * math.log(p / apart) if p > 0 else 0
    torch.testing.assert_close(epig(points, targets), expected.mean(1))
    copies = torch.tensor([2, 0, 1, 3, 1])
    weighted = expected @ copies.double() / 7
    torch.testing.assert_close(epig(points, targets, weights=copies), weighted)
    monkeypatch.setattr("hetal.acquisition.predictive_information.TILE", 2 * C * C)
    torch.testing.assert_close(epig(points, targets, weights=copies), weighted)


def test_epig_of_a_point_about_itself_is_bald_where_networks_are_sure():
    sure = torch.eye(4, dtype=torch.float64)[torch.randint(4, (6, 10), generator=stream(0, "x"))]
    itself = torch.stack([epig(sure[:, [i]], sure[:, [i]]) for i in range(10)]).flatten()
    torch.testing.assert_close(itself, bald(sure))


def test_epig_refuses_targets_of_other_networks():
    with pytest.raises(ValueError, match=r"as probs_KMC: \(3, 5, 2\) and \(2, 5, 2\)"):
        epig(probabilities(2, 5, 2), probabilities(3, 5, 2))
    with pytest.raises(ValueError, match="at least one target"):
        epig(probabilities(2, 5, 2), probabilities(2, 0, 2))


def ensemble_on(pool, targets=None):
    torch.manual_seed(0)
    network = ensemble_of(lambda shape, n: MLP(shape, n, [8], 0.0), members=3)((2,), 3)
    prepare = Standardise((0.0,), (1.0,), (2,), False, torch.device("cpu"))
    return Fitted(Pair(network, network), pool.images_M, prepare, batch_size=7, targets=targets)


@pytest.mark.parametrize("targets", ["pool", "test"])
def test_epig_scores_against_rows_of_the_pool_or_test_inputs(targets):
    pool = make_pool(n=30, copies=2)
    test = torch.randn(9, 2, generator=stream(0, "test"))
    fitted = ensemble_on(pool, test)
    alg = EPIG(2, targets, 1000)
    assert alg.reads_targets == (targets == "test")
    by_members = torch.cat([*fitted.members(pool.images_M if targets == "pool" else test)], 1)
    expected = epig(fitted.members_KMC, by_members)
    scores_M = alg.scores(fitted, pool, stream(0, "query"))
    torch.testing.assert_close(scores_M, expected, rtol=1e-3, atol=1e-9)
    few = EPIG(2, targets, 4)
    scores = [few.scores(fitted, pool, stream(s, "query")) for s in range(200)]
    assert not torch.equal(scores[0], scores[1])
    torch.testing.assert_close(torch.stack(scores).mean(0), expected, rtol=0.2, atol=1e-3)


def test_passes_that_share_masks_are_networks_of_their_own():
    pool = make_pool()
    fitted = fitted_on(pool)

    def passes(images):
        return torch.cat([*fitted.passes(6, images, stream(0, "x"), same_masks=True)], 1)

    probs = passes(pool.images_M)
    torch.testing.assert_close(passes(pool.images_M[20:])[:, :11], probs[:, 20:31])  # whatever the batches
    alike = passes(pool.images_M[:1].repeat(20, 1))
    torch.testing.assert_close(alike, alike[:, :1].expand_as(alike))
    assert float(probs.std(0).mean()) > 0.01
    apart = torch.cat([*fitted.passes(6, pool.images_M[:1].repeat(20, 1), stream(0, "x"))], 1)
    assert float(apart.std(1).mean()) > 0.01
    with pytest.raises(ValueError, match="same_masks is for a single network"):
        next(ensemble_on(pool).passes(2, pool.images_M, stream(0, "x"), same_masks=True))


@pytest.mark.parametrize(
    ("layer", "shape"), [(nn.Dropout, (6, 30)), (nn.Dropout2d, (6, 30, 2, 2)), (nn.AlphaDropout, (6, 30))]
)
def test_all_kinds_of_dropout_share_masks(layer, shape):
    network = nn.Sequential(layer(0.5))
    share_masks(network)
    y = network(torch.ones(shape))
    assert torch.equal(y, y[:1].expand_as(y))
    assert 5 < int((y[0].flatten(1).amax(1) if y.dim() > 2 else y[0]).gt(0).sum()) < 25


def test_strategies_keep_the_contract_and_refuse_bad_settings():
    check_strategy(BatchBALD(3, 20, 0.05), seeds=(0,))
    check_strategy(EPIG(3, "test", 5), seeds=(0,))
    for make, message in (
        (lambda: BatchBALD(1, 10, 0.1), "alg.n_passes=1: must be in 2..1000000"),
        (lambda: BatchBALD(2, 0, 0.1), "alg.n_configurations=0: must be in 1..1000000"),
        (lambda: BatchBALD(2, 10, -0.1), "alg.restart_below=-0.1: must be in 0..1"),
        (lambda: EPIG(2, "train", 10), "alg.targets=train: must be one of pool, test"),
        (lambda: EPIG(2, "test", 0), "alg.n_targets=0: must be at least 1"),
        (lambda: BatchBALD(2, 10, 0.1).check(small((2,), 3)), "alg=batchbald needs a model with dropout"),
        (lambda: EPIG(2, "pool", 10).check(small((2,), 3)), "alg=epig needs a model with dropout"),
    ):
        with pytest.raises(BadInput, match=message):
            make()


def small(shape, n_classes):
    return MLP(shape, n_classes, [8], 0.0)


def test_batchbald_buys_no_more_rows_of_an_image_than_there_are():
    pool = Pool(torch.randn(3, 2, generator=stream(0, "x")), torch.tensor([0, 0, 0, 1, 2, 2]))
    pool.reveal(torch.tensor([0]), torch.tensor([0]))
    ids = BatchBALD(4, 20, 0.0).query(fitted_on(pool), pool, 5, stream(0, "query"))
    assert sorted(ids.tolist()) == [1, 2, 3, 4, 5]
