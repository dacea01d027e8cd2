"""k-means++ seeding: its law is the sequential algorithm's, enumerated exactly on pools small enough for that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare, ks_2samp
from sklearn.cluster import kmeans_plusplus as sklearn_kmeans_plusplus
from torch import Tensor

from hetal.acquisition import OuterProduct, kmeans_plusplus
from hetal.acquisition import seeding as module
from hetal.acquisition.shares import place_in, whole_shares

Law = dict[tuple[int, ...], float]

# When bounds are renewed: by the costs as they are, long after they should be, and after every rejection.
RENEWAL = {"by cost": (8000, 32), "seldom": (1, 20), "always": (10**12, 0)}


@pytest.fixture(params=RENEWAL)
def renewal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    candidate_cost, pass_cost = RENEWAL[request.param]
    monkeypatch.setattr(module, "_CANDIDATE_COST", candidate_cost)
    monkeypatch.setattr(module, "_PASS_COST", pass_cost)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def outer(points: OuterProduct) -> Tensor:
    r, h = points.factors
    return (r[:, :, None] * h[:, None, :]).flatten(1)


def sequential_law(points: Tensor, copies: list[int], n: int, first: str = "largest") -> Law:
    """Enumerate the textbook algorithm on the expanded pool: a row a copy, one centre at a time."""
    x = points.double().numpy()
    image = np.repeat(np.arange(len(x)), copies)
    between = ((x[image][:, None] - x[image]) ** 2).sum(2)
    norm = (x[image] ** 2).sum(1)
    law: Law = {}

    def go_on(rows: tuple[int, ...], prob: float) -> None:
        if len(rows) == n:
            picks = tuple(int(image[row]) for row in rows)
            law[picks] = law.get(picks, 0) + prob
            return
        if rows:
            mass = between[:, list(rows)].min(1)
        elif first == "largest":
            mass = np.eye(len(image))[norm.argmax()]
        else:
            mass = np.ones(len(image))
        if mass.sum() == 0:
            mass = np.array([row not in rows for row in range(len(image))], dtype=float)
        for row in mass.nonzero()[0]:
            go_on((*rows, int(row)), prob * mass[row] / mass.sum())

    go_on((), 1.0)
    assert sum(law.values()) == pytest.approx(1)
    return law


def assert_follows(law: Law, draw: Callable[[], Tensor], n_draws: int) -> None:
    """Chi-square test of `n_draws` draws; picks expected fewer than five times are counted together."""
    seen = Counter(tuple(draw().tolist()) for _ in range(n_draws))
    assert set(seen) <= set(law), "drew what has no probability"
    common = [picks for picks, prob in law.items() if prob * n_draws >= 5]
    observed = [seen[picks] for picks in common]
    expected = [law[picks] * n_draws for picks in common]
    if n_draws - sum(expected) > 1e-6:
        observed.append(n_draws - sum(observed))
        expected.append(n_draws - sum(expected))
    assert len(expected) == 1 or chisquare(observed, expected).pvalue > 1e-4


POOLS = {
    "plain": (torch.tensor([[0.0, 1], [2, 1], [-1, 3], [0, -2], [1.5, 0.5]]), [1, 1, 1, 1, 1]),
    "copies": (torch.tensor([[0.0, 1], [2, 1], [-1, 3], [0.1, 1]]), [3, 1, 2, 6]),
    "barred": (torch.tensor([[9.0, 9], [2, 1], [-1, 3], [0.1, 1]]), [0, 2, 1, 2]),
    "far cluster": (torch.tensor([[1e5, 0], [1e5, 1], [1e5, -2], [0, 0], [0, 1]]), [1, 1, 1, 1, 2]),
    "same rows": (torch.tensor([[1.0, 0], [1, 0], [1, 0], [0, 2], [0, 2]]), [1, 1, 2, 1, 1]),
}


@pytest.mark.usefixtures("renewal")
@pytest.mark.parametrize("pool", POOLS)
def test_law_is_the_sequential_one_in_small_batches(pool: str) -> None:
    points, copies = POOLS[pool]
    weights, generator = torch.tensor(copies), rng()
    n = 3 if pool != "same rows" else 2
    assert_follows(
        sequential_law(points, copies, n),
        lambda: kmeans_plusplus(points, n, generator, weights=weights, batch=2),
        300,
    )


@pytest.mark.parametrize("pool", POOLS)
def test_law_is_the_sequential_one_in_more_draws_from_a_sampled_start(pool: str) -> None:
    points, copies = POOLS[pool]
    weights, generator = torch.tensor(copies), rng(1)
    assert_follows(
        sequential_law(points, copies, 3, first="sampled"),
        lambda: kmeans_plusplus(points, 3, generator, weights=weights, first="sampled", batch=16),
        800,
    )


def test_law_of_outer_products_is_that_of_the_products() -> None:
    points = OuterProduct(torch.randn(5, 3, generator=rng(2)), torch.randn(5, 2, generator=rng(3)))
    generator = rng()
    law = sequential_law(outer(points), [1] * 5, 3)
    assert_follows(law, lambda: kmeans_plusplus(points, 3, generator, batch=16), 800)


def test_the_chi_square_test_can_fail() -> None:
    points, copies = POOLS["copies"]
    generator = rng()
    with pytest.raises(AssertionError):
        assert_follows(sequential_law(points, copies, 3), lambda: kmeans_plusplus(points, 3, generator), 1000)


def test_what_coincides_is_drawn_uniformly_without_replacement() -> None:
    points, copies, generator = torch.ones(3, 4), [2, 1, 3], rng()
    weights = torch.tensor(copies)
    law = sequential_law(points, copies, 4)
    assert {picks[0] for picks in law} == {0}
    assert_follows(law, lambda: kmeans_plusplus(points, 4, generator, weights=weights), 1000)


def test_two_points_are_picked_first_then_their_copies() -> None:
    generator, weights = rng(), torch.tensor([3_000_000, 1_000_000])
    picks = kmeans_plusplus(torch.tensor([[0.0], [1.0]]), 2000, generator, weights=weights)
    assert picks[:2].tolist() == [1, 0]
    assert chisquare(torch.bincount(picks[2:]), [1998 * 0.75, 1998 * 0.25]).pvalue > 1e-4


def test_weights_over_a_million_keep_the_law() -> None:
    points = torch.tensor([[0.0, 0], [3, 0], [1e-3, 0], [0, 1]])
    copies = [1, 1, 5_000_000, 1_000_000]
    mass = np.array([1 * 9.0, 0, copies[2] * (3 - 1e-3) ** 2, copies[3] * 10.0])
    generator = rng()
    law = {(1, k): mass[k] / mass.sum() for k in (0, 2, 3)}
    assert_follows(law, lambda: kmeans_plusplus(points, 2, generator, weights=torch.tensor(copies)), 1000)


def test_sampled_start_agrees_with_sklearn() -> None:
    points = torch.randn(6, 3, generator=rng(5))
    generator, n_draws = rng(), 1000
    ours = Counter(
        tuple(kmeans_plusplus(points, 2, generator, first="sampled", batch=16).tolist())
        for _ in range(n_draws)
    )
    x, state = points.numpy(), np.random.RandomState(0)
    theirs = Counter(
        tuple(sklearn_kmeans_plusplus(x, 2, random_state=state, n_local_trials=1)[1].tolist())
        for _ in range(n_draws)
    )
    table = [[count[picks] for picks in sorted(ours | theirs)] for count in (ours, theirs)]
    assert chi2_contingency(table).pvalue > 1e-4


def test_potential_agrees_with_the_sequential_algorithm_on_a_larger_pool() -> None:
    centers = torch.randn(30, 8, generator=rng(6)) * 3
    points = centers[torch.randint(30, (1500,), generator=rng(7))] + torch.randn(1500, 8, generator=rng(8))
    x = points.double()

    def sequential(seed: int) -> Tensor:
        generator, picks = rng(seed), [int(x.square().sum(1).argmax())]
        distance = (x - x[picks[0]]).square().sum(1)
        while len(picks) < 60:
            picks.append(int(torch.multinomial(distance, 1, generator=generator)))
            distance = distance.minimum((x - x[picks[-1]]).square().sum(1))
        return torch.tensor(picks)

    def potential(picks: Tensor) -> float:
        return float(torch.cdist(x, x[picks]).amin(1).square().sum())

    ours = [potential(kmeans_plusplus(points, 60, rng(seed))) for seed in range(80)]
    theirs = [potential(sequential(seed)) for seed in range(80)]
    assert ks_2samp(ours, theirs).pvalue > 1e-4


@pytest.mark.usefixtures("renewal")
def test_draws_do_not_depend_on_the_batch() -> None:
    points = torch.randint(-50, 50, (300, 4), generator=rng()).float()
    picks = [kmeans_plusplus(points, 40, rng(1), batch=batch).tolist() for batch in (1, 2, 7, 64, 1000)]
    assert all(other == picks[0] for other in picks)


def test_first_pick_is_the_largest_norm_that_has_weight() -> None:
    points = torch.tensor([[0.0, 1], [3, 4], [-5, 0], [9, 9], [4, 3]])
    weights = torch.tensor([1.0, 1, 1, 0, 1])
    assert int(kmeans_plusplus(points, 1, rng(), weights=weights)[0]) == 1


@pytest.mark.parametrize("offset", [0.0, 30.0, 1000.0])
def test_no_duplicate_is_picked_while_distinct_points_are_left(offset: float) -> None:
    distinct = torch.randn(60, 700, generator=rng()) + offset
    image = torch.arange(60).repeat(40)[torch.randperm(2400, generator=rng(1))]
    picks = kmeans_plusplus(distinct[image], 80, rng(2))
    assert image[picks[:60]].unique().numel() == 60
    assert picks.unique().numel() == 80


def test_no_duplicate_outer_product_is_picked_while_distinct_ones_are_left() -> None:
    r, h = torch.randn(60, 10, generator=rng()), torch.rand(60, 300, generator=rng(1)) + 5
    image = torch.arange(60).repeat(40)[torch.randperm(2400, generator=rng(2))]
    assert image[kmeans_plusplus(OuterProduct(r[image], h[image]), 60, rng(3))].unique().numel() == 60


def test_points_far_smaller_than_the_first_are_told_apart() -> None:
    small = torch.randn(50, 8, generator=rng()) * 1e-12
    points = torch.cat([torch.full((1, 8), 1e6), small])
    assert kmeans_plusplus(points, 51, rng(1)).unique().numel() == 51


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    grid=st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=1, max_size=12),
    copies=st.lists(st.integers(0, 4), min_size=12, max_size=12),
    share=st.floats(0, 1),
    first=st.sampled_from(["largest", "sampled"]),
    batch=st.integers(1, 9),
    seed=st.integers(0, 2**31),
)
def test_invariants(grid, copies, share, first, batch, seed) -> None:  # type: ignore[no-untyped-def]
    points, weights = torch.tensor(grid).float(), torch.tensor(copies[: len(grid)])
    n = int(share * int(weights.sum()))
    picks = kmeans_plusplus(points, n, rng(seed), weights=weights, first=first, batch=batch)
    again = kmeans_plusplus(points, n, rng(seed), weights=weights, first=first, batch=batch)
    assert picks.shape == (n,)
    assert picks.dtype == torch.int64
    assert torch.equal(picks, again)
    assert bool((torch.bincount(picks, minlength=len(points)) <= weights).all())
    n_distinct = len({grid[k] for k in range(len(grid)) if weights[k]})
    assert len({grid[k] for k in picks.tolist()}) == min(n, n_distinct)
    assert len({grid[k] for k in picks[:n_distinct].tolist()}) == min(n, n_distinct)


def test_shares_are_whole_and_what_has_no_mass_has_none() -> None:
    mass = torch.tensor([0, 0, 1, 0, 2, 0, 1e-30], dtype=torch.float64)
    shares, unit = whole_shares(mass)
    assert (shares * unit).tolist() == pytest.approx([0, 0, 1, 0, 2, 0, float(unit)], rel=1e-15)
    assert shares[-1] == 1
    assert unit == 2.0**-50  # 2 of 2^51
    ends = shares.cumsum(0)
    place = torch.tensor([0, 1 / 3 - 1e-12, 1 / 3 + 1e-12, 1 - 2**-50, 1 - 2**-53, 1], dtype=torch.float64)
    located = torch.searchsorted(ends, place_in(ends[-1], place), right=True)
    assert located.tolist() == [2, 2, 4, 4, 6, 6]


@pytest.mark.parametrize("scale", [1e-320, 1e-300, 1e300])
def test_shares_of_masses_of_any_size(scale: float) -> None:
    mass = torch.tensor([[0, 1, 3], [0, 0, 0]], dtype=torch.float64) * scale
    shares, unit = whole_shares(mass)
    assert shares[:, 0].tolist() == [0, 0] == shares[1, 1:].tolist()
    assert float(shares[0, 2] / shares[0, 1]) == pytest.approx(3, rel=1e-3)
    assert (unit > 0).tolist() == [True, False]


@pytest.mark.parametrize("scale", [1e-156, 1e-160, 1e150])
def test_points_of_any_size_are_drawn(scale: float) -> None:
    points = torch.tensor([[0.0], [1.0], [2.0], [9.0]], dtype=torch.float64) * scale
    picks = [kmeans_plusplus(points, 2, rng(seed), first="largest").tolist() for seed in range(300)]
    # From 9: distances 81, 64, 49 of 194.
    shares = [sum(pick == [3, k] for pick in picks) / 300 for k in range(3)]
    assert shares == pytest.approx([81 / 194, 64 / 194, 49 / 194], abs=0.1)


@pytest.mark.parametrize("as_outer", [False, True])
def test_points_may_live_in_a_file(tmp_path, as_outer: bool) -> None:  # type: ignore[no-untyped-def]
    h, r = torch.randn(3000, 16, generator=rng()), torch.randn(3000, 4, generator=rng(1))
    mapped = np.memmap(tmp_path / "features", dtype=np.float32, mode="w+", shape=(3000, 16))
    mapped[:] = h.numpy()
    on_disk = torch.from_numpy(mapped)
    points = (OuterProduct(r, h), OuterProduct(r, on_disk)) if as_outer else (h, on_disk)
    in_memory, from_file = (kmeans_plusplus(each, 200, rng(2)) for each in points)
    assert torch.equal(in_memory, from_file)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int32])
def test_other_precisions_draw_the_same(dtype: torch.dtype) -> None:
    points = torch.randint(-50, 50, (200, 4), generator=rng())
    expected = kmeans_plusplus(points.float(), 30, rng(1))
    assert torch.equal(kmeans_plusplus(points.to(dtype), 30, rng(1)), expected)


def test_gradients_are_not_tracked() -> None:
    points = torch.randn(20, 3, generator=rng()).requires_grad_()
    assert not kmeans_plusplus(points, 5, rng()).requires_grad


@pytest.mark.parametrize(
    ("points", "n", "options", "message"),
    [
        (torch.ones(3, 2), 4, {}, "n=4: must be in 0..3"),
        (torch.ones(3, 2), -1, {}, "n=-1"),
        (torch.ones(3, 2), 4, {"weights": torch.tensor([1, 2, 0])}, "n=4: must be in 0..3"),
        (torch.ones(3, 2), 1, {"weights": torch.tensor([1, -1, 2])}, "weights must be whole"),
        (torch.ones(3, 2), 1, {"weights": torch.tensor([1, 0.5, 2])}, "weights must be whole"),
        (torch.ones(3, 2), 1, {"weights": torch.tensor([1, torch.nan, 2])}, "weights must be whole"),
        (torch.ones(3, 2), 1, {"weights": torch.ones(2)}, "one for each point"),
        (torch.tensor([[1.0], [torch.nan]]), 1, {}, "NaN, infinity"),
        (torch.tensor([[1.0], [torch.inf]]), 1, {}, "NaN, infinity"),
        (torch.tensor([[1.0], [1e30]]), 1, {}, "NaN, infinity"),
        (torch.ones(3), 1, {}, "must be one or two matrices"),
        (torch.ones(3, 2), 1, {"first": "any"}, "first='any'"),
    ],
)
def test_mistakes_are_named(points: Tensor, n: int, options: dict, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ValueError, match=message):
        kmeans_plusplus(points, n, rng(), **options)


def test_factors_must_have_equally_many_rows() -> None:
    with pytest.raises(ValueError, match="equally many rows, not 3 and 4"):
        OuterProduct(torch.ones(3, 2), torch.ones(4, 2))


def test_nothing_is_picked_from_nothing() -> None:
    assert kmeans_plusplus(torch.empty(0, 3), 0, rng()).shape == (0,)
