"""Pools that add, reject or remove rows, against their definitions: near copies, ambiguous, open set and others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from scipy.stats import chisquare, kstest, norm

import hetal
from hetal.algs import BADGE, LHD, Balanced, CoreSet, Fisher, KMeans, Random
from hetal.app.compose import build_experiment
from hetal.app.launch import with_budget
from hetal.errors import BadInput
from hetal.experiment import Experiment
from hetal.loop import run
from hetal.noise import (
    NoisyPool,
    ambiguous_noise,
    class_noise,
    corrupt,
    long_tail_noise,
    near_copies_noise,
    open_set_noise,
    redundant_noise,
)
from hetal.noise.pool import shuffled
from hetal.oracle import Oracle
from hetal.pool import Pool
from hetal.record.history import History
from hetal.record.purchases import check_purchases
from hetal.record.schema import REJECT
from hetal.report.analyse.acquired import count_rows
from hetal.report.load.reading import read
from hetal.rng import stream
from hetal.task import Examples
from tests.command_line import TOY, composed, only, records, run_here

near_copies = partial(near_copies_noise, factor=2, noisy_class=1, n_templates=10, sigma=8, shift=0)
redundant = partial(redundant_noise, copies=3, sigma=8)
ambiguous = partial(ambiguous_noise, factor=2, mix=[0.3, 0.7])
long_tail = partial(long_tail_noise, rho=10)
open_set = partial(open_set_noise, share=0.4, outside=None)
ALL = {
    "near_copies": near_copies,
    "redundant": redundant,
    "ambiguous": ambiguous,
    "long_tail": long_tail,
    "open_set": open_set,
}

KINDS = {
    "uint8 images": ((1, 4, 4), torch.uint8),
    "float32 images": ((3, 4, 6), torch.float32),
    "float16 images": ((3, 4, 4), torch.float16),
    "float32 vectors": ((7,), torch.float32),
    "float16 vectors": ((7,), torch.float16),
    "uint8 vectors": ((7,), torch.uint8),
}


def train_set(n: int = 200, n_classes: int = 10, kind: str = "uint8 images") -> Examples:
    shape, dtype = KINDS[kind]
    images = torch.randint(256, (n, *shape), generator=stream(7, "images"))
    if dtype != torch.uint8:
        images = images / 16 - 5
    return Examples(images.to(dtype), torch.arange(n) % n_classes)


def rng(seed: int = 0) -> torch.Generator:
    return stream(seed, "noise")


# ---- all of them


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("n_classes", [3, 10])
def test_any_data(name, kind, n_classes):
    train = train_set(60, n_classes, kind)
    before = train.images.clone()
    pool = ALL[name](train, n_classes, rng())
    assert torch.equal(train.images, before)
    pool.check(n_classes)
    pool.check_images(train)
    low, high = before.amin(0).amin((1, 2)) if before.dim() == 4 else before.amin(0), before.amax(0)
    if before.dim() == 4:
        high = high.amax((1, 2))
    if kind == "uint8 images":
        low, high = torch.tensor([0]), torch.tensor([255])
    by_channel = pool.images_M.transpose(0, 1).flatten(1).T
    assert bool((by_channel >= low).all() & (by_channel <= high).all())
    same, other = ALL[name](train, n_classes, rng()), ALL[name](train, n_classes, rng(1))
    assert torch.equal(pool.images_M, same.images_M)
    assert torch.equal(pool.labels_N, same.labels_N)
    assert torch.equal(pool.source_N, same.source_N)
    differs = [
        len(pool.images_M) != len(other.images_M) or not torch.equal(pool.images_M, other.images_M),
        not torch.equal(pool.source_N, other.source_N),
    ]
    assert any(differs) or name == "open_set"  # of which all rows fit in here


@pytest.mark.parametrize(
    ("noise", "n_classes", "said"),
    [
        (partial(near_copies, sigma=-1), 10, "noise.sigma=-1: must be a number in 0..1000000, in grey levels"),
        (partial(near_copies, sigma=float("nan")), 10, "noise.sigma=nan: must be"),
        (partial(near_copies, sigma=2e6), 10, "noise.sigma=2000000.0: must be"),
        (partial(near_copies, sigma="8"), 10, "noise.sigma=8: must be a number"),
        (partial(near_copies, shift=-1), 10, "noise.shift=-1: must be a whole number in 0..3, as images have 4 x 4"),
        (partial(near_copies, shift=4), 10, "noise.shift=4: must be a whole number in 0..3"),
        (partial(near_copies, shift=0.5), 10, "noise.shift=0.5: must be a whole number in 0..3"),
        (partial(near_copies, factor=-1), 10, "mult=-1: must be"),
        (partial(near_copies, noisy_class=10), 10, "noise.noisy_class=10: must be a whole number in 0..9"),
        (partial(near_copies, n_templates=0), 10, "noise.n_templates=0: must be a whole number >= 1"),
        (partial(redundant, sigma=True), 10, "noise.sigma=True: must be"),
        (partial(redundant, copies=0), 10, "noise.copies=0: must be a whole number >= 1"),
        (partial(redundant, copies=1.5), 10, "noise.copies=1.5: must be a whole number >= 1"),
        (partial(redundant, copies=10**8), 10, "noise.copies=100000000: must be at most 5000001 for 200 clean rows"),
        (partial(ambiguous, factor="x"), 10, "mult=x: must be"),
        (partial(ambiguous, mix=[0.7, 0.3]), 10, "noise.mix=[0.7, 0.3]: must be two numbers in 0..1, the smaller one"),
        (partial(ambiguous, mix=[0.3]), 10, "noise.mix=[0.3]: must be two numbers"),
        (partial(ambiguous, mix=[0, 1.5]), 10, "noise.mix=[0, 1.5]: must be two numbers"),
        (partial(ambiguous, mix="ab"), 10, "noise.mix=ab: must be two numbers"),
        (partial(ambiguous, mix=0.5), 10, "noise.mix=0.5: must be two numbers"),
        (partial(long_tail, rho=0.5), 10, "noise.rho=0.5: must be a finite number >= 1"),
        (partial(long_tail, rho=float("inf")), 10, "noise.rho=inf: must be a finite number >= 1"),
        (partial(long_tail, rho=None), 10, "noise.rho=None: must be a finite number >= 1"),
        (partial(open_set, share=1.1), 10, "noise.share=1.1: must be a number in 0..1"),
        (open_set, 2, "noise.share=0.4: leaves fewer than two of 2 classes in the task; noise=open_set needs data of "),
        (partial(open_set, outside=[1]), 2, "noise.outside=[1]: takes 1 of 2 classes out of the task; at least 2 "),
        (partial(open_set, outside=[]), 10, "noise.outside=[]: must be a list of classes such as [6,7], or null"),
        (partial(open_set, outside=6), 10, "noise.outside=6: must be a list of classes"),
        (partial(open_set, outside=[10]), 10, "noise.outside=10: must be a whole number in 0..9, as the data have 10"),
        (partial(open_set, outside=[1.0]), 10, "noise.outside=1.0: must be a whole number"),
        (partial(open_set, outside=[3, 3]), 10, "noise.outside=[3, 3]: names a class twice"),
        (partial(open_set, outside=[*range(9)]), 10, "noise.outside=[0, 1, 2, 3, 4, 5, 6, 7, 8]: takes 9 of 10 "),
    ],
)  # fmt: skip
def test_a_bad_setting_is_one_line(noise, n_classes, said):
    with pytest.raises(BadInput) as caught:
        noise(train_set(n_classes=n_classes), n_classes, rng())
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_vectors_are_not_shifted():
    with pytest.raises(
        BadInput, match=r"^noise\.shift=1: must be a whole number in 0\.\.0, as vectors have no "
    ):
        near_copies(train_set(kind="uint8 vectors"), 10, rng(), shift=1)


# ---- near copies


def test_without_noise_and_shift_near_copies_are_class_noise():
    train, settings = train_set(), {"factor": 2, "noisy_class": 1, "n_templates": 10}
    for pool, exact in (
        (near_copies(train, 10, rng(), sigma=0), class_noise(train, 10, rng(), **settings)),
        (
            corrupt(partial(near_copies, sigma=0), train, 10, seed=3),
            corrupt(partial(class_noise, **settings), train, 10, seed=3),
        ),
    ):
        assert pool.images_M is train.images
        for name in ("source_N", "labels_N", "is_noisy_N", "true_N"):
            ours, theirs = getattr(pool, name), getattr(exact, name)
            assert ours is theirs is None or torch.equal(ours, theirs)


@pytest.mark.parametrize("changes", [{"sigma": 8}, {"sigma": 0, "shift": 1}, {"sigma": 64, "shift": 3}])
def test_near_copies_are_the_rows_of_class_noise_under_images_of_their_own(changes):
    train = train_set()
    exact = near_copies(train, 10, rng(), sigma=0)
    pool = near_copies(train, 10, rng(), **changes)
    assert torch.equal(pool.labels_N, exact.labels_N)
    assert torch.equal(pool.is_noisy_N, exact.is_noisy_N)
    assert torch.equal(pool.source_N, torch.arange(600))
    assert torch.equal(pool.images_M[:200], train.images)
    assert pool.true_N is not None
    assert torch.equal(pool.true_N, train.labels[exact.source_N])
    known = corrupt(partial(near_copies, **changes), train, 10, seed=3)
    assert known.true_N is not None
    assert torch.equal(known.true_N[200:], torch.ones(400, dtype=torch.int32))


def test_pixel_noise_is_normal_in_grey_levels():
    train = Examples(torch.full((50, 1, 8, 8), 128, dtype=torch.uint8), torch.arange(50) % 2)
    pool = near_copies(train, 2, rng(), factor=20)
    residual = (pool.images_M[50:].int() - 128).flatten()
    edges = np.concatenate([[-np.inf], np.arange(-20, 21) + 0.5, [np.inf]])
    counts, _ = np.histogram(residual.numpy(), edges)
    assert chisquare(counts, np.diff(norm.cdf(edges, scale=8)) * len(residual)).pvalue > 1e-4


@pytest.mark.parametrize("kind", ["float32 images", "float32 vectors"])
def test_pixel_noise_of_floats_is_relative_to_each_range(kind):
    train = train_set(kind=kind)
    images = train.images * (
        torch.arange(train.images.shape[1]).view(1, -1, *[1] * (train.images.dim() - 2)) + 1
    )
    images[:, 0] = 3.5
    train = Examples(images, train.labels)
    exact = near_copies(train, 10, rng(), sigma=0, factor=20)
    pool = near_copies(train, 10, rng(), factor=20)
    residual = pool.images_M[200:].double() - train.images[exact.source_N[200:]]
    channels = [images[:, c] for c in range(images.shape[1])]
    for c, channel in enumerate(channels):
        scale = 8 / 255 * float(channel.max() - channel.min())
        inside = (images[exact.source_N[200:], c] - channel.mean()).abs() < 0.3 * (
            channel.max() - channel.min()
        )
        drawn = residual[:, c][inside].flatten()
        if c == 0:
            assert not bool(drawn.any())
        else:
            assert kstest(drawn.numpy(), norm(scale=scale).cdf).pvalue > 1e-4


def test_noise_grows_with_sigma_and_no_further_than_the_range():
    train = train_set(kind="float32 images")
    one, two, huge = (near_copies(train, 10, rng(), sigma=s, shift=1).images_M[200:] for s in (1, 2, 1e6))
    still = near_copies(train, 10, rng(), sigma=0, shift=1).images_M[200:]
    inner = (two > train.images.amin()) & (two < train.images.amax())
    torch.testing.assert_close((two - still)[inner], 2 * (one - still)[inner], atol=1e-5, rtol=1e-4)
    bounds = torch.stack([train.images.amin((0, 2, 3)), train.images.amax((0, 2, 3))])
    at_bound = (huge[..., None] == bounds.T[None, :, None, None]).any(-1)
    assert float(at_bound.double().mean()) > 0.999


@pytest.mark.parametrize("far", [3e38, 6e4])
def test_ranges_that_overflow_stay_finite(far):
    dtype = torch.float16 if far < 1e5 else torch.float32
    train = Examples(torch.tensor([[-far, 0.0], [far, 1.0]] * 5).to(dtype), torch.arange(10) % 2)
    pool = near_copies(train, 2, rng(), sigma=1000)
    assert bool(pool.images_M.isfinite().all())
    assert bool(ambiguous(train, 2, rng()).images_M.isfinite().all())


def test_shifts_are_uniform_and_repeat_the_border():
    train = train_set(40, 2)
    exact = near_copies(train, 2, rng(), sigma=0, factor=10)
    pool = near_copies(train, 2, rng(), sigma=0, shift=1, factor=10)
    moves = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    found = torch.zeros(9, dtype=torch.int64)
    for copy, source in zip(pool.images_M[40:], exact.source_N[40:].tolist(), strict=True):
        padded = np.pad(train.images[source, 0].numpy(), 1, mode="edge")
        shifted = [padded[1 - down : 5 - down, 1 - right : 5 - right] for down, right in moves]
        (which,) = [i for i, image in enumerate(shifted) if np.array_equal(image, copy[0])]
        found[which] += 1
    assert chisquare(found.numpy()).pvalue > 1e-4


@pytest.mark.parametrize(
    ("factor", "n_templates", "n_shown"), [(0, 10, 0), (0.1, 10, 10), (2, 1, 1), (2, 500, 20)]
)
def test_few_copies_and_few_templates(factor, n_templates, n_shown):
    train = train_set()
    pool = near_copies(train, 10, rng(), factor=factor, n_templates=n_templates, sigma=1e-3)
    assert len(pool) == len(pool.images_M) == 200 + round(200 * factor)
    assert bool(pool.is_noisy_N[:200][train.labels == 1].all())
    shown = pool.images_M[200:].unique(dim=0)
    assert len(shown) <= max(n_shown, 0)
    assert n_templates != 1 or torch.equal(shown[0], train.images[1])


# ---- redundant


@pytest.mark.parametrize("sigma", [0, 8])
def test_redundant_is_copies_of_every_row_under_its_label(sigma):
    train = train_set()
    pool = redundant(train, 10, rng(), sigma=sigma)
    assert torch.equal(pool.labels_N, train.labels.repeat(3))
    assert not bool(pool.is_noisy_N.any())
    known = corrupt(partial(redundant, sigma=sigma), train, 10, seed=0)
    assert known.true_N is not None
    assert torch.equal(known.true_N.long(), pool.labels_N)
    if sigma == 0:
        assert pool.images_M is train.images
        assert torch.equal(pool.source_N, torch.arange(200).repeat(3))
    else:
        assert torch.equal(pool.source_N, torch.arange(600))
        inner = (train.images > 40) & (train.images < 215)
        for copy in pool.images_M[200:].split(200):
            residual = (copy.int() - train.images.int())[inner].double()
            assert abs(float(residual.mean())) < 0.5
            assert abs(float(residual.std()) - 8) < 0.5
        assert not torch.equal(pool.images_M[200:400], pool.images_M[400:])


def test_one_copy_is_the_row_itself():
    pool = redundant(train_set(), 10, rng(), copies=1)
    assert len(pool) == len(pool.images_M) == 200


# ---- ambiguous


def decoded(pool: NoisyPool, n: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The rows mixed in each added image, where every row is a unit vector and the first has the larger share."""
    top = pool.images_M[n:].topk(2, dim=1)
    torch.testing.assert_close(pool.images_M[n:].sum(1), torch.ones(len(pool) - n))
    return top.indices[:, 0], top.indices[:, 1], top.values[:, 0]


