"""The start set: drawn as ever, chosen by who needs no network, or by a bound that sees the labels."""

import json

import pytest
import torch
from sklearn.cluster import KMeans as Reference

from hetal.acquisition.clustering import _centers, kmeans
from hetal.algs import BADGE, Balanced, KMeans, QueryStrategy, Random
from hetal.errors import BadInput
from hetal.pool import Pool
from hetal.record.purchases import check_purchases
from hetal.report.analyse.confounds import confounds_of
from hetal.report.load.reading import read
from hetal.rng import stream
from hetal.testing import check_strategy
from hetal.train.fitted import Fitted
from hetal.train.forward import Standardise
from tests.command_line import TOY, only, run_here
from tests.test_reads import prepared


def given(images, source=None, bought=()):
    pool = Pool(images, torch.arange(len(images)) if source is None else source)
    pool.reveal(torch.tensor(bought, dtype=torch.long), torch.zeros(len(bought)).long())
    prepare = Standardise((0.0,), (1.0,), tuple(images.shape[1:]), False, torch.device("cpu"))
    return Fitted(None, images, prepare, 16), pool


def test_the_default_start_is_a_permutation_of_the_seed_s_own_stream():
    for seed in (0, 3):
        setup = prepared(seed=seed)
        assert torch.equal(setup.start_ids, torch.randperm(60, generator=stream(seed, "start"))[:6])
    assert setup.sees == []
    assert setup.start_is_random


class Reads(Random):
    """Says that it needs no network, and reads one."""

    def query(self, fitted, pool, n, rng):
        return fitted.probs_MC[:n].argsort()


class Twice(Random):
    def query(self, fitted, pool, n, rng):
        return pool.unlabelled_ids()[:1].expand(n)


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (
            BADGE(),
            r"start: BADGE needs a trained network \(needs_network is True\), and before the first labels",
        ),
        (KMeans("trained", 10), "start: KMeans needs a trained network"),
        (Reads(), "start: it reads a network, and before the first labels there is none"),
        (
            Twice(),
            "start: Twice: query returned id 0 more than once; asked for were 6 distinct unlabelled ids",
        ),
    ],
)
def test_what_cannot_choose_a_start_set_is_refused_before_training(start, said):
    with pytest.raises(BadInput, match=said):
        prepared(start=start)


def test_balanced_has_equally_many_of_each_label_as_far_as_they_go():
    labels = torch.tensor([0] * 10 + [1] * 10 + [2] * 2)
    fitted, pool = given(torch.randn(22, 2), bought=[0])
    bound = Balanced()
    bound.see(labels, torch.zeros(22, dtype=torch.bool))
    counts = [
        torch.bincount(labels[bound.query(fitted, pool, n, stream(0, "start"))], minlength=3).tolist()
        for n in (3, 6, 12)
    ]
    assert counts == [[1, 1, 1], [2, 2, 2], [5, 5, 2]]
    one_more = {int(labels[bound.query(fitted, pool, 1, stream(s, "start"))]) for s in range(20)}
    assert one_more == {0, 1, 2}
    setup = prepared(start=Balanced())
    assert torch.bincount(setup.oracle.label(setup.start_ids)).tolist() == [2, 2, 2]


class Peeks(QueryStrategy):
    """Declares that it cheats, but is no `Bound`: it is told nothing."""

    cheats = True
    query = Random.query

    def see(self, labels_N, is_noisy_N):
        raise AssertionError("told of hidden labels")


def test_only_a_bound_is_told_hidden_labels():
    assert prepared(alg=Peeks(), name="x").sees == ["alg=x sees hidden labels: a bound"]
    check_strategy(Balanced(), seeds=[0])


def test_the_record_and_the_report_say_what_sees_hidden_labels(tmp_path, capsys):
    run_here(*TOY, "alg=random", "start=balanced", "n_end=40", root=tmp_path)
    assert "note: start sees hidden labels: a bound" in capsys.readouterr().out
    about = json.loads((only(tmp_path) / "provenance.json").read_text())
    assert about["sees"] == ["start sees hidden labels: a bound"]
    assert any(
        "random: start sees hidden labels: a bound" in line for line in confounds_of(read([tmp_path]).runs)
    )


def test_clusters_are_those_of_scikit_learn_from_the_same_centres():
    rng = stream(0, "x")
    x, copies = torch.randn(200, 3, generator=rng) + 50, torch.randint(1, 6, (200,), generator=rng)
    clusters = kmeans(x, 9, stream(1, "x"), weights=copies)
    start = clusters.centers_KD.double().numpy()
    reference = Reference(9, init=start, n_init=1, tol=0).fit(
        x.double().numpy(), sample_weight=copies.numpy()
    )
    assert reference.labels_.tolist() == clusters.labels_M.tolist()
    assert torch.allclose(
        torch.from_numpy(reference.cluster_centers_).float(), clusters.centers_KD, atol=1e-4
    )
    best = Reference(9, n_init=20, random_state=0).fit(x.double().numpy(), sample_weight=copies.numpy())
    assert float((copies * clusters.distances_M).sum()) < 1.3 * best.inertia_
    distance = (x - clusters.centers_KD[clusters.labels_M]).square().sum(1)
    for k, row in enumerate(clusters.nearest().tolist()):
        members = torch.nonzero(clusters.labels_M == k).flatten()
        assert row in members.tolist()
        assert float(distance[row]) == pytest.approx(float(distance[members].min()), abs=1e-3)


