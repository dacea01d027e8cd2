"""The YAML files of conf/data, and the embedded data as they are."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from hetal.data.labels import encode_labels
from hetal.data.standardise import statistics
from hetal.errors import BadInput
from hetal.rng import stream
from hetal.task import stratified
from tests.command_line import composed, records, run_here
from tests.tiny_data import CONF, load

# ---- all YAML files


@pytest.mark.parametrize("path", sorted((CONF / "data").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_yaml_sets_a_budget_and_says_what_it_is(path):
    lines = path.read_text().splitlines()
    assert lines[0] == "# @package _global_"
    assert lines[1].startswith("# ")
    config = OmegaConf.load(path)
    assert set(config) - {"defaults"} == {"n_start", "n_query", "n_end", "data"}
    if (config.n_start, config.n_query, config.n_end) != (None, None, None):  # else from the size of the data
        assert 0 < config.n_start < config.n_end
        assert (config.n_end - config.n_start) % config.n_query == 0
    assert "defaults" in config or config.data.n_train is None


# ---- digits


def test_digits_are_scikit_learns():
    task = load("digits")
    assert (len(task.train), len(task.test), task.n_classes) == (1297, 500, 10)
    assert task.image_shape == (1, 8, 8)
    assert task.train.images.dtype == torch.uint8
    images = torch.cat([task.train.images, task.test.images])
    # 0..16 scaled to 0..255 and rounded, and no image in both sets.
    assert torch.equal(images.unique(), torch.arange(17).mul(255 / 16).round().to(torch.uint8))
    assert len(torch.unique(images, dim=0)) == 1797
    assert torch.allclose(
        torch.bincount(task.train.labels) / 1297, torch.bincount(task.test.labels) / 500, atol=0.002
    )


def test_digits_constants_are_those_of_the_training_set():
    task = load("digits")
    mean, std = statistics(task.train.images, "feature")
    assert task.mean == pytest.approx(mean, abs=0.005)
    assert task.std == pytest.approx(std, abs=0.005)


def test_n_train_is_a_seeded_share_of_each_class_and_leaves_the_test_set():
    whole = load("digits")
    one, same, other = (load("digits", "data.n_train=130", seed=s) for s in (0, 0, 1))
    assert torch.equal(one.train.images, same.train.images)
    assert not torch.equal(one.train.images, other.train.images)
    assert int((torch.bincount(one.train.labels) - 13).abs().max()) <= 1
    for task in (one, other):
        assert torch.equal(task.test.images, whole.test.images)


@pytest.mark.parametrize("value", ["9", "1298", "-1", "200.5", "many"])
def test_an_impossible_n_train_is_refused(value):
    with pytest.raises(BadInput, match=rf"^data\.n_train={value}: must be a whole number in 10\.\.1297$"):
        load("digits", f"data.n_train={value}")


@given(
    counts=st.lists(st.integers(0, 30), min_size=1, max_size=8).filter(any),
    share=st.floats(0, 1),
    seed=st.integers(0, 9),
)
@settings(max_examples=60, deadline=None)
def test_stratified_draws_what_it_says(counts, share, seed):
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    least = sum(c > 0 for c in counts)
    n = least + int(share * (len(labels) - least))
    drawn = stratified(labels, n, stream(seed, "data"))
    assert len(torch.unique(drawn)) == n
    quota = torch.bincount(labels[drawn], minlength=len(counts))
    assert all(1 <= q <= c for q, c in zip(quota.tolist(), counts, strict=True) if c)
    exact = torch.tensor(counts) * n / len(labels)
    if bool((exact[torch.tensor(counts) > 0] >= 1).all()):
        assert float((quota - exact).abs().max()) < 1 + 1e-4


@pytest.mark.parametrize("setting", ["mean", "std"])
@pytest.mark.parametrize("value", ["[.nan]", "[.inf]", "[1,2]"])
def test_bad_constants_are_refused(setting, value):
    with pytest.raises(BadInput, match=rf"^data\.{setting}: "):
        load("digits", f"data.{setting}={value.replace('.', '')}")


@pytest.mark.parametrize("setting", ["mean", "std"])
@pytest.mark.parametrize("value", ["5", "grey", "[grey]", "null"])
def test_constants_that_are_no_list_are_refused(setting, value):
    with pytest.raises(BadInput, match=rf"^data\.{setting}=.*: must be a list of numbers"):
        load("digits", f"data.{setting}={value}")


# ---- four_moons


def test_four_moons_is_two_pairs_and_the_test_set_is_all_of_it():
    task = load("four_moons")
    assert task.n_classes == 4
    assert task.image_shape == (2,)
    assert task.train.images.dtype == torch.float32
    assert torch.bincount(task.train.labels).tolist() == [3000] * 4
    assert torch.equal(task.train.images, task.test.images)
    assert torch.equal(task.train.labels, task.test.labels)
    first, second = task.train.images.split(6000)
    torch.testing.assert_close(second - first, torch.tensor([4.0, 0.0]).expand(6000, 2))
    # Each point lies within five standard deviations of its half circle of radius 1.
    centre = torch.tensor([[0.0, 0.0], [1.0, 0.5], [4.0, 0.0], [5.0, 0.5]])[task.train.labels]
    radius = (task.train.images - centre).norm(dim=1)
    assert float((radius - 1).abs().max()) < 0.5
    assert float((radius - 1).std()) == pytest.approx(0.1, abs=0.005)
    assert (task.mean, task.std) == ((0.0,), (1.0,))


def test_four_moons_are_the_same_points_at_every_seed():
    one, other = (load("four_moons", "data.n_train=400", seed=s) for s in (0, 1))
    assert torch.equal(one.test.images, other.test.images)
    assert not torch.equal(one.train.images, other.train.images)
    assert torch.bincount(one.train.labels).tolist() == [100] * 4


def test_four_moons_with_its_noise_is_the_published_pool(tmp_path):
    task = load("four_moons")
    published = composed("+experiment=four_moons", root=tmp_path)
    pool = instantiate(published.noise)(task.train, task.n_classes, stream(0, "noise"))
    assert len(pool) == 30_000
    assert len(pool.images_M) == 12_000
    assert int(pool.is_noisy_N.sum()) == 21_000
    assert torch.bincount(torch.bincount(pool.source_N)).tolist() == [0, 9000, 0, 0, 0, 0, 0, 3000]


@pytest.mark.parametrize(
    "bad", ["data.n_per_pair=0", "data.jitter=-1", "data.point_seed=-1", "data.jitter=abc"]
)
def test_four_moons_refuses(bad):
    with pytest.raises(BadInput, match=bad.replace(".", r"\.")):
        load("four_moons", bad)


# ---- breast_cancer, wine, synthetic


@pytest.mark.parametrize(
    ("source", "n_train", "per_class", "names"),
    [
        ("wine", 142, [12, 14, 10], ("class_0", "class_1", "class_2")),
        ("breast_cancer", 456, [42, 71], ("malignant", "benign")),
        ("synthetic", 4000, [200] * 5, ()),
    ],
)
def test_vectors_of_scikit_learn_have_a_fixed_stratified_test_set(source, n_train, per_class, names):
    task = load(source)
    assert len(task.train) == n_train
    assert torch.bincount(task.test.labels).tolist() == per_class
    assert task.class_names == names
    assert (task.mean, task.std) == statistics(task.train.images, "feature")
    one, other = (load(source, f"data.n_train={n_train // 2}", seed=seed) for seed in (0, 1))
    assert torch.equal(one.test.images, task.test.images)
    assert torch.equal(other.test.images, task.test.images)
    assert not torch.equal(one.train.images, other.train.images)
    everything = torch.cat([task.train.images, task.test.images])
    assert len(torch.unique(everything, dim=0)) == len(everything)


def test_wine_runs_where_no_budget_is_set(tmp_path):
    run_here("data=wine", "tracker=none", "device=cpu", "train.max_epochs=1", "noise=clean", root=tmp_path)
    (rounds,) = records(tmp_path).values()
    assert [r["n_labelled"] for r in rounds] == [*range(7, 71, 7), 71]


def test_synthetic_classes_fall_geometrically_in_size_and_their_labels_are_right():
    drawn = (
        "data.n_rows=700",
        "data.n_classes=3",
        "data.imbalance=4",
        "data.class_sep=9",
        "data.clusters_per_class=1",
    )
    task = load("synthetic", *drawn)
    labels = torch.cat([task.train.labels, task.test.labels])
    assert torch.bincount(labels).tolist() == [400, 200, 100]
    centres = torch.stack([task.train.images[task.train.labels == c].mean(0) for c in range(3)])
    assert torch.equal(torch.cdist(task.test.images, centres).argmin(1), task.test.labels)
    assert not torch.equal(load("synthetic", *drawn, "data.point_seed=1").test.images, task.test.images)


@pytest.mark.parametrize(
    ("bad", "allowed"),
    [
        ("data.n_classes=1", r"2\.\.10000"),
        ("data.n_rows=9", r"10\.\.5e\+07"),
        ("data.imbalance=0.5", r"1\.\.1e\+06"),
        ("data.imbalance=10000", "class 4 has 0 of 5000 rows"),
        ("data.n_informative=21", r"1\.\.20"),
        ("data.n_informative=3", "has 8 corners, too few for 10 clusters"),
        ("data.n_redundant=11", r"0\.\.10"),
        ("data.point_seed=-1", r"0\.\."),
        ("data.class_sep=0", r"1e-06\.\.1e\+06"),
        ("data.test_share=0", "must be between 0 and 1"),
    ],
)
def test_synthetic_refuses(bad, allowed):
    with pytest.raises(BadInput, match=f"{bad}: .*{allowed}".replace("data.", r"data\.")):
        load("synthetic", bad)


def test_labels_of_other_types_get_names_of_one_line_that_differ():
    def names(*values):
        labels = np.array(values, dtype=object)
        return encode_labels(labels, labels, "y", "y").names

    assert names(Decimal(2), Decimal(7)) == ("2", "7")
    assert names(b"u", "\u00fc".encode()) == ("u", "\u00fc")
    assert names(True, False) == ("False", "True")
    assert names("\x1b[31m", "a\nb") == (r"\x1b[31m", r"a\nb")
    assert names("x" * 60 + "1", "x" * 60 + "2") == ("x" * 60 + "1", "x" * 60 + "2")
    assert names("x" * 61, "y") == ("x" * 60, "y")