def test_ambiguous_is_its_definition():
    labels = torch.tensor([0] * 8 + [1] * 4 + [2] * 2)
    train = Examples(torch.eye(14), labels)
    pool = ambiguous(train, 3, rng(), factor=1000, mix=[0.55, 0.9])
    first, second, share = decoded(pool, 14)
    assert chisquare(torch.bincount(first, minlength=14).numpy()).pvalue > 1e-4
    for c in range(3):
        among = torch.bincount(second[labels[first] == c], minlength=14)
        assert not bool(among[labels == c].any())
        assert chisquare(among[labels != c].numpy()).pvalue > 1e-4
    assert kstest((share.double().numpy() - 0.55) / 0.35, "uniform").pvalue > 1e-4
    sold = pool.labels_N[14:]
    is_first = sold == labels[first]
    assert bool((is_first | (sold == labels[second])).all())
    z = (is_first.double() - share).sum() / (share * (1 - share)).sum().sqrt()
    assert abs(float(z)) < 4
    assert bool(pool.is_noisy_N[14:].all())
    assert not bool(pool.is_noisy_N[:14].any())
    assert pool.true_N is not None
    assert torch.equal(pool.true_N[14:], labels[first])
    assert pool.draw is not None
    again = pool.draw(torch.full((4000,), 14 + 5), stream(0, "again"))
    assert {*again.tolist()} == {int(labels[first[5]]), int(labels[second[5]])}
    assert abs(float((again == labels[first[5]]).double().mean()) - float(share[5])) < 0.04


