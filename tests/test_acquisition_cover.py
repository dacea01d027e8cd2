"""Maximum coverage, pure radii and typical points against the papers' equations on rows; degenerate input."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hetal.acquisition import ball_cover, max_cover, pure_radius, purity, typical_points, typicality
from hetal.acquisition.clustering import kmeans
from hetal.acquisition.typicality import Cluster
from hetal.errors import BadInput
from hetal.pool import Pool
from hetal.rng import stream
from hetal.testing import check_strategy
from tests.test_algs import fitted_on, strategy
from tests.test_start import given as given_only


def points_of(kind, m, rng):
    """Points in general position, on a lattice (many equal distances), far from the origin, or all the same."""
    if kind == "lattice":
        return torch.randint(0, 4, (m, 2), generator=rng).float()
    if kind == "same":
        return torch.full((m, 3), 0.1)
    x = torch.randn(m, 3, generator=rng)
    return x + 1000 if kind == "far" else x


KINDS = ["general", "lattice", "far", "same"]


def held(x, delta):
    """Whether row j is in the ball of row i, for all pairs, by the definition."""
    distance = (x[:, None] - x[None]).norm(dim=2)
    return (distance < delta * (1 - 5e-10)) | (distance == 0)


def check_cover(x, copies, centers, delta, picks):
    """Check that each pick covered most of the rows left; return whether some are left at the end."""
    rows = torch.repeat_interleave(torch.arange(len(x)), copies)
    within = held(torch.cat([x, centers]).double(), delta)
    left = ~within[len(x) :, rows].any(0)
    for pick in picks.tolist():
        counts = (within[: len(x), rows] & left).sum(1)
        assert int(counts[pick]) == int(counts.max()) > 0
        left &= ~within[pick, rows]
    return bool(left.any())


@pytest.mark.parametrize("side", [3, 512])
@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    kind=st.sampled_from(KINDS),
    m=st.integers(1, 25),
    n_centers=st.integers(0, 4),
    delta=st.sampled_from([0.5, 1.0, 1.5, 2.0, 50.0, float("inf")]),
)
def test_every_pick_covers_most_rows_that_are_left(side, seed, kind, m, n_centers, delta):
    rng = stream(seed, "x")
    x, copies = points_of(kind, m, rng), torch.randint(1, 5, (m,), generator=rng)
    centers = x[torch.randint(m, (n_centers,), generator=rng)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ball_cover.SIDE, "cpu", side)
        picks = max_cover(x, m, delta, rng, weights=copies, centers=centers)
        few = max_cover(x, min(2, m), delta, stream(seed, "y"), weights=copies, centers=centers)
    assert len(picks.unique()) == len(picks)
    assert not check_cover(x, copies, centers, delta, picks)
    check_cover(x, copies, centers, delta, few)


def test_counts_that_are_kept_are_those_counted_anew():
    rng = stream(0, "x")
    x, weight = torch.randn(60, 3, generator=rng).double(), torch.randint(1, 9, (60,), generator=rng).double()
    balls = ball_cover._Balls(x, x[:0], 1.0, weight)
    for _ in range(9):
        balls.pick(1)
        anew = (held(balls.x_MD, 1.0).double() * balls.left_M).sum(1)
        assert torch.equal(balls.held_M, anew)
    assert len(balls.rows) < 60  # balls that hold nothing were left out


def test_ties_of_coverage_are_broken_at_random_and_numpy_stays_numpy():
    x = torch.arange(6.0)[:, None]
    firsts = {int(max_cover(x, 1, 0.5, stream(s, "x"))) for s in range(80)}
    assert firsts == set(range(6))
    picks = max_cover(x.numpy(), 6, 1.5, stream(0, "x"))
    assert isinstance(picks, np.ndarray)
    for wrong in (
        {"n": 7},
        {"delta": -1.0},
        {"delta": float("nan")},
        {"weights": torch.tensor([0, 1, 1, 1, 1, 1])},
    ):
        with pytest.raises(ValueError, match="must be"):
            max_cover(**{"points": x, "n": 1, "delta": 1.0, "generator": stream(0, "x"), **wrong})
    with pytest.raises(ValueError, match="width"):
        max_cover(x, 1, 1.0, stream(0, "x"), centers=torch.zeros(1, 2))


@pytest.mark.parametrize("side", [4, 512])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(KINDS), m=st.integers(1, 25), k=st.integers(1, 4))
def test_the_radius_is_the_largest_at_which_enough_balls_are_pure(side, seed, kind, m, k):
    rng = stream(seed, "x")
    x, copies = points_of(kind, m, rng), torch.randint(1, 5, (m,), generator=rng)
    labels, share = torch.randint(k, (m,), generator=rng), 0.8
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(purity.SIDE, "cpu", side)
        delta = pure_radius(x, labels, share, weights=copies)

    rows = torch.repeat_interleave(torch.arange(m), copies)
    distance = (x[rows, None].double() - x[None, rows].double()).norm(dim=2)
    is_other = labels[rows, None] != labels[None, rows]

    def pure(radius):
        return float((~((distance < radius) & is_other).any(1)).double().mean())

    # Of all radii, purity changes at distances only.
    assert pure(delta * (1 - 1e-9) - 1e-9) >= share - 1e-12
    if delta < float("inf"):
        assert pure(delta * (1 + 1e-9) + 1e-9) < share - 1e-12


def test_the_radius_counts_rows_and_needs_a_share():
    x, labels = torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([0, 1, 1])
    assert pure_radius(x, labels, 0.5, weights=torch.tensor([1, 1, 3])) == pytest.approx(5)
    assert pure_radius(x, labels, 0.5, weights=torch.tensor([2, 2, 1])) == pytest.approx(1)
    with pytest.raises(ValueError, match=r"share=0: must be"):
        pure_radius(x, labels, 0)


def typical_rule(x, labels, free, picked, cluster, k_most):
    """The mean distance of each free point of a cluster to its nearest neighbours there, by the definition."""
    members = [i for i in range(len(x)) if labels[i] == cluster and free[i] and i not in picked]
    k = min(k_most, max(len(members) // 2, 1))
    means = {}
    for i in members:
        others = sorted(float((x[i] - x[j]).norm()) for j in members)
        nearest = [d for d in others if d > 0][:k]
        means[i] = sum(nearest) / len(nearest) if nearest else 0.0
    return means


@pytest.mark.parametrize("tile", [1, 2**21])
@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    kind=st.sampled_from(["general", "lattice", "same"]),
    m=st.integers(1, 25),
    n=st.integers(1, 25),
    limit=st.integers(1, 6),
)
def test_picks_are_the_most_typical_of_their_clusters_in_turn(tile, seed, kind, m, n, limit):
    rng = stream(seed, "x")
    x, copies = points_of(kind, m, rng), torch.randint(1, 5, (m,), generator=rng)
    labelled = copies * (torch.rand(m, generator=rng) < 0.3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typicality, "TILE", tile)
        picks = typical_points(
            x, n, stream(seed, "y"), n_labelled=labelled, weights=copies,
            max_clusters=limit, n_neighbors=3, outlier_size=2,
        ).tolist()  # fmt: skip
    free = labelled == 0
    assert len(picks) == min(n, int(free.sum())) == len(set(picks))
    if not picks:
        return
    k = min(int(labelled.sum()) + n, limit, m)
    labels = kmeans(x, k, stream(seed, "y"), weights=copies).labels_M.tolist()
    # Row by row: sizes, labels and turns.
    rows = torch.repeat_interleave(torch.arange(m), copies).tolist()
    size = [sum(labels[i] == c for i in rows) for c in range(k)]
    n_labels = [sum(int(labelled[i]) for i in range(m) if labels[i] == c) for c in range(k)]
    rank = [(size[c] <= 2, n_labels[c], -size[c]) for c in range(k)]
    given_by = [0] * k
    picked = []
    for pick in picks:
        means = typical_rule(x.double(), labels, free, picked, labels[pick], 3)
        assert means[pick] <= min(means.values()) * (1 + 1e-8) + 1e-7
        could = [c for c in range(k) if typical_rule(x.double(), labels, free, picked, c, 3)]
        turn = min(given_by[c] for c in could)
        first = min(rank[c] for c in could if given_by[c] == turn)
        assert (given_by[labels[pick]], rank[labels[pick]]) == (turn, first)
        given_by[labels[pick]] += 1
        picked.append(pick)


def test_typicalities_that_are_kept_are_those_computed_anew():
    x = torch.randn(60, 2, generator=stream(0, "x"))
    cluster = Cluster(x, torch.arange(60), 5)
    for _ in range(58):
        cluster.take()
        cluster._fit_size()
        left = torch.nonzero(cluster.is_left_P).flatten()
        anew = Cluster(x, left, 5)
        anew._fit_size()
        assert torch.allclose(cluster.distance_P[left], anew.distance_P)


def test_typical_points_break_ties_at_random_and_copies_are_not_typical():
    square = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    none = torch.zeros(4)
    assert {int(typical_points(square, 1, stream(s, "x"), n_labelled=none)) for s in range(60)} == {
        0,
        1,
        2,
        3,
    }
    # Two points that coincide, far from the middle of the others: no neighbours of each other.
    x = torch.tensor([[9.0, 0], [9, 0], [0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]])
    picks = [
        typical_points(x, 1, stream(s, "x"), n_labelled=torch.zeros(7), max_clusters=1) for s in range(9)
    ]
    assert {int(p) for p in picks} == {2}
    with pytest.raises(ValueError, match="max_clusters=0"):
        typical_points(x, 1, stream(0, "x"), n_labelled=torch.zeros(7), max_clusters=0)
    assert len(typical_points(x, 3, stream(0, "x"), n_labelled=torch.ones(7))) == 0


@pytest.mark.parametrize(
    ("name", "features"), [("typiclust", "given"), ("probcover", "given"), ("coreset", "both")]
)
def test_strategies_keep_the_contract_on_other_features(name, features):
    alg = rebuilt(strategy(name), features=features)
    assert alg.needs_network == (features != "given")
    assert rebuilt(strategy("tcm"), features="given").needs_network  # of which margin reads probabilities
    check_strategy(alg, seeds=[0])


def rebuilt(alg, **settings):
    """A strategy of the same class, with some settings changed."""
    own = {key: value for key, value in vars(alg).items() if key != "needs_network"}
    return type(alg)(**{**own, **settings})


@pytest.mark.parametrize("name", ["typiclust", "probcover", "coreset"])
def test_nothing_labelled_copies_are_one_image(name):
    images = torch.randn(12, 2, generator=stream(0, "x"))
    source = torch.arange(12).repeat(3)
    fitted, pool = given_only(images, source)
    alg = rebuilt(
        strategy(name), features="given", **({"n_clusters": 3, "delta": 1e-3} if name == "probcover" else {})
    )
    ids = alg.query(fitted, pool, 20, stream(0, "x"))
    shown = source[ids].tolist()
    assert len(set(shown[:12])) == 12
    assert len(set(ids.tolist())) == 20


def test_coreset_starts_at_a_random_image_where_nothing_is_labelled():
    fitted, pool = given_only(torch.randn(8, 2, generator=stream(0, "x")))
    alg = rebuilt(strategy("coreset"), features="given")
    queries = [alg.query(fitted, pool, 3, stream(s, "x")).tolist() for s in range(60)]
    assert {first for first, *_ in queries} == set(range(8))
    first, second, _ = queries[0]
    distance = (pool.images_M - pool.images_M[first]).norm(dim=1)
    assert second == int(distance.argmax())


def test_tcm_is_typiclust_and_then_margin():
    pool = Pool(torch.randn(50, 2, generator=stream(0, "x")), torch.arange(50))
    fitted = fitted_on(pool)
    typiclust, margin = strategy("typiclust"), strategy("margin")
    tcm = rebuilt(strategy("tcm"), labels_per_class=4)
    for n_labels, rule in ((0, typiclust), (11, typiclust), (12, margin)):
        bought = pool.unlabelled_ids()[: n_labels - len(pool.labelled_ids())] if n_labels else torch.arange(0)
        pool.reveal(bought, torch.zeros_like(bought))
        ids = tcm.query(fitted, pool, 5, stream(3, "query"))
        assert torch.equal(ids, rule.query(fitted, pool, 5, stream(3, "query")))


def test_probcover_reads_rows_and_chooses_its_radius_from_clusters_of_classes():
    images = torch.cat([torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), torch.tensor([[-1.0, 0.0]])])
    fitted, pool = given_only(images, torch.tensor([0, 1, 1, 1, 2]), bought=[1])
    alg = rebuilt(strategy("probcover"), features="given", delta=0.5)
    # The image with a bought row covers its copies, so the two others come first.
    assert set(pool.source_N[alg.query(fitted, pool, 2, stream(0, "x"))].tolist()) == {0, 2}
    fitted, pool = given_only(
        torch.eye(3)[torch.arange(30) % 3] + 0.01 * torch.randn(30, 3, generator=stream(0, "x"))
    )
    picks = rebuilt(alg, delta=None, n_clusters=3).query(fitted, pool, 3, stream(0, "x"))
    assert sorted((picks % 3).tolist()) == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "setting", "said"),
    [
        ("probcover", {"delta": 0}, "delta=0 of probcover: must be a number above 0, or null"),
        ("probcover", {"purity": 0}, "purity=0 of probcover: must be more than 0"),
        ("probcover", {"n_clusters": 1}, "n_clusters=1 of probcover: must be at least 2, or null"),
        ("probcover", {"max_iterations": 0}, "max_iterations=0 of probcover: must be at least 1"),
        ("typiclust", {"n_neighbors": 0}, "n_neighbors=0 of typiclust: must be at least 1"),
        ("typiclust", {"outlier_size": -1}, "outlier_size=-1 of typiclust: must be 0 or more"),
        ("tcm", {"labels_per_class": -1}, "alg.labels_per_class=-1: must be 0 or more"),
        ("coreset", {"features": "x"}, "features=x: must be one of given, trained, both"),
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(name, setting, said):
    with pytest.raises(BadInput, match=said):
        rebuilt(strategy(name), **setting)
