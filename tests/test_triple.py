"""What tells much, lies far from all that is bought and is undecided: by hand, against the definition, and copies."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hetal.acquisition import gini, greedy_design, triple
from hetal.algs.triple import Triple
from hetal.errors import BadInput
from hetal.pool import Pool
from hetal.rng import stream
from tests.test_algs import fitted_on, make_pool, strategy


def picked(points, probs, n, known=(), candidates=None, ridge=1.0, **rest):
    candidates = range(len(points)) if candidates is None else candidates
    return triple(
        torch.tensor(points, dtype=torch.float64),
        torch.tensor(probs, dtype=torch.float64),
        n,
        known=torch.tensor(list(known), dtype=torch.long),
        candidates=torch.tensor(list(candidates), dtype=torch.long),
        ridge=ridge,
        **{name: torch.tensor(value) for name, value in rest.items()},
    ).tolist()


EVEN = [0.5, 0.5]


def test_by_hand():
    # Two directions, all norms 1, w = 1/2: V is the trace of A. The label of 0 leaves A = diag(2/3, 1). One of 1 takes
    # (2/3)^2 / 2 / (1 + 1/3) = 1/6, but lies at 0; one of 2 or 3 takes 1/2 / (1 + 1/2) = 1/3, at sqrt(2).
    cross = [[1, 0], [1, 0], [0, 1], [0, 1]]
    assert picked(cross, [EVEN] * 4, 3, known=[0], candidates=[1, 2, 3]) == [2, 1, 3]
    assert picked(cross, [EVEN, EVEN, [0.9, 0.1], EVEN], 1, known=[0], candidates=[1, 2, 3]) == [3]
    # Each factor alone: of the same direction, the farther, the less decided, the one more like the rest.
    line = [[1.0, 0], [1.1, 0], [2.0, 0]]
    assert picked(line, [EVEN] * 3, 1, known=[0], candidates=[1, 2]) == [2]
    assert picked([[1, 0], [0, 1], [0, -1]], [EVEN, [0.6, 0.4], EVEN], 1, known=[0], candidates=[1, 2]) == [2]
    assert picked([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [EVEN] * 3, 1, [0], [1, 2], copies=[1, 1, 2]) == [2]


def test_without_anything_bought_the_first_is_the_design_s():
    points, probs = [[1, 0], [1, 0], [0, 1]], [EVEN] * 3
    assert picked(points, probs, 3) == [0, 2, 1]
    # What was bought and has no label, as a rejected row, counts in distances alone.
    assert picked(points, probs, 1, bought=[1]) == [2]


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n_points=st.integers(3, 12),
    width=st.integers(1, 5),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
)
def test_is_the_definition(seed, n_points, width, scale):
    rng = torch.Generator().manual_seed(seed)
    x = scale * torch.randn(n_points, width, generator=rng)
    x[-1] = x[0]
    p = torch.rand(n_points, 3, generator=rng, dtype=torch.float64) + 0.01
    p = p / p.sum(1, keepdim=True)
    copies = torch.randint(1, 4, (n_points,), generator=rng)
    candidates = torch.randperm(n_points, generator=rng)[: n_points - 1]
    known, ridge = [int(candidates[0])], 0.1
    picks = triple(
        x, p, n_points - 2, known=torch.tensor(known), candidates=candidates[1:], ridge=ridge, copies=copies
    )
    z = x.double() / x.double().square().sum(1).mean().sqrt()
    w, u = 1 - p.square().sum(1), 1 - p.sort(1).values[:, -1] + p.sort(1).values[:, -2]
    eye = ridge * torch.eye(width).double()

    def left(rows):
        a = (eye + (w[rows, None] * z[rows]).T @ z[rows]).inverse()
        return float((copies * w * (z @ a * z).sum(1)).sum())

    def worth(i):
        return (left(known) - left([*known, i])) * float((z[known] - z[i]).norm(dim=1).min() * u[i])

    rest = candidates[1:].tolist()
    for pick in picks.tolist():
        best = max(worth(i) for i in rest)
        assert worth(pick) == pytest.approx(best, rel=1e-6, abs=1e-7 * left(known))
        known, rest = [*known, pick], [i for i in rest if i != pick]


def test_kinds_of_arrays_and_what_is_refused():
    x, p = np.eye(3, dtype=np.float32), np.full((3, 2), 0.5)
    rest = {"known": np.array([0]), "candidates": np.array([1, 2]), "ridge": 0.1}
    assert isinstance(triple(x, p, 2, **rest), np.ndarray)
    with pytest.raises(ValueError, match=r"n=3: must be in 0\.\.2"):
        triple(x, p, 3, **rest)
    with pytest.raises(ValueError, match="probs_MC must hold probabilities"):
        triple(x, 10 * p, 1, **rest)
    with pytest.raises(ValueError, match="ridge=0"):
        triple(x, p, 1, **{**rest, "ridge": 0})
    with pytest.raises(BadInput, match=r"alg\.ridge=0: must be at least 1e-06"):
        Triple(0, None)
    with pytest.raises(BadInput, match=r"alg\.max_candidates=0: must be at least 1, or null"):
        Triple(0.1, 0)


def test_exact_copies_change_nothing():
    images = torch.randn(12, 2, generator=torch.Generator().manual_seed(2))
    few, many = Pool(images, torch.arange(12)), Pool(images, torch.arange(12).repeat_interleave(2).repeat(5))
    few.reveal(torch.tensor([0, 1]), torch.tensor([0, 1]))
    many.reveal(torch.tensor([0, 1, 2, 24]), torch.tensor([0, 1, 1, 2]))  # the same two images, twice each
    alg = strategy("triple")
    bought = [pool.source_N[alg.query(fitted_on(pool), pool, 6, stream(0, "query"))] for pool in (few, many)]
    assert torch.equal(*bought)


def test_the_order_of_rows_does_not_matter():
    pool = make_pool()
    order = torch.randperm(40, generator=stream(0, "order"))
    other = Pool(pool.images_M, order)
    place = order.argsort()
    other.reveal(place[:2], torch.tensor([0, 1]))
    alg = strategy("triple")
    ids = [alg.query(fitted_on(pool), which, 9, stream(0, "query")) for which in (pool, other)]
    assert pool.source_N[ids[0]].tolist() == other.source_N[ids[1]].tolist()


def test_near_copies_of_what_is_bought_do_not_draw_it_in():
    # Four hundred near copies of a labelled point, most of what is uncertain, and one point in each other direction.
    noise = 0.001 * torch.randn(400, 4, generator=torch.Generator().manual_seed(0))
    x = torch.cat([torch.cat([torch.ones(400, 1), noise], 1), torch.eye(5)[1:]])
    p = torch.full((404, 4), 0.25)
    rest = {"known": torch.tensor([0]), "candidates": torch.arange(1, 404), "ridge": 0.1}
    assert (greedy_design(x, gini(p), 4, **rest) < 400).all()
    assert (triple(x, p, 4, **rest) >= 400).all()


def test_chooses_among_random_candidates_on_large_pools():
    pool = make_pool(n=40)
    first = {int(Triple(0.1, 1).query(fitted_on(pool), pool, 1, stream(s, "q"))) for s in range(40)}
    assert len(first) > 15
    assert (
        len({int(Triple(0.1, None).query(fitted_on(pool), pool, 1, stream(s, "q"))) for s in range(9)}) == 1
    )
