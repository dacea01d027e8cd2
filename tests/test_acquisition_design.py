"""Greedy optimal design: worked by hand, against the definition, and at its edges."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hetal.acquisition import greedy_design


def design(points, weight, n, known=(), candidates=None, ridge=1.0, copies=None):
    points = torch.tensor(points, dtype=torch.float32)
    candidates = range(len(points)) if candidates is None else candidates
    return greedy_design(
        points,
        torch.tensor(weight, dtype=torch.float32),
        n,
        known=torch.tensor(list(known), dtype=torch.long),
        candidates=torch.tensor(list(candidates), dtype=torch.long),
        ridge=ridge,
        copies=None if copies is None else torch.tensor(copies),
    ).tolist()


CROSS = [[1, 0]] * 5 + [[0, 1]]


def test_by_hand():
    # Five points in one direction, one in another. With k of the five known, A is 1 / (1 + k) there, and the next of
    # them takes 5 A^2 / (1 + A) = 5 / ((1 + k)(2 + k)): 2.5, 0.83, 0.42. The lone point takes 1 / 2.
    assert design(CROSS, [1] * 6, 3) == [0, 1, 5]


def test_what_is_known_is_not_bought_again():
    assert design(CROSS, [1] * 6, 1, known=[0, 1], candidates=[2, 3, 4, 5]) == [5]  # 0.42 against 0.5
    assert design(CROSS, [1] * 6, 1, known=[0], candidates=[2, 3, 4, 5]) == [2]  # 0.83
    assert design(CROSS, [1] * 6, 1, known=[0, 0], candidates=[2, 3, 4, 5]) == [5]  # known twice


def test_copies_count_in_what_is_to_be_known():
    assert design([[1, 0], [0, 1]], [1, 1], 1) == [0]
    assert design([[1, 0], [0, 1]], [1, 1], 1, copies=[1, 3]) == [1]


def test_weights_count_as_need_and_as_information():
    # One point a direction: w^2 / (1 + w) grows with w.
    assert design([[1, 0], [0, 1]], [0.4, 0.5], 2) == [1, 0]
    assert design(CROSS, [0, 0, 0, 0, 0, 0.1], 1) == [5]


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n_points=st.integers(2, 12),
    width=st.integers(1, 5),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
)
def test_is_the_definition(seed, n_points, width, scale):
    rng = torch.Generator().manual_seed(seed)
    x = scale * torch.randn(n_points, width, generator=rng)
    w = torch.rand(n_points, generator=rng)
    copies = torch.randint(4, (n_points,), generator=rng)
    order = torch.randperm(n_points, generator=rng)
    known, candidates = order[: n_points // 3], order[n_points // 3 :]
    picks = greedy_design(x, w, len(candidates), known=known, candidates=candidates, ridge=0.3, copies=copies)
    assert sorted(picks.tolist()) == sorted(candidates.tolist())

    counted = copies > 0 if copies.any() else copies >= 0  # which the unit is of
    unit = x.double() / x.double()[counted].square().sum(1).mean().sqrt()

    def left(seen):
        information = 0.3 * torch.eye(width).double() + (w.double()[seen, None] * unit[seen]).T @ unit[seen]
        return float((copies * w * (unit @ information.inverse() * unit).sum(1)).sum())

    for k in range(len(picks)):
        after = [left(torch.cat([known, picks[:k], pick[None]])) for pick in picks[k:]]
        assert after[0] == pytest.approx(min(after), rel=1e-9, abs=1e-12)


def test_equal_points_are_picked_in_order_and_none_twice():
    assert design([[0.0, 0.0]] * 3, [1] * 3, 3) == [0, 1, 2]
    assert design([[2.0, 1.0]] * 4, [0.5] * 4, 4, candidates=[3, 1, 0, 2]) == [3, 1, 0, 2]
    assert design([[2.0, 1.0]] * 4, [0] * 4, 2, known=[0], candidates=[2, 3]) == [2, 3]


def test_is_accurate_after_many_picks():
    rng = torch.Generator().manual_seed(0)
    x, w = torch.randn(400, 20, generator=rng), torch.rand(400, generator=rng)
    some = torch.arange(400)
    once = greedy_design(x, w, 300, known=some[:0], candidates=some, ridge=1e-3)
    again = greedy_design(x, w, 100, known=once[:200], candidates=once[200:].sort().values, ridge=1e-3)
    assert torch.equal(once[200:], again)


@pytest.mark.parametrize("rank", [6, 16])
@pytest.mark.parametrize("ridge", [1e-6, 1e-3])
def test_a_small_ridge_does_not_leave_picks_to_rounding(ridge, rank):
    rng = torch.Generator().manual_seed(0)
    x, w = torch.randn(200, 16, generator=rng), torch.rand(200, generator=rng)
    x[:, rank:] = 0  # as of units that never fire
    some = torch.arange(200)
    picks = greedy_design(x, w, 100, known=some[:0], candidates=some, ridge=ridge)
    unit, w = x.double() / x.double().square().sum(1).mean().sqrt(), w.double()
    goal, information = unit.T @ (w[:, None] * unit), ridge * torch.eye(16).double()
    for k, pick in enumerate(picks):
        spread = unit @ information.inverse()
        takes = w * (spread @ goal * spread).sum(1) / (1 + w * (spread * unit).sum(1))
        takes[picks[:k]] = 0
        assert float(takes[pick]) == pytest.approx(float(takes.max()), rel=1e-6)
        information += w[pick] * unit[pick].outer(unit[pick])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"n": 7}, "n=7"),
        ({"n": -1}, "n=-1"),
        ({"ridge": 0.0}, "ridge=0.0"),
        ({"ridge": 1e-9}, "ridge=1e-09"),
        ({"weight": [1, 1, 1, 1, 1, -1]}, "weights 0 or more"),
        ({"weight": [1, 1, 1, 1, 1, float("nan")]}, "finite"),
        ({"points": [[float("inf"), 0]] * 6}, "finite"),
    ],
)
def test_refuses(wrong, says):
    with pytest.raises(ValueError, match=says):
        design(**({"points": CROSS, "weight": [1] * 6, "n": 1} | wrong))