def test_the_right_label_of_an_ambiguous_image_is_the_more_probable_one():
    train = Examples(torch.eye(12), torch.arange(12) % 3)
    pool = ambiguous(train, 3, rng(), factor=50)
    first, second, share = decoded(pool, 12)
    assert 0.5 <= float(share.min()) < 0.51
    assert float(share.max()) <= 0.7
    assert pool.true_N is not None
    assert torch.equal(pool.true_N[12:], train.labels[first])
    assert not torch.equal(train.labels[first], train.labels[second])


def test_mixtures_of_grey_levels_are_rounded():
    train = Examples(torch.tensor([10, 255], dtype=torch.uint8).view(2, 1, 1, 1), torch.arange(2))
    pool = ambiguous(train, 2, rng(), factor=5, mix=[0.5, 0.5])
    assert pool.images_M[2:].flatten().tolist() == [132] * 10  # 132.5 rounds to even
    ends = ambiguous(train, 2, rng(), factor=5, mix=[1, 1])
    assert torch.equal(train.labels[(ends.images_M[2:].flatten() == 255).long()], ends.labels_N[2:])


@pytest.mark.parametrize(("factor", "n"), [(0, 0), (0.1, 20)])
def test_a_small_factor_of_ambiguous_images(factor, n):
    pool = ambiguous(train_set(), 10, rng(), factor=factor)
    assert len(pool) == len(pool.images_M) == 200 + n


