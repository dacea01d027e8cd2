"""Noise that changes labels in place, against its definition: labels by class, input, region, annotator and vote."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from scipy.stats import beta, chi2, kstest, truncnorm
from torch import Tensor

from hetal.errors import BadInput
from hetal.experiment import corrupted
from hetal.noise import NoisyPool, asymmetric_noise, corrupt
from hetal.noise.instance import truncated_normal
from hetal.noise.regional import _rates
from hetal.noise.rows import categorical
from hetal.rng import draw_seed, stream
from hetal.task import Examples, Task

CONF = Path(__file__).parents[1] / "conf"
SETTINGS = ("symmetric", "asymmetric", "pair", "instance", "human", "votes", "regional")
WITH_RATE = ("symmetric", "asymmetric", "pair", "instance", "regional")
SEED = 1


def train_set(n: int = 20_000, n_classes: int = 10, shape=(2,), dtype=torch.float32) -> Examples:
    """Images of any range, labels of unequal classes, three annotators and votes."""
    rng = torch.Generator().manual_seed(5)
    labels = torch.randint(n_classes, (n, 2), generator=rng).amin(1)
    images = (torch.rand(n, *shape, generator=rng) * 255).to(dtype)
    people = {
        name: torch.where(
            torch.rand(n, generator=rng) < 0.3, torch.randint(n_classes, (n,), generator=rng), labels
        )
        for name in ("human_worst", "human_b", "human_c")
    }
    votes = torch.randint(4, (n, n_classes), generator=rng).float()
    votes[torch.arange(n), labels] += 2
    return Examples(images, labels, {**people, "votes": votes})


def noise_of(setting: str, **changes):
    """The setting as its YAML and Hydra give it."""
    config = OmegaConf.load(CONF / "noise" / f"{setting}.yaml")
    config.pop("name", None)
    return instantiate(OmegaConf.merge(config, changes), _convert_="all")


def make(setting: str, train: Examples, n_classes: int = 10, **changes) -> NoisyPool:
    return corrupt(noise_of(setting, **changes), train, n_classes, SEED)


def draws(pool: NoisyPool, rows: Tensor, rng: torch.Generator) -> Tensor:
    assert pool.parts is not None
    draw = pool.parts.draws[1]
    assert draw is not None
    return draw(rows, rng)


def agrees(labels: Tensor, group: Tensor, probs_NC: Tensor) -> bool:
    """Pearson's chi-square of the labels of each group of rows; a label of probability 0 never occurs."""
    shape = (int(group.max()) + 1, probs_NC.shape[1])
    expected = torch.zeros(shape, dtype=torch.float64).index_add_(0, group, probs_NC.double())
    one = torch.ones(1, dtype=torch.float64)
    seen = torch.zeros(shape, dtype=torch.float64).index_put_((group, labels), one, accumulate=True)
    possible = expected > 0
    assert not bool(seen[~possible].any())
    some = expected >= 5  # fewer are no chi-square
    assert float(expected[some].sum()) > 0.9 * len(labels)
    statistic = float(((seen - expected).square() / expected)[some].sum())
    is_whole = (some == possible).all(1) & some.any(1)
    freedom = int(some.sum()) - int(is_whole.sum())
    return freedom == 0 or chi2.sf(statistic, freedom) > 1e-4


def by_class(labels: Tensor, rate: float, target_CC: Tensor) -> Tensor:
    """Probabilities of labels: at `rate`, those of the row of the matrix, else the right one."""
    right = torch.eye(len(target_CC), dtype=torch.float64)
    return (rate * target_CC + (1 - rate) * right)[labels]


def mapped(moves: dict[int, int], n_classes: int = 10) -> Tensor:
    target = torch.arange(n_classes)
    for c, to in moves.items():
        target[c] = to
    return torch.eye(n_classes, dtype=torch.float64)[target]


OTHERS = (1 - torch.eye(10, dtype=torch.float64)) / 9
PAIR = {c: (c + 1) % 10 for c in range(10)}
MATRICES = {
    "symmetric": ("symmetric", {}, OTHERS),
    "symmetric, inclusive": ("symmetric", {"inclusive": True}, torch.full_like(OTHERS, 0.1)),
    "pair": ("pair", {}, mapped(PAIR)),
    "asymmetric": ("asymmetric", {}, mapped(PAIR)),
    # 0 airplane, 1 automobile, 2 bird, 3 cat, 4 deer, 5 dog, 6 frog, 7 horse, 8 ship, 9 truck
    "cifar10": ("asymmetric", {"map": "cifar10"}, mapped({9: 1, 2: 0, 3: 5, 5: 3, 4: 7})),
    "mnist": ("asymmetric", {"map": "mnist"}, mapped({2: 7, 3: 8, 5: 6, 6: 5, 7: 1})),
    "user's": ("asymmetric", {"map": {0: 9, 9: 9}}, mapped({0: 9})),
}


