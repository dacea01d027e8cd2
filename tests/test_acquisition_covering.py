"""Greedy k-centre: the picks are those of the sequential algorithm, one after the other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hetal.acquisition import OuterProduct, k_center
from hetal.acquisition import covering as module
from hetal.acquisition.points import as_points, nearest, upper_bounds


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sequential(points: Tensor, n: int, centers: Tensor | None = None) -> tuple[list[int], int]:
    """Return the textbook picks, distances in float64 by differences, and how many lay at a positive distance."""
    x = points.double().numpy()
    picks: list[int] = []
    if centers is None:
        picks, distance = [0], ((x - x[0]) ** 2).sum(1)
    else:
        distance = np.min([((x - c) ** 2).sum(1) for c in centers.double().numpy()], axis=0)
    while len(picks) < n and distance.max() > 0:
        picks.append(int(distance.argmax()))
        distance = np.minimum(distance, ((x - x[picks[-1]]) ** 2).sum(1))
    n_apart = len(picks)
    picks += [k for k in range(len(x)) if k not in picks][: n - n_apart]
    return picks, n_apart


def outer(r: Tensor, h: Tensor) -> Tensor:
    return (r.double()[:, :, None] * h.double()[:, None, :]).flatten(1)


@pytest.fixture(params=["by cost", "never", "always"])
def renewal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """When bounds are renewed."""
    monkeypatch.setattr(
        module, "_PASS_COST", {"by cost": 32, "never": 10**12, "always": -(10**12)}[request.param]
    )


def check(points: Tensor, n: int, centers: Tensor | None, batch: int) -> None:
    expected, n_apart = sequential(points, n, centers)
    assert k_center(points, n, centers=centers, batch=batch).tolist() == expected
    assert k_center(points, n, centers=centers, batch=batch, fill=False).tolist() == expected[:n_apart]


@pytest.mark.usefixtures("renewal")
@pytest.mark.parametrize("batch", [1, 7, 1024])
@pytest.mark.parametrize("n_centers", [0, 1, 40])
def test_picks_are_the_sequential_ones_on_random_points(n_centers: int, batch: int) -> None:
    points = torch.randn(400, 9, generator=rng())
    centers = torch.randn(n_centers, 9, generator=rng(1)) if n_centers else None
    check(points, 120, centers, batch)


@pytest.mark.usefixtures("renewal")
@pytest.mark.parametrize("batch", [1, 7, 1024])
def test_picks_are_the_sequential_ones_on_tied_grids(batch: int) -> None:
    points = torch.randint(0, 4, (200, 3), generator=rng(2)).float()
    check(points, 150, None, batch)
    check(points, 150, torch.tensor([[1.0, 1, 1], [2, 0, 3]]), batch)


@pytest.mark.usefixtures("renewal")
@pytest.mark.parametrize("batch", [5, 1024])
def test_picks_are_the_sequential_ones_among_copies(batch: int) -> None:
    distinct = torch.randn(50, 300, generator=rng(3)) + 4
    points = distinct[torch.randint(50, (600,), generator=rng(4))]
    check(points, 100, None, batch)
    check(points, 100, distinct[:20], batch)


def test_picks_are_the_sequential_ones_on_outer_products() -> None:
    r, h = torch.randn(300, 4, generator=rng(5)), torch.randn(300, 6, generator=rng(6))
    centers = OuterProduct(torch.randn(30, 4, generator=rng(7)), torch.randn(30, 6, generator=rng(8)))
    expected, _ = sequential(outer(r, h), 80, outer(*centers.factors))
    assert k_center(OuterProduct(r, h), 80, centers=centers, batch=16).tolist() == expected


@pytest.mark.parametrize("n_centers", [600, 1500])
def test_more_points_and_centers_than_fit_a_tile(n_centers: int) -> None:
    points = torch.randn(5000, 16, generator=rng(9)).relu() + 1
    centers = torch.randn(n_centers, 16, generator=rng(10)).relu() + 1
    check(points, 200, centers, 64)


@pytest.mark.parametrize("as_outer", [False, True])
@pytest.mark.parametrize("offset", [0.0, 3.0, 100.0])
def test_bounds_are_never_under_the_truth_and_zero_only_with_it(offset: float, as_outer: bool) -> None:
    h, r = torch.randn(4000, 50, generator=rng(12)) + offset, torch.randn(4000, 3, generator=rng(13))
    points = OuterProduct(r, h) if as_outer else as_points(h)
    centers = points[::5]
    bound, truth = upper_bounds(points, points.sq_norms(), centers), nearest(points, centers)
    assert bool((bound >= truth * (1 - 1e-9)).all())
    assert torch.equal(bound == 0, truth == 0)
    assert int((truth == 0).sum()) == 800
    assert bool(
        (bound <= truth + 4 * points.rounding() * (points.sq_norms() + centers.sq_norms().max())).all()
    )


def test_far_clusters_do_not_blur_near_ones() -> None:
    near = torch.randn(100, 8, generator=rng(11))
    points = torch.cat([near, near + 1e6, near * 1e-3 - 1e3])
    check(points, 60, None, 16)
    check(points, 60, points[[0, 150, 250]], 1024)


def test_hand_computed_line() -> None:
    points = torch.tensor([[0.0], [1], [4], [9], [10]])
    assert k_center(points, 5).tolist() == [0, 4, 2, 1, 3]
    assert k_center(points, 2, centers=torch.tensor([[10.0], [0]])).tolist() == [2, 1]


def test_without_fill_only_what_is_apart_comes_back() -> None:
    points = torch.tensor([[1.0, 0], [0, 1], [1, 0], [0, 1], [5, 5]])
    assert k_center(points, 4, centers=points[:1], fill=False).tolist() == [4, 1]
    assert k_center(points, 4, centers=points[:1]).tolist() == [4, 1, 0, 2]
    assert k_center(torch.ones(3, 2), 3, fill=False).tolist() == [0]
    assert k_center(torch.ones(3, 2), 2, centers=torch.ones(1, 2), fill=False).tolist() == []


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    grid=st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=1, max_size=25),
    given_points=st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), max_size=4),
    share=st.floats(0, 1),
    batch=st.integers(1, 9),
)
def test_any_grid(grid, given_points, share, batch) -> None:  # type: ignore[no-untyped-def]
    points, n = torch.tensor(grid).float(), round(share * len(grid))
    picks = k_center(points, n, centers=torch.tensor(given_points).float().view(-1, 2), batch=batch)
    assert picks.dtype == torch.int64
    assert len(set(picks.tolist())) == n
    if n:
        assert (
            picks.tolist() == sequential(points, n, torch.tensor(given_points) if given_points else None)[0]
        )


def test_points_and_centers_may_live_in_a_file(tmp_path) -> None:  # type: ignore[no-untyped-def]
    points, centers = torch.randn(3000, 16, generator=rng()), torch.randn(700, 16, generator=rng(1))
    on_disk = []
    for name, values in (("points", points), ("centers", centers)):
        mapped = np.memmap(tmp_path / name, dtype=np.float32, mode="w+", shape=tuple(values.shape))
        mapped[:] = values.numpy()
        on_disk.append(torch.from_numpy(mapped))
    expected = k_center(points, 100, centers=centers)
    assert torch.equal(k_center(on_disk[0], 100, centers=on_disk[1]), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int32])
def test_other_precisions_pick_the_same(dtype: torch.dtype) -> None:
    points = torch.randint(-50, 50, (200, 4), generator=rng())
    expected = k_center(points.float(), 50, centers=points[:3].float())
    assert torch.equal(k_center(points.to(dtype), 50, centers=points[:3].to(dtype)), expected)
    assert torch.equal(k_center(points.to(dtype), 50, centers=points[:3].double()), expected)


@pytest.mark.parametrize(
    ("points", "n", "centers", "message"),
    [
        (torch.ones(3, 2), 4, None, "n=4: must be in 0..3"),
        (torch.ones(3, 2), -1, None, "n=-1"),
        (torch.ones(3, 2), 1, torch.ones(2, 3), "width"),
        (torch.ones(3, 2), 1, OuterProduct(torch.ones(2, 2), torch.ones(2, 2)), "width"),
        (torch.tensor([[1.0], [torch.nan]]), 1, None, "points hold NaN"),
        (torch.ones(3, 1), 1, torch.tensor([[torch.inf]]), "centers hold NaN"),
    ],
)
def test_mistakes_are_named(points: Tensor, n: int, centers: Tensor | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        k_center(points, n, centers=centers)