def test_one_class_has_nothing_to_be_mixed_with():
    train = Examples(torch.zeros(5, 2), torch.ones(5).long())
    with pytest.raises(
        BadInput, match=r"^noise: ambiguous images need rows of two classes, and all are of class 1$"
    ):
        ambiguous(train, 3, rng())


# ---- long tail


@pytest.mark.parametrize(
    ("rho", "sizes"),
    [
        (1, [5000] * 10),
        (10, [5000, 3871, 2997, 2320, 1796, 1391, 1077, 834, 645, 500]),
        (100, [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]),
        (1e300, [5000] + [1] * 9),
    ],
)
def test_long_tails_of_cifar10_are_those_of_the_paper(rho, sizes):
    train = Examples(torch.zeros(50_000, 1, dtype=torch.uint8), torch.arange(50_000) % 10)
    pool = long_tail(train, 10, rng(), rho=rho)
    assert torch.bincount(pool.labels_N).tolist() == sizes
    assert torch.equal(pool.labels_N, train.labels[pool.source_N])
    assert pool.images_M is train.images
    assert not bool(pool.is_noisy_N.any())


def test_long_tails_are_drawn_at_random_and_nested():
    train = train_set(2000)
    kept = [{*long_tail(train, 10, rng(), rho=rho).source_N.tolist()} for rho in (2, 10, 50)]
    assert kept[2] < kept[1] < kept[0]
    of_last = torch.zeros(2000)
    for seed in range(100):
        of_last[long_tail(train, 10, rng(seed), rho=4).source_N] += 1
    counts = of_last[train.labels == 9]  # 50 of 200 rows, a hundred times
    assert int(counts.sum()) == 5000
    assert chisquare(counts.numpy()).pvalue > 1e-4