@pytest.mark.parametrize("rate", [0.2, 0.4, 0.97])
@pytest.mark.parametrize("case", MATRICES)
def test_labels_of_each_class_follow_the_matrix(case, rate):
    setting, changes, target_CC = MATRICES[case]
    train = train_set()
    pool = make(setting, train, rate=rate, **changes)
    probs_NC = by_class(train.labels, rate, target_CC)
    assert agrees(pool.labels_N, train.labels, probs_NC)
    again = draws(pool, torch.arange(len(train)), stream(9, "again"))
    assert agrees(again, train.labels, probs_NC)
    # Drawn anew: for a row, one label says nothing about the other.
    assert agrees(again, train.labels * 10 + pool.labels_N, probs_NC)


@pytest.mark.parametrize("setting", SETTINGS)
def test_what_is_known_of_every_row(setting):
    train = train_set(3000)
    pool = make(setting, train)
    assert torch.equal(pool.true_N.long(), train.labels)
    assert torch.equal(pool.source_N, torch.arange(3000))
    assert pool.images_M is train.images
    assert torch.equal(pool.is_noisy_N, pool.labels_N != train.labels)
    assert 0 < int(pool.is_noisy_N.sum()) < 3000
    assert (pool.region_N is not None) == (setting == "regional")
    inclusive = make("symmetric", train, inclusive=True)
    assert bool((inclusive.labels_N == train.labels)[inclusive.is_noisy_N].any())
    assert torch.equal(inclusive.labels_N[~inclusive.is_noisy_N], train.labels[~inclusive.is_noisy_N])


@pytest.mark.parametrize("setting", WITH_RATE)
@pytest.mark.parametrize("n_classes", [2, 10])
def test_rates_0_and_1(setting, n_classes):
    train = train_set(500, n_classes)
    exact = {"std": 0} if setting == "instance" else {}
    assert not bool(make(setting, train, n_classes, rate=0, **exact).is_noisy_N.any())
    pool = make(setting, train, n_classes, rate=1, **exact)
    assert bool(pool.is_noisy_N.all())
    assert not bool((pool.labels_N == train.labels).any())  # the other one, of two


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("shape", [(2,), (1, 3, 3), (3, 4, 4)], ids=str)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.float32], ids=str)
def test_any_input_one_row_and_the_test_set_untouched(setting, shape, dtype):
    train = train_set(50, 3, shape, dtype)
    task = Task(train, train_set(5, 3, shape, dtype), 3)
    pools = [corrupted(task, noise_of(setting), SEED, torch.device("cpu")) for _ in range(2)]
    assert all(one[0] is task for one in pools)
    assert torch.equal(pools[0][1].labels_N, pools[1][1].labels_N)
    assert pools[0][1].images_M is train.images
    one = make(setting, train[torch.tensor([7])], 3)
    assert len(one) == 1
    assert len(draws(one, torch.zeros(4, dtype=torch.int64), stream(0, "again"))) == 4
    assert len(draws(one, torch.zeros(0, dtype=torch.int64), stream(0, "again"))) == 0


# ---- instance


def reference(train: Examples, x: Tensor, rate: float, std: float, n_classes: int) -> Tensor:
    """The probabilities of all labels, row by row, as the paper's Algorithm 2 and the authors' code have them."""
    rng = stream(stream(SEED, "noise").initial_seed(), "noise instance")
    rates = truncated_normal(len(train), rate, std, rng)
    seed = draw_seed(rng)
    shape = (x.shape[1], n_classes)
    weights = [
        torch.randn(shape, generator=stream(seed, "weights", y), dtype=torch.float64)
        for y in range(n_classes)
    ]
    rows = []
    for vector, y, q in zip(x.double(), train.labels.tolist(), rates, strict=True):
        scores = vector @ weights[y]
        scores[y] = -torch.inf
        probs = q * scores.softmax(0)
        probs[y] += 1 - q
        rows.append(probs)
    return torch.stack(rows)


