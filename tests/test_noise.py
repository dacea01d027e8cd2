"""Every noise setting against its definition: rows, labels, distinct images, and what must not change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from scipy.stats import chisquare

from hetal.errors import BadInput
from hetal.noise import (
    Corrupt,
    NoisyPool,
    blank_noise,
    class_noise,
    copied_class_noise,
    diverse,
    no_noise,
)
from hetal.noise.rows import extend, n_noisy_rows
from hetal.rng import stream
from hetal.task import Examples
from hetal.testing import check_noise
from hetal.testing.training_sets import columns_of

CONF = Path(__file__).parents[1] / "conf"
# What 0a809f5 drew first.
GREY = [103, 211, 183, 115]
SETTINGS = sorted(path.stem for path in (CONF / "noise").glob("*.yaml"))
# Those that add rows.
WITH_FACTOR = [name for name in SETTINGS if "factor" in OmegaConf.load(CONF / "noise" / f"{name}.yaml")]


def train_set(
    n: int = 200, n_classes: int = 10, shape: tuple[int, ...] = (3, 4, 4), dtype=torch.uint8
) -> Examples:
    rng = torch.Generator().manual_seed(7)
    images = torch.randint(256, (n, *shape), generator=rng)
    return Examples(images.to(dtype), torch.arange(n) % n_classes)


def noise_of(setting: str, factor: object = 2.5, **changes) -> Corrupt:
    """The setting as its YAML and Hydra give it."""
    content = OmegaConf.to_container(OmegaConf.load(CONF / "noise" / f"{setting}.yaml"))
    # Without what is hetal's own, and Hydra's.
    own = {key: value for key, value in content.items() if key not in ("name", "defaults")}
    config = OmegaConf.create({"mult": {"factor": 1.0}, "noise": own})
    node = OmegaConf.to_container(config, resolve=True)["noise"]
    if "factor" in node:
        node["factor"] = factor
    if setting == "mixed":
        node["of"] = ["symmetric", "blank"]
        node["parts"] = {name: noise_of(name, factor) for name in node["of"]}
    return instantiate(node, **changes)


def make(
    setting: str, train: Examples, n_classes: int, factor: object, seed: int = 0, **changes
) -> NoisyPool:
    return noise_of(setting, factor, **changes)(train, n_classes, stream(seed, "noise"))


def looks_uniform(labels: torch.Tensor, n_classes: int) -> bool:
    return chisquare(torch.bincount(labels, minlength=n_classes).numpy()).pvalue > 1e-4


BAD_POOLS = {
    "noise: its images are torch.uint8 (3, 4, 5)": {"images_M": torch.zeros(200, 3, 4, 5, dtype=torch.uint8)},
    "noise: its images are torch.float32": {"images_M": torch.zeros(200, 3, 4, 4)},
    "noise: source_N holds 0..200; it must be in 0..199": {
        "source_N": torch.arange(200) + (torch.arange(200) > 198)
    },
    "noise: labels_N holds 0..10; it must be in 0..9": {"labels_N": torch.arange(200) % 11},
    "noise: labels_N holds -1..9": {"labels_N": torch.arange(200) % 11 - 1},
    "noise: labels_N is torch.float32": {"labels_N": torch.zeros(200)},
    "noise: labels_N is torch.int64 of shape (199,)": {"labels_N": torch.zeros(199, dtype=torch.int64)},
    "noise: is_noisy_N is torch.int64": {"is_noisy_N": torch.zeros(200, dtype=torch.int64)},
}


def check_own(pool: NoisyPool, train: Examples) -> None:
    pool.check(10)
    pool.check_images(train)


@pytest.mark.parametrize("fault", BAD_POOLS)
def test_a_users_own_noise_is_checked(fault):
    train = train_set()
    pool = make("clean", train, 10, 0)
    check_own(pool, train)
    with pytest.raises(BadInput) as caught:
        check_own(replace(pool, **BAD_POOLS[fault]), train)
    assert str(caught.value).startswith(fault)


# ---- what holds for all of them


@pytest.mark.parametrize("setting", SETTINGS)
def test_what_ships_keeps_the_contract(setting):
    check_noise(noise_of(setting), seeds=[0])


@pytest.mark.parametrize("setting", ["blank", "diverse", "class", "copies"])
@pytest.mark.parametrize("shape", [(5, 3, 3), (7,)], ids=str)
def test_rows_are_added_after_those_of_the_training_set(setting, shape):
    train = train_set(141, 3, shape, torch.float32)
    pool = make(setting, train, 3, 2.5)
    assert len(pool) == 141 + 352  # 352.5 rounds to even
    assert torch.equal(pool.source_N[:141], torch.arange(141))
    assert bool(pool.is_noisy_N[141:].all())
    relabelled = {"class": 1, "copies": 0}.get(setting, -1)
    assert torch.equal(pool.is_noisy_N[:141], train.labels == relabelled)


@pytest.mark.parametrize("setting", ["blank", "diverse", "class", "copies", "symmetric", "mixed"])
def test_another_seed_gives_other_labels(setting):
    train = train_set()
    assert not torch.equal(make(setting, train, 10, 1, 0).labels_N, make(setting, train, 10, 1, 1).labels_N)


@pytest.mark.parametrize("setting", WITH_FACTOR)
@pytest.mark.parametrize(
    "factor", [-1, -1e-9, float("nan"), float("inf"), 1e300, 10**400, "abc", None, True], ids=range(9)
)
def test_an_impossible_factor_is_refused(setting, factor):
    with pytest.raises(BadInput, match=r"^mult="):
        make(setting, train_set(), 10, factor)


@pytest.mark.parametrize("factor", [0, 0.004, 0.5, 1, 2.5, 3000])
def test_rows_are_factor_times_clean_to_the_nearest(factor):
    assert n_noisy_rows(120, factor) == round(120 * factor)
    assert len(make("blank", train_set(120), 10, factor)) == 120 + round(120 * factor)


def test_images_of_another_shape_are_refused():
    one = torch.zeros(1, dtype=torch.int64)
    with pytest.raises(BadInput, match=r"its images are \(3, 4, 4\), those of the data \(1, 4, 4\)"):
        extend(train_set(shape=(1, 4, 4)), torch.zeros(1, 3, 4, 4, dtype=torch.uint8), one, one)


# ---- clean


def test_clean_adds_nothing_and_draws_nothing():
    train, rng = train_set(), stream(0, "noise")
    pool = no_noise(train, 10, rng)
    assert pool.images_M is train.images
    assert torch.equal(pool.labels_N, train.labels)
    assert not bool(pool.is_noisy_N.any())
    assert torch.equal(rng.get_state(), stream(0, "noise").get_state())


@pytest.mark.parametrize("setting", ["blank", "diverse"])
def test_factor_0_is_the_clean_pool(setting):
    pool = make(setting, train_set(), 10, 0)
    assert len(pool) == len(pool.images_M) == 200
    assert not bool(pool.is_noisy_N.any())


# ---- blank


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_blank_is_one_image_of_zeros_under_uniform_labels(dtype):
    pool = blank_noise(train_set(1000, dtype=dtype), 10, stream(0, "noise"), factor=4)
    assert len(pool.images_M) == 1001
    assert not bool(pool.images_M[1000].any())
    assert torch.equal(pool.source_N[1000:], torch.full((4000,), 1000))
    assert looks_uniform(pool.labels_N[1000:], 10)


# ---- diverse


@pytest.mark.parametrize("n_channels", [1, 3])
def test_diverse_is_100_distinct_solid_colours_of_3_labels_each(n_channels):
    pool = make("diverse", train_set(1000, shape=(n_channels, 5, 4)), 10, 40)
    colors = pool.images_M[1000:]
    assert colors.shape == (100, n_channels, 5, 4)
    assert torch.equal(colors, colors[:, :, :1, :1].expand_as(colors))
    assert len(torch.unique(colors, dim=0)) == 100
    which = pool.source_N[1000:] - 1000
    assert looks_uniform(which, 100)
    table = torch.zeros(100, 10, dtype=torch.int64)
    table.index_put_((which, pool.labels_N[1000:]), torch.ones(1, dtype=torch.int64), accumulate=True)
    assert ((table > 0).sum(dim=1) == 3).all()  # 400 rows a colour: none of the three is missed
    assert chisquare(table[table > 0].view(100, 3).numpy(), axis=1).pvalue.min() > 1e-6
    # A class is owned by 30 colours on average, give or take a standard deviation of 4.6.
    assert 10 <= int((table > 0).sum(dim=0).min()) <= int((table > 0).sum(dim=0).max()) <= 50


def test_colours_cover_all_levels():
    colors = diverse.draw_colors(train_set().images, 5000, stream(0, "noise"))[:, :, 0, 0]
    for channel in colors.T:
        assert looks_uniform(channel.long() // 16, 16)


def test_every_grey_level_can_be_a_colour_and_no_more():
    grey = train_set(shape=(1, 2, 2))
    pool = make("diverse", grey, 10, 40, n_colors=256)
    assert torch.equal(pool.images_M[200:, 0, 0, 0].sort().values, torch.arange(256, dtype=torch.uint8))
    with pytest.raises(BadInput, match=r"noise\.n_colors=257: 1-channel images have 256 colours"):
        make("diverse", grey, 10, 4, n_colors=257)


def test_float_colours_lie_between_the_extremes_of_the_data():
    train = Examples(torch.linspace(-3, 5, 40).reshape(10, 1, 2, 2), torch.arange(10))
    colors = diverse.draw_colors(train.images, 2000, stream(0, "noise"))
    assert -3 <= float(colors.min()) < -2.9
    assert 4.9 < float(colors.max()) <= 5
    constant = diverse.draw_colors(torch.full((3, 2), 1.5), 10, stream(0, "noise"))
    torch.testing.assert_close(constant, torch.full((10, 2), 1.5))


def test_the_colours_of_images_are_drawn_as_they_always_were():
    grey = diverse.draw_colors(train_set(shape=(1, 2, 2)).images, 4, stream(0, "noise"))
    assert grey[:, 0, 0, 0].tolist() == GREY
    floats = torch.linspace(-3, 5, 40).reshape(10, 1, 2, 2)
    low, share = torch.tensor(-3.0), torch.rand(4, 1, generator=stream(0, "noise"))
    expected = low * (1 - share) + torch.tensor(5.0) * share
    assert torch.equal(diverse.draw_colors(floats, 4, stream(0, "noise"))[:, :, 0, 0], expected)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=str)
def test_the_colour_of_a_vector_is_drawn_feature_by_feature(dtype):
    low, high = torch.tensor([0.0, 100.0, 7.0]), torch.tensor([1.0, 200.0, 7.0])
    if dtype == torch.float32:
        low, high = low * torch.tensor([1e-9, 1.0, 1.6e16]), high * torch.tensor([1e-9, 1.0, 2e16])
    data = torch.stack([low, high]).to(dtype)
    colors = diverse.draw_colors(data, 150, stream(0, "noise"))
    assert colors.shape == (150, 3)
    assert colors.dtype == dtype
    assert bool((colors >= data[0]).all() & (colors <= data[1]).all())
    span = colors[:, :2].double().aminmax(dim=0)
    assert bool(((span.max - span.min) > 0.9 * (data[1] - data[0])[:2].double()).all())
    assert len(colors.unique(dim=0)) == 150


def test_vectors_of_few_levels_have_few_colours():
    data = torch.tensor([[0, 5, 9], [1, 5, 11]], dtype=torch.uint8)
    assert len(diverse.draw_colors(data, 6, stream(0, "noise")).unique(dim=0)) == 6
    with pytest.raises(
        BadInput, match=r"noise\.n_colors=7: between the extremes of these features are 6 vectors"
    ):
        diverse.draw_colors(data, 7, stream(0, "noise"))


@pytest.mark.parametrize("setting", SETTINGS)
def test_noise_on_a_table_stays_within_the_range_of_every_feature(setting):
    """Columns of any scale: from one outside its range a strategy would tell noise, whatever it means."""
    scale, offset = torch.tensor([1e-9, 1.0, 1e4, 1e15, 0.0]), torch.tensor([0.0, 0.0, -5e5, 1.6e18, 3.0])
    images = torch.randn(200, 5, generator=stream(0, "table")) * scale + offset
    labels = torch.arange(200) % 4
    train = Examples(images, labels, columns_of(labels, 4, stream(0, "columns")))
    pool = make(setting, train, 4, 2.0)
    assert bool((pool.images_M >= images.amin(0)).all() & (pool.images_M <= images.amax(0)).all())


def test_the_blank_of_a_vector_is_zero_where_zero_is_a_value():
    images = torch.tensor([[-1.0, 3.0, -9.0], [1.0, 4.0, -8.0]])
    pool = make("blank", Examples(images, torch.arange(2)), 2, 1)
    assert pool.images_M[2].tolist() == [0.0, 3.0, -8.0]


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("n_colors", 0, r"in 1\.\.1000000"),
        ("n_colors", 2.5, r"in 1\.\.1000000"),
        ("n_colors", "many", r"in 1\.\.1000000"),
        ("labels_per_color", 0, r"in 1\.\.10, as the data have 10 classes"),
        ("labels_per_color", 11, r"in 1\.\.10, as the data have 10 classes"),
    ],
)
def test_diverse_refuses(name, value, allowed):
    with pytest.raises(BadInput, match=rf"^noise\.{name}={value}: must be a whole number {allowed}$"):
        make("diverse", train_set(), 10, 4, **{name: value})


# ---- class


def test_class_relabels_the_class_and_copies_its_first_100_rows():
    train = train_set(3000)
    pool = make("class", train, 10, 4)
    assert pool.images_M is train.images  # the copies show images that are there
    assert len(pool) == 15_000
    rows = torch.nonzero(train.labels == 1).flatten()
    assert torch.equal(torch.nonzero(pool.is_noisy_N[:3000]).flatten(), rows)
    assert looks_uniform(pool.labels_N[rows], 10)
    copied = pool.source_N[3000:]
    assert torch.equal(torch.unique(copied), rows[:100])
    assert looks_uniform((copied - 1) // 10, 100)  # with replacement: row 10 i + 1 is template i
    assert looks_uniform(pool.labels_N[3000:], 10)
    assert int((~pool.is_noisy_N).sum()) == 2700  # 18% of 15,000


def test_class_at_factor_0_still_relabels_and_as_at_any_other():
    train = train_set(3000)
    none, many = make("class", train, 10, 0), make("class", train, 10, 4)
    assert len(none) == 3000
    assert int(none.is_noisy_N.sum()) == 300
    assert torch.equal(none.labels_N, many.labels_N[:3000])


def test_class_copies_all_rows_where_there_are_fewer_than_n_templates():
    pool = make("class", train_set(50), 10, 4, noisy_class=3)
    assert torch.equal(torch.unique(pool.source_N[50:]), torch.arange(3, 50, 10))


@pytest.mark.parametrize("setting", ["class", "copies"])
@pytest.mark.parametrize("value", [-1, 10, 1.5, "cat", None, True])
def test_a_class_that_is_none_is_refused(setting, value):
    with pytest.raises(
        BadInput, match=rf"^noise\.noisy_class={value}: must be a whole number in 0\.\.9, as "
    ):
        make(setting, train_set(), 10, 4, noisy_class=value)


@pytest.mark.parametrize("value", [0, -5, 2.5])
def test_class_refuses_n_templates(value):
    with pytest.raises(BadInput, match=rf"^noise\.n_templates={value}: must be a whole number >= 1$"):
        make("class", train_set(), 10, 4, n_templates=value)


def test_a_class_without_rows_is_refused():
    with pytest.raises(BadInput, match=r"noise\.noisy_class=9: the data has no training row of it"):
        class_noise(train_set(n_classes=9), 10, stream(0, "noise"), factor=1, noisy_class=9, n_templates=1)


# ---- copies


def test_copies_are_even_and_keep_the_label_of_their_row():
    train = train_set(2000, n_classes=4)
    pool = make("copies", train, 4, 1.5)
    assert len(pool) == 5000
    assert torch.equal(torch.bincount(pool.source_N), torch.where(train.labels == 0, 7, 1))
    assert torch.equal(pool.labels_N, pool.labels_N[pool.source_N])
    assert torch.equal(pool.is_noisy_N, train.labels[pool.source_N] == 0)
    assert looks_uniform(pool.labels_N[:2000][train.labels == 0], 4)


@given(n=st.integers(10, 60), factor=st.floats(0, 5))
@settings(max_examples=40, deadline=None)
def test_copies_of_two_rows_differ_by_one_at_most(n, factor):
    pool = copied_class_noise(train_set(n), 10, stream(0, "noise"), factor=factor, noisy_class=0)
    count = torch.bincount(pool.source_N, minlength=n)
    assert int(count.sum()) == n + round(n * factor)
    assert bool((count[torch.arange(n) % 10 != 0] == 1).all())
    assert int(count[::10].max() - count[::10].min()) <= 1