def test_a_class_smaller_than_its_tail_keeps_all():
    labels = torch.tensor([0] * 4 + [1] * 40 + [2] * 40)
    pool = long_tail(Examples(torch.zeros(84, 1), labels), 3, rng(), rho=4)
    assert torch.bincount(pool.labels_N).tolist() == [4, 20, 10]
    two = long_tail(Examples(torch.zeros(6, 1), torch.arange(6) % 2), 2, rng(), rho=3)
    assert torch.bincount(two.labels_N).tolist() == [3, 1]


# ---- open set


@pytest.mark.parametrize(
    ("n_classes", "share", "outside"),
    [
        (10, 0.4, [6, 7, 8, 9]),
        (10, 0.01, [9]),
        (10, 1, [*range(2, 10)]),
        (3, 0.4, [2]),
        (3, 0.9, [2]),
        (10, 0, []),
    ],
)
def test_the_last_classes_are_outside(n_classes, share, outside):
    train = train_set(210, n_classes)
    pool = open_set(train, n_classes, rng(), share=share)
    assert list(pool.outside) == outside
    rejected = pool.labels_N == REJECT
    assert torch.equal(rejected, pool.is_noisy_N)
    assert float(rejected.double().mean()) <= share
    shown = train.labels[pool.source_N]
    assert {*shown[rejected].tolist()} <= {*outside}
    assert torch.equal(shown[~rejected], pool.labels_N[~rejected])
    assert int((~rejected).sum()) == sum(c not in outside for c in train.labels.tolist())
    known = corrupt(partial(open_set, share=share), train, n_classes, seed=0)
    assert known.true_N is not None
    assert torch.equal(
        known.true_N[known.labels_N == REJECT].unique(), torch.tensor([-1] * bool(rejected.any())).int()
    )
    assert int(known.labels_N.max()) == n_classes - len(outside) - 1