@pytest.mark.parametrize("shape", [(2,), (1, 2, 1)], ids=["vectors", "images"])
def test_instance_noise_is_that_of_the_paper(shape):
    train = train_set(4000, 4, shape, torch.float32)
    train = Examples(train.images / 64, train.labels)
    x = train.images.flatten(1)
    if len(shape) == 1:
        x = (x - x.mean(0)) / x.std(0, correction=0)
    pool = make("instance", train, 4, rate=0.4)
    probs_NC = reference(train, x, 0.4, 0.1, 4)
    quarter = 2 * (x[:, 0] > x[:, 0].mean()) + (x[:, 1] > x[:, 1].mean())
    is_easy = probs_NC[torch.arange(4000), train.labels] > 0.6  # a rate below 0.4
    group = (train.labels * 4 + quarter) * 2 + is_easy  # where in its class a row lies, and its rate
    assert agrees(pool.labels_N, group, probs_NC)
    assert agrees(draws(pool, torch.arange(4000), stream(9, "again")), group, probs_NC)
    # It is no noise of classes alone.
    mean_CC = torch.zeros(4, 4, dtype=torch.float64).index_add_(0, train.labels, probs_NC)
    assert not agrees(pool.labels_N, group, (mean_CC / mean_CC.sum(1, keepdim=True))[train.labels])


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.4, 1.0])
def test_rates_of_rows_are_a_truncated_normal(rate):
    drawn = truncated_normal(4000, rate, 0.1, stream(0, "rates")).numpy()
    assert 0 <= drawn.min() <= drawn.max() <= 1
    assert kstest(drawn, truncnorm(-rate / 0.1, (1 - rate) / 0.1, rate, 0.1).cdf).pvalue > 1e-3


def test_units_of_columns_and_the_size_of_parts_change_no_label(monkeypatch):
    train = train_set(600, 4, (3,))
    scaled = Examples(train.images * torch.tensor([2.0**-60, 2.0**50, 1.0]), train.labels)
    for setting in ("instance", "regional"):
        labels = make(setting, train, 4).labels_N
        assert torch.equal(make(setting, scaled, 4).labels_N, labels)
        with monkeypatch.context() as few:
            few.setattr("hetal.machine.scratch.NUMBERS_AT_ONCE", 21)
            assert torch.equal(make(setting, train, 4).labels_N, labels)
    raw = make("instance", scaled, 4, standardise="none").labels_N
    assert not torch.equal(raw, make("instance", train, 4).labels_N)


def test_a_column_that_is_constant_or_far_out_is_no_obstacle():
    images = torch.stack([torch.full((300,), 7.0), torch.randn(300, generator=stream(0, "x")) * 1e15], 1)
    for setting in ("instance", "regional"):
        assert bool(make(setting, Examples(images, torch.arange(300) % 3), 3).is_noisy_N.any())


# ---- human, votes


def test_human_labels_are_those_of_the_column():
    train = train_set(2000)
    pool = make("human", train, column="human_b")
    assert torch.equal(pool.labels_N, train.columns["human_b"])
    people = torch.stack([train.columns[name] for name in ("human_worst", "human_b", "human_c")])
    answers = torch.stack([draws(pool, torch.arange(2000), stream(i, "again")) for i in range(30)])
    probs_NC = torch.nn.functional.one_hot(people, 10).double().mean(0)
    assert agrees(answers.flatten(), train.labels.repeat(30), probs_NC.repeat(30, 1))
    assert bool(((answers[:, None] == people).any(1)).all())
    alone = Examples(train.images, train.labels, {"human_a": train.labels})
    assert make("human", alone, column="human_a").parts.draws == (None, None)


def test_votes_are_drawn_by_their_share(monkeypatch):
    train = train_set(3000)
    pool = make("votes", train)
    shares_NC = train.columns["votes"] / train.columns["votes"].sum(1, keepdim=True)
    rows = torch.arange(3000)
    for labels in (pool.labels_N, draws(pool, rows, stream(9, "again"))):
        assert agrees(labels, train.labels, shares_NC)
        assert bool((shares_NC[rows, labels] > 0).all())
    monkeypatch.setattr("hetal.machine.scratch.NUMBERS_AT_ONCE", 70)
    assert torch.equal(make("votes", train).labels_N, pool.labels_N)


def test_a_class_of_weight_0_is_never_drawn():
    weights = torch.tensor([[0, 3, 0, 1, 0]], dtype=torch.float32)
    edges = torch.tensor([0.0, 0.5, 0.75, 1 - 2**-53, 1.0], dtype=torch.float64)
    assert categorical(weights.repeat(5, 1), edges).tolist() == [1, 1, 3, 3, 3]


# ---- regional