def test_weights_are_copies_and_points_that_coincide_are_one():
    points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [100.0, 0.0]])
    clusters = kmeans(points, 2, stream(0, "x"), weights=torch.tensor([3, 1, 7]))
    assert sorted(clusters.centers_KD[:, 0].tolist()) == [0.25, 100.0]
    for few in (torch.full((20, 3), 255.3), torch.tensor([[7.0, 1e4], [8.0, 1e4]]).repeat(10, 1)):
        clusters = kmeans(few, 6, stream(0, "x"))
        assert len(clusters.nearest()) == len(few.unique(dim=0))
        assert float(clusters.distances_M.max()) == 0
    for wrong in ({"k": 0}, {"k": 4}, {"k": 2, "weights": torch.tensor([1, 0, 2])}):
        with pytest.raises(ValueError, match="must be"):
            kmeans(points, generator=stream(0, "x"), **wrong)


def test_a_cluster_that_loses_its_points_starts_again_at_the_farthest():
    x, ones = torch.tensor([[0.0], [1.0], [8.0]]), torch.ones(3, dtype=torch.long)
    before = torch.tensor([[3.0], [99.0], [77.0]])
    after = _centers(x, ones, torch.zeros(3, dtype=torch.long), before)
    assert after.tolist() == [[3.0], [8.0], [0.0]]
    x = torch.tensor([[3.0], [3.0], [9.0]])
    after = _centers(x, ones, torch.zeros(3, dtype=torch.long), before)
    assert after.tolist() == [[5.0], [9.0], [77.0]]  # what coincides with its centre stays


def test_kmeans_buys_one_image_a_cluster_the_nearest_and_ties_at_random():
    rng = stream(0, "x")
    centres = 100 * torch.eye(4)
    images = torch.cat([centres, (centres[:, None] + torch.randn(4, 9, 4, generator=rng)).flatten(0, 1)])
    images = torch.cat(
        [images, 2 * images[:4].repeat_interleave(9, 0) - images[4:]]
    )  # symmetric about each centre
    fitted, pool = given(images)
    assert sorted(KMeans("given", 50).query(fitted, pool, 4, rng).tolist()) == [0, 1, 2, 3]
    fitted, pool = given(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]))
    assert {int(KMeans("given", 50).query(fitted, pool, 1, stream(s, "x"))) for s in range(20)} == {0, 1}
    # Three rows of one image weigh as three points, and are bought once while there are other images.
    fitted, pool = given(torch.tensor([[0.0], [1.0], [9.0]]), torch.tensor([0, 0, 0, 1, 2]))
    assert int(pool.source_N[KMeans("given", 50).query(fitted, pool, 1, rng)]) == 1
    assert pool.source_N[KMeans("given", 50).query(fitted, pool, 3, rng)].sort().values.tolist() == [0, 1, 2]


def test_both_features_weigh_the_same():
    from hetal.algs.base import features_of

    class Both:
        given_MD = torch.randn(50, 3, generator=stream(0, "x")) * 1000 + 5
        features_MD = torch.randn(50, 7, generator=stream(1, "x")) * 1e-3

    both = features_of(Both(), "both")
    assert both.shape == (50, 10)
    assert both[:, :3].square().sum(1).mean().item() == pytest.approx(1)
    assert both[:, 3:].square().sum(1).mean().item() == pytest.approx(1)
    with pytest.raises(BadInput, match="features=x: must be one of given, trained, both"):
        KMeans("x", 1)
    with pytest.raises(BadInput, match="max_iterations=0 of kmeans: must be at least 1"):
        KMeans("given", 0)


def test_a_computed_start_set_on_record_is_kept_whatever_this_machine_would_choose():
    from hetal.evaluate import buy

    setup = prepared(start=KMeans("given", 50))
    assert not setup.start_is_random
    recorded = [buy(setup, torch.arange(6), 0)]
    check = (recorded, setup.oracle, setup.pool.source_N)
    check_purchases(*check, setup.start_ids, "x", same_start=False)
    for ids, same in ((setup.start_ids, True), (setup.start_ids[:5], False)):
        with pytest.raises(BadInput, match="x: the start set holds other rows than the"):
            check_purchases(*check, ids, "x", same_start=same)