@pytest.mark.parametrize(
    ("share", "n_rejected"), [(0, 0), (0.1, 4), (0.25, 13), (0.5, 40), (0.9, 60), (1, 60)]
)
def test_the_share_bounds_the_rows_that_are_rejected(share, n_rejected):
    labels = torch.tensor([0] * 30 + [1] * 30 + [2] * 10 + [3] * 30)
    pool = open_set(Examples(torch.zeros(100, 1), labels), 4, rng(), share=share, outside=[1, 3])
    assert pool.outside == (1, 3)
    assert int((pool.labels_N == REJECT).sum()) == n_rejected
    assert 0 < n_rejected < 60 or share in (0, 0.9, 1)
    known = corrupt(
        partial(open_set, share=share, outside=[1, 3]), Examples(torch.zeros(100, 1), labels), 4, seed=0
    )
    assert torch.bincount(known.labels_N[known.labels_N != REJECT]).tolist() == [30, 10]


def test_which_rows_are_rejected_is_drawn_at_random():
    labels = torch.arange(300) % 3
    counts = torch.zeros(300)
    for seed in range(60):
        pool = open_set(Examples(torch.zeros(300, 1), labels), 3, rng(seed), share=0.2)
        counts[pool.source_N[pool.labels_N == REJECT]] += 1
    assert chisquare(counts[labels == 2].numpy()).pvalue > 1e-4