def test_every_region_has_a_rate_of_its_own():
    train = train_set(3000, 4, (2,))
    pool = make("regional", train, 4, rate=0.4, n_regions=6)
    region = pool.region_N.long()
    assert region.unique().tolist() == [*range(6)]
    labels = torch.stack([draws(pool, torch.arange(3000), stream(i, "again")) for i in range(20)])
    is_wrong = labels != train.labels
    wrong_K = torch.zeros(6, dtype=torch.float64).index_add_(0, region, is_wrong.double().mean(0))
    rate_K = wrong_K / torch.bincount(region)
    assert torch.equal(rate_K, rate_K.sort().values)  # numbered by rate
    assert float(rate_K.max() - rate_K.min()) > 0.3
    # Within a region all rows have its rate, and wrong labels are uniform.
    others = (1 - torch.eye(4, dtype=torch.float64)) / 3
    rate_N = rate_K[region][:, None]
    probs_NC = rate_N * others[train.labels] + (1 - rate_N) * torch.eye(4)[train.labels]
    parity = torch.arange(3000) % 2
    group = (region * 4 + train.labels) * 2 + parity
    assert agrees(labels.flatten(), group.repeat(20), probs_NC.repeat(20, 1))
    assert agrees(pool.labels_N, group, probs_NC)
    # Regions are where rows are close: the nearest row is nearly always in the same one.
    nearest = torch.cdist(train.images, train.images).fill_diagonal_(torch.inf).argmin(1)
    assert float((region[nearest] == region).double().mean()) > 0.9


@pytest.mark.parametrize(("mean", "concentration"), [(0.4, 2.0), (0.1, 20.0), (0.5, 0.5)])
def test_rates_of_regions_are_beta(mean, concentration):
    drawn = _rates(3000, mean, concentration, stream(0, "rates")).numpy()
    assert kstest(drawn, beta(mean * concentration, (1 - mean) * concentration).cdf).pvalue > 1e-3


@pytest.mark.parametrize("mean", [1e-9, 0.5, 1 - 1e-9])
@pytest.mark.parametrize("concentration", [1e-3, 1e6])
def test_extreme_rates_of_regions_are_numbers(mean, concentration):
    drawn = _rates(1000, mean, concentration, stream(0, "rates"))
    assert 0 <= float(drawn.min()) <= float(drawn.max()) <= 1


def test_fewer_rows_than_regions():
    pool = make("regional", train_set(3, 2), 2, n_regions=20)
    assert len(pool.region_N.unique()) == 3
    same = Examples(torch.zeros(9, 2), torch.arange(9) % 2)
    assert len(make("regional", same, 2, n_regions=20).region_N.unique()) == 1


# ---- settings


@pytest.mark.parametrize("setting", WITH_RATE)
@pytest.mark.parametrize("value", [-0.1, 1.1, "much", None, True, float("nan")])
def test_a_rate_that_is_none_is_refused(setting, value):
    with pytest.raises(BadInput, match=rf"^noise\.rate={value}: must be a number in 0\.\.1$"):
        make(setting, train_set(20), rate=value)


@pytest.mark.parametrize(
    ("setting", "changes", "message"),
    [
        ("asymmetric", {"map": "cifar100"}, r"^noise\.map=cifar100: must be pair, cifar10, mnist, or classes by"),
        ("asymmetric", {"map": None}, r"^noise\.map=None: must be pair"),
        ("asymmetric", {"map": {2: 10}}, r"^noise\.map: takes 2 to 10; classes are whole numbers in 0\.\.9$"),
        ("asymmetric", {"map": {-1: 3}}, r"^noise\.map: takes -1 to 3; classes"),
        ("asymmetric", {"map": {1: True}}, r"^noise\.map: takes 1 to True; classes"),
        ("instance", {"std": -1}, r"^noise\.std=-1: must be a number in 0\.\.1$"),
        ("instance", {"standardise": "row"}, r"^noise\.standardise=row: must be feature, all, none or null$"),
        ("human", {"column": "votes"}, r"^noise\.column=votes: must be human_worst or human_b or human_c, "),
        ("regional", {"n_regions": 0}, r"^noise\.n_regions=0: must be a whole number in 1\.\.1000$"),
        ("regional", {"n_regions": 2.5}, r"^noise\.n_regions=2\.5: must be a whole number in 1\.\.1000$"),
        ("regional", {"concentration": 0}, r"^noise\.concentration=0: must be a number in 0\.001\.\.1e\+06$"),
        ("regional", {"concentration": float("nan")}, r"^noise\.concentration=nan: must be a number"),
    ],
)  # fmt: skip
def test_a_setting_out_of_range_is_refused(setting, changes, message):
    with pytest.raises(BadInput, match=message):
        make(setting, train_set(20), **changes)


def test_maps_and_columns_that_the_data_do_not_have():
    few = train_set(20, 4)
    bare = Examples(few.images, few.labels)
    with pytest.raises(BadInput, match=r"^noise\.map=mnist: is for 10 classes; the data have 4$"):
        make("asymmetric", few, 4, map="mnist")
    with pytest.raises(BadInput, match=r"noise\.map=\{\}: must be pair"):
        asymmetric_noise(bare, 4, stream(0, "noise"), rate=0.4, map={})
    with pytest.raises(BadInput, match=r"^noise\.column=human_worst: the data have no labels by people; "):
        make("human", bare, 4)
    with pytest.raises(BadInput, match=r"^noise=votes: the data have no votes; "):
        make("votes", bare, 4)
