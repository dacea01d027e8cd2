"""MaxHerding, UHerding and noise-aware sampling: picks against plain evaluation, odd pools, what they remember."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hetal.acquisition import (
    believed,
    best_temperature,
    calibration_error,
    distances_to_nearest,
    kernel_cover,
    max_herding,
    rms_distance,
)
from hetal.acquisition import herding as module
from hetal.acquisition.lazy import leaders_of
from hetal.algs import NAS, MaxHerding, QueryStrategy, UHerding
from hetal.errors import BadInput
from hetal.pool import Pool
from hetal.record.schema import REJECT
from hetal.rng import stream
from hetal.testing import check_strategy
from tests.test_algs import fitted_on


def gains(x, weights, centers, bandwidth):
    """What each point would add to the coverage of all, by the definition: loops over pairs of rows."""

    def kernel(a, b):
        return math.exp(-sum((float(p) - float(q)) ** 2 for p, q in zip(a, b, strict=True)) / bandwidth**2)

    covered = [max((kernel(c, y) for c in centers), default=0.0) for y in x]
    return [
        sum(w * max(kernel(z, y) - c, 0.0) for y, w, c in zip(x, weights, covered, strict=True)) for z in x
    ]


def check_picks(picks, x, n, weights, centers, bandwidth):
    """Each pick has the largest gain of all, after those before it; none is missing while there is anything to gain."""
    chosen = list(centers)
    total = sum(weights)
    for pick in picks:
        gain = gains(x, weights, chosen, bandwidth)
        assert gain[pick] >= max(gain) * (1 - 1e-9) > 0
        assert x[pick] not in x[:pick]  # of equal points the first
        chosen.append(x[pick])
    if len(picks) < n:
        assert max(gains(x, weights, chosen, bandwidth), default=0) <= 1e-9 * total


@pytest.fixture(params=["by cost", "never", "always"])
def renewal(request, monkeypatch):
    """When bounds are renewed, in tiles and batches far smaller than the points."""
    when = {"by cost": 0.5, "never": 10**9, "always": -1}[request.param]
    monkeypatch.setattr(module, "_EXACT", 2)
    monkeypatch.setattr(module, "_FEWEST", 3)
    monkeypatch.setattr(module, "_RENEWAL", when)
    monkeypatch.setattr(kernel_cover, "SIDE", {"cpu": 7})
    monkeypatch.setattr(kernel_cover, "NUMBERS", 20)


@pytest.mark.usefixtures("renewal")
@settings(max_examples=25, deadline=None, derandomize=True)
@given(data=st.data())
def test_picks_are_those_of_plain_evaluation(data):
    whole = data.draw(st.booleans())  # then points coincide, and gains tie
    value = st.integers(-2, 2) if whole else st.floats(-3, 3, width=32)
    width = data.draw(st.integers(1, 3))
    rows = st.lists(value, min_size=width, max_size=width)
    x = torch.tensor(data.draw(st.lists(rows, min_size=1, max_size=14)), dtype=torch.float32)
    centers = torch.tensor(data.draw(st.lists(rows, max_size=3)), dtype=torch.float32).reshape(-1, width)
    weights = torch.tensor(data.draw(st.lists(st.integers(0, 5), min_size=len(x), max_size=len(x))))
    bandwidth = data.draw(st.sampled_from([0.1, 1.0, 4.0, 100.0]))
    n = data.draw(st.integers(0, len(x)))
    picks = max_herding(x, n, bandwidth=bandwidth, weights=weights, centers=centers)
    assert len(picks.unique()) == len(picks) <= n
    check_picks(picks.tolist(), x.tolist(), n, weights.tolist(), centers.tolist(), bandwidth)
    assert np.array_equal(
        max_herding(
            x.numpy(), n, bandwidth=bandwidth, weights=weights.numpy(), centers=centers.double().numpy()
        ),
        picks,
    )


@pytest.mark.parametrize("bandwidth", [0.5, 3.0])
def test_picks_on_many_points_are_the_greedy_ones_in_float64(bandwidth):
    rng = stream(0, "x")
    middles = 3 * torch.randn(30, 12, generator=rng)
    x = middles[torch.randint(30, (900,), generator=rng)] + torch.randn(900, 12, generator=rng) / 2 + 50
    weights = torch.rand(900, generator=rng)
    centers = x[:5] + 0.1
    kernel = torch.exp(-(torch.cdist(x.double(), x.double()) ** 2) / bandwidth**2)
    covered = torch.exp(-(torch.cdist(x.double(), centers.double()) ** 2) / bandwidth**2).amax(1)
    picks = max_herding(x, 40, bandwidth=bandwidth, weights=weights, centers=centers)
    for pick in picks.tolist():
        gain = (kernel - covered).clamp(min=0) @ weights.double()
        assert gain[pick] >= gain.max() * (1 - 1e-9)
        covered = covered.maximum(kernel[pick])


def test_bounds_are_upper_bounds_and_tight():
    x = torch.randn(50, 7, generator=stream(0, "x")) + 1000
    weights = torch.rand(50, generator=stream(0, "weights"))
    cover = kernel_cover.cover_of(kernel_cover.OuterProduct(x), 5.0, weights, x[:3])
    exact = cover.gains(cover.kernel(torch.arange(50)))
    for bound in (cover.upper_bounds(), cover.upper_bounds_of(torch.arange(50))):
        assert (bound >= exact).all()
        torch.testing.assert_close(bound, exact, rtol=2e-4, atol=1e-4)
    cover.covered_M.fill_(1)
    assert not cover.upper_bounds().any()
    leaders, rest = leaders_of(exact, 4)
    assert rest[0] == exact.sort().values[-5]
    assert leaders.tolist() == sorted(exact.topk(4).indices.tolist())


def test_scales_of_features():
    x = torch.tensor([[0.0, 0], [3, 4], [3, 4], [0, 1]])
    pairs = [25, 25, 1, 0, 18, 18]
    assert rms_distance(x) == pytest.approx((sum(pairs) / 6) ** 0.5)
    assert (
        rms_distance(x[:1]) == rms_distance(torch.full((40, 3), 1e5)) == rms_distance(torch.zeros(0, 3)) == 1
    )
    assert rms_distance(x + 1e3) == pytest.approx(rms_distance(x), rel=1e-3)
    assert distances_to_nearest(x).tolist() == pytest.approx([1, 18**0.5, 18**0.5, 1])
    assert distances_to_nearest(torch.ones(2, 3)).tolist() == [math.inf, math.inf]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 4}, "n=4: must be in 0..3"),
        ({"bandwidth": 0.0}, r"bandwidth=0.0: must be above 0"),
        ({"bandwidth": math.nan}, "bandwidth=nan: must be above 0"),
        ({"weights": torch.tensor([1.0, -1, 0])}, "weights must be finite, and 0 or more"),
        ({"weights": torch.ones(2)}, "one for each point"),
        ({"centers": torch.ones(2, 5)}, r"centers must be \(L, 2\)"),
        ({"centers": torch.full((1, 2), math.inf)}, "centers hold NaN"),
        ({"points": torch.full((3, 2), math.nan)}, "points hold NaN"),
    ],
)
def test_mistakes_are_named(options, message):
    options = {"points": torch.ones(3, 2), "n": 1, "bandwidth": 1.0} | options
    with pytest.raises(ValueError, match=message):
        max_herding(options.pop("points"), options.pop("n"), **options)


def test_calibration_error_by_hand_and_the_temperature_that_makes_it_least():
    probs = torch.tensor([[0.9, 0.1], [0.7, 0.3], [0.4, 0.6], [1.0, 0.0]])
    labels = torch.tensor([0, 1, 1, 0])
    # In (0.5, 0.75]: confidences 0.7 and 0.6, one right; above: 0.9 and 1, both right.
    assert calibration_error(probs, labels, 4) == pytest.approx(0.5 * abs(0.5 - 0.65) + 0.5 * abs(1 - 0.95))
    rng = stream(0, "x")
    logits = torch.randn(4000, 3, generator=rng)
    labels = torch.multinomial(logits.softmax(1), 1, generator=rng).squeeze(1)
    temperatures = [1 + step / 10 for step in range(190)]
    assert best_temperature(5 * logits, labels, temperatures, 10) == pytest.approx(5, rel=0.15)
    assert best_temperature(torch.zeros(3, 2), torch.zeros(3).long(), [2.0, 3.0], 2) == 2
    with pytest.raises(ValueError, match="one label for each"):
        calibration_error(probs, labels, 4)


def copies_pool(bought=(0, 1, 2), labels=(0, 1, 1), n=14):
    images = torch.randn(n, 2, generator=stream(0, "images"))
    pool = Pool(images, torch.arange(n).repeat_interleave(torch.arange(n) % 4 + 1))
    pool.reveal(torch.tensor(bought), torch.tensor(labels))
    return pool


def unit(x):
    return x / x.norm(dim=1, keepdim=True).clamp(min=1e-30)


@pytest.mark.parametrize("features", ["trained", "given"])
def test_maxherding_is_greedy_coverage_of_rows(features):
    pool = copies_pool()
    fitted = fitted_on(pool)
    images = fitted.features_MD if features == "trained" else fitted.given_MD
    h = unit(images.double())
    pairs = torch.pdist(h).square()
    bandwidth = 0.5 * float(pairs.mean().sqrt())
    ids = MaxHerding(features, True, 0.5, None).query(fitted, pool, 6, stream(0, "query"))
    rows = h[pool.source_N].tolist()  # every row of the pool, labelled ones too
    chosen = [rows[i] for i in pool.labelled_ids().tolist()]
    for i in ids.tolist():
        gain = gains(rows, [1] * len(rows), chosen, bandwidth)
        assert gain[i] >= max(gain) * (1 - 1e-4)  # features are float32
        chosen.append(rows[i])


def test_maxherding_buys_no_image_twice_while_others_are_left():
    pool = copies_pool()
    ids = MaxHerding("trained", False, 1.0, None).query(fitted_on(pool), pool, 20, stream(0, "query"))
    shown = pool.source_N[ids].tolist()
    assert len(set(shown[:12])) == 12
    assert not {0, 1} & set(shown[:12])  # they are labelled already


def test_maxherding_breaks_ties_at_random_and_looks_at_some_images_only():
    pool = Pool(torch.zeros(20, 2), torch.arange(20))
    pool.reveal(torch.tensor([0]), torch.tensor([0]))
    alg = MaxHerding("given", True, 1.0, None)
    assert len({int(alg.query(fitted_on(pool), pool, 1, stream(s, "query"))) for s in range(40)}) > 12
    pool = copies_pool()
    few = MaxHerding("given", True, 1.0, 1)
    assert len({int(few.query(fitted_on(pool), pool, 1, stream(s, "query"))) for s in range(40)}) > 8
    assert len(few.query(fitted_on(pool), pool, 30, stream(0, "query")).unique()) == 30


def test_uherding_covers_what_is_uncertain_once_it_can_calibrate():
    pool = copies_pool()
    fitted = fitted_on(pool)
    alg = UHerding("trained", True, 0.5, None)
    assert alg.temperature(pool) is None  # nothing is held out
    labelled = unit(fitted.features_MD.double())[:2]
    assert alg.scale(unit(fitted.features_MD), pool) == pytest.approx(float(torch.pdist(labelled)), rel=1e-4)
    first = alg.query(fitted, pool, 4, stream(0, "query"))
    images, logits = alg.state_dict()["images"], alg.state_dict()["logits"]
    assert images.tolist() == pool.source_N[first].tolist()
    assert torch.equal(logits, fitted.logits_MC[images])
    answers = torch.tensor([0, REJECT, 2, 2])
    pool.reveal(first, answers)
    seen = answers >= 0
    expected = best_temperature(logits[seen], answers[seen], [1 + s / 10 for s in range(190)], 3)
    assert alg.temperature(pool) == expected
    left = torch.arange(14)
    p = (fitted.logits_MC.double() / expected).softmax(1).sort(descending=True).values
    torch.testing.assert_close(alg.weights(fitted, pool, left), 1 - (p[:, 0] - p[:, 1]))
    reloaded = UHerding("trained", True, 0.5, None)
    reloaded.load_state_dict(alg.state_dict())
    queries = [a.query(fitted, pool, 5, stream(1, "query")).tolist() for a in (alg, reloaded)]
    assert queries[0] == queries[1]


def test_the_bandwidth_of_uherding_is_a_quantile_that_copies_do_not_make_0():
    images = torch.tensor([[0.0, 0], [0, 0], [0, 1], [0, 3], [9, 9]])
    pool = Pool(images, torch.arange(5))
    pool.reveal(torch.arange(4), torch.zeros(4).long())
    scales = {q: UHerding("given", False, q, None).scale(images, pool) for q in (0, 0.5, 1)}
    assert scales == {0: 1, 0.5: 1, 1: 2}
    same = Pool(torch.ones(3, 2), torch.arange(3))
    assert UHerding("given", False, 0, None).scale(torch.ones(3, 2), same) == 1


def test_labels_are_believed_that_models_trained_on_other_labels_predict():
    rng = stream(0, "x")
    labels = torch.randint(3, (90,), generator=rng)
    points = 4 * torch.eye(3)[labels] + torch.randn(90, 3, generator=rng) / 3
    wrong = labels.clone()
    wrong[:9] = (labels[:9] + 1) % 3
    is_believed = believed(points, wrong, 3, stream(0, "f"))
    assert is_believed.tolist() == [False] * 9 + [True] * 81
    assert believed(points.numpy(), wrong.numpy(), 3, stream(0, "f")).tolist() == is_believed.tolist()
    # A label that other folds do not hold is not voted on; of rows fewer than folds all are believed.
    assert believed(points[:4], torch.arange(4), 3, stream(0, "f")).all()
    assert believed(points[:2], wrong[:2], 3, stream(0, "f")).all()
    assert believed(torch.ones(9, 2), wrong[:9], 3, stream(0, "f")).shape == (9,)
    with pytest.raises(ValueError, match="folds=1: must be at least 2"):
        believed(points, wrong, 1, stream(0, "f"))


class Sees(QueryStrategy):
    """Notes the pool that it sees, in a place that is no state of its own."""

    def __init__(self, seen):
        self.seen = seen

    def query(self, fitted, pool, n, rng):
        self.seen.append(pool)
        return pool.unlabelled_ids()[:n]


def test_nas_hides_labelled_rows_that_are_not_believed():
    labels = torch.arange(60) % 3
    images = 4 * torch.eye(3)[labels] + torch.randn(60, 3, generator=stream(0, "x")) / 3
    pool = Pool(images, torch.cat([torch.arange(60), torch.arange(5)]))
    sold = labels.clone()
    sold[:4] = (labels[:4] + 1) % 3
    sold[4] = REJECT
    pool.reveal(torch.arange(40), sold[:40])
    seen = []
    fitted = fitted_on(Pool(torch.zeros(60, 2), torch.arange(60)))
    fitted.given_MD = images
    ids = NAS(Sees(seen), "given", 3).query(fitted, pool, 3, stream(0, "query"))
    (part,) = seen
    assert part.source_N[part.labelled_ids()].tolist() == list(range(5, 40))
    assert part.source_N[part.rejected_ids()].tolist() == [4]
    assert part.source_N[part.unlabelled_ids()].tolist() == [*range(40, 60), *range(5)]
    assert ids.tolist() == [40, 41, 42]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: MaxHerding("own", True, 1.0, None), "features=own"),
        (lambda: MaxHerding("given", True, 0.0, None), r"bandwidth=0.0 of herding: must be at least 1e-06"),
        (lambda: MaxHerding("given", True, 1.0, 0), "max_images=0 of herding: must be at least 1, or null"),
        (lambda: UHerding("given", True, 1.5, None), r"alg.quantile=1.5: must be in 0..1"),
        (lambda: NAS(MaxHerding("given", True, 1.0, None), "given", 1), "alg.folds=1: must be at least 2"),
    ],
)
def test_settings_are_checked(make, said):
    with pytest.raises(BadInput, match=said):
        make()


@pytest.mark.parametrize(
    "alg",
    [
        MaxHerding("given", True, 1.0, None),
        UHerding("trained", True, 0.5, None),
        NAS(UHerding("both", False, 0.0, 3), "given", 3),
    ],
)
def test_they_keep_the_contract(alg):
    check_strategy(alg, seeds=[0])