def test_a_rejected_row_is_rejected_whenever_it_is_asked():
    pool = open_set(train_set(), 10, rng())
    assert pool.draw is not None
    assert pool.draw(torch.arange(3), rng()).tolist() == [REJECT] * 3


STRATEGIES = {
    "badge": BADGE(),
    "coreset": CoreSet("trained"),
    "fisher": Fisher(lambda p: 1 - p.square().sum(1), ridge=1.0, count_rows=False, max_candidates=None),
    "lhd": LHD(lambda loss, hidden: loss[:, None] * hidden, batch_statistics=None),
    "kmeans": KMeans(features="given", max_iterations=20),
}


def settled(root, *words: str) -> dict[str, Any]:
    config = OmegaConf.to_container(composed(*words, root=root), resolve=True)
    assert isinstance(config, dict)
    return {str(key): value for key, value in config.items()}


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Experiment:
    words = ["finetune=pseudo_label", "finetune.min_rows=1", "finetune.confidence=0", "train.max_epochs=1"]
    config = settled(tmp_path_factory.mktemp("base"), *TOY, "noise=open_set", *words)
    return build_experiment(config, "it")


@pytest.mark.parametrize(
    ("alg", "start"),
    [("badge", Random()), ("coreset", STRATEGIES["kmeans"]), ("fisher", Random()), ("lhd", Balanced())],
    ids=["badge", "coreset from kmeans", "fisher", "lhd from balanced"],
)
def test_a_run_on_an_open_set(alg, start, base):
    experiment = replace(base, alg=STRATEGIES[alg], start=start)
    setup = experiment.prepare(torch.device("cpu"))
    assert setup.task.n_classes == 6
    assert int(setup.task.test.labels.max()) == 5
    assert setup.learner.new_network()(torch.zeros(2, 1, 8, 8))[0].shape == (2, 6)
    history = History()
    run(setup, history)
    labels = [purchase.labels for purchase in history.purchases]
    assert [row.n_labelled for row in history.rounds] == [40, 60, 80]
    assert [row.n_rejected for row in history.rounds] == [
        *(int((one == REJECT).sum()) for one in labels[1:3]),
        None,
    ]
    for row, purchase in zip(history.rounds[:2], history.purchases[1:], strict=False):
        assert row.bought_per_class is not None
        assert len(row.bought_per_class) == 6
        assert sum(row.bought_per_class) + (row.n_rejected or 0) == 20
        assert row.right_share == row.clean_share == 1 - (row.n_rejected or 0) / 20
        assert torch.equal(purchase.is_noisy, purchase.labels == REJECT)
    bought = torch.cat([purchase.ids for purchase in history.purchases])
    assert len(bought.unique()) == len(bought) == 80  # a rejected row is bought once
    assert len(setup.pool.rejected_ids()) == int((torch.cat(labels) == REJECT).sum()) > 0
    assert bool((labels[0] == REJECT).any()) != isinstance(start, Balanced)
    again = experiment.prepare(torch.device("cpu"))
    check_purchases(history.purchases, again.oracle, again.pool.source_N, again.start_ids)
    purchase = history.purchases[2]
    forged = torch.where(purchase.labels == REJECT, 0, REJECT)
    with pytest.raises(BadInput, match=r"says that row \d+ has label (0|-1); by the data it is"):
        check_purchases(
            [*history.purchases[:2], replace(purchase, labels=forged)],
            again.oracle,
            again.pool.source_N,
            again.start_ids,
        )


def test_a_run_on_an_open_set_goes_on_and_is_reported(tmp_path):
    words = [*TOY, "noise=open_set", "alg=margin"]
    run_here(*words, root=tmp_path / "whole")
    run_here(*words, "n_end=60", root=tmp_path / "grown")
    run_here(*words, root=tmp_path / "grown")
    assert records(tmp_path / "whole") == records(tmp_path / "grown")
    (one,) = read([tmp_path / "whole"]).runs
    with np.load(only(tmp_path / "whole") / "queries.npz") as queries:
        sold = queries["labels"][queries["round"] >= 0]
    counts = count_rows(one)
    assert counts is not None
    assert counts.tolist() == [np.bincount(sold[sold >= 0], minlength=6).tolist(), [0] * 6]
    assert (sold < 0).any()
    rounds = hetal.load(tmp_path / "whole").rounds
    assert rounds.n_rejected.sum() == (sold < 0).sum()
    assert rounds.bought_per_kind[0] == {"clean": 20 - rounds.n_rejected[0], "open_set": rounds.n_rejected[0]}


def test_names_of_classes_follow(tmp_path):
    words = ["data=wine", "noise=open_set", "noise.outside=[0]", "n_start=10", "n_query=10", "n_end=20"]
    setup = build_experiment(settled(tmp_path, *words), "badge").prepare(torch.device("cpu"))
    assert setup.task.class_names == ("class_1", "class_2")
    assert setup.task.n_classes == 2


def test_names_say_what_is_special(tmp_path):
    words = ["noise=mixed", "noise.of=[near_copies,open_set,ambiguous]", "noise.near_copies.shift=1"]
    parts = settled(tmp_path, *words, "noise.open_set.outside=[6,7]")["noise"]["parts"]
    assert [parts[name]["name"] for name in ("near_copies", "open_set", "ambiguous")] == [
        "near_copies 8 shift 1",
        "open_set 0.4 outside 6 7",
        "ambiguous 0.3-0.7",
    ]


@pytest.mark.parametrize(
    ("noise", "budget"), [("class", (7, 7, 71)), ("long_tail", (3, 3, 28)), ("open_set", (5, 5, 52))]
)
def test_a_budget_that_is_not_set_fits_the_rows_that_can_be_bought(noise, budget, tmp_path):
    config = with_budget(settled(tmp_path, "data=wine", f"noise={noise}"))
    assert (config["n_start"], config["n_query"], config["n_end"]) == budget


# ---- memory


def tensors_of(value: object) -> Iterator[torch.Tensor]:
    """All tensors that an object holds, in closures too."""
    if isinstance(value, torch.Tensor):
        yield value
    elif callable(value):
        for cell in getattr(value, "__closure__", None) or ():
            yield from tensors_of(cell.cell_contents)
    elif is_dataclass(value):
        for field in fields(value):
            yield from tensors_of(getattr(value, field.name))
    elif isinstance(value, (tuple, list)):
        for one in value:
            yield from tensors_of(one)
    elif isinstance(value, (Pool, Oracle)):
        for one in vars(value).values():
            yield from tensors_of(one)


@pytest.mark.parametrize("name", ALL)
def test_what_is_kept_of_a_row_is_small(name):
    train = train_set(20_000, kind="uint8 vectors")
    noisy = shuffled(corrupt(ALL[name], train, 10, seed=0), rng())
    pool, oracle = Pool(noisy.images_M, noisy.source_N), Oracle(noisy)
    own = (train.images, train.labels, noisy.images_M)
    known = {tensor.untyped_storage().data_ptr() for tensor in own}
    kept = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors_of([pool, oracle])}
    n_bytes = sum(size for pointer, size in kept.items() if pointer not in known)
    assert 25 <= n_bytes / len(noisy) <= 60  # 10^7 rows: 0.6 GB
