"""The conformance check of a noise passes what keeps the contract, and names the mistakes of others."""

import random
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from hetal.errors import BadInput
from hetal.noise import NoisyPool, blank_noise, extend, in_place, symmetric_noise
from hetal.rng import draw_seed
from hetal.testing import check_noise, noise
from hetal.testing.training_sets import TRAINING_SETS


def flips(train, n_classes, rng, share=0.4):
    """In place, without a `draw`, as in EXTENDING.md."""
    is_noisy = torch.rand(len(train), generator=rng) < share
    labels = torch.randint(n_classes, (len(train),), generator=rng)
    return in_place(train, torch.where(is_noisy, labels, train.labels), is_noisy)


def added(train, n_classes, rng, image=None, source=0, **more):
    """Twenty rows that show one grey image."""
    images = torch.full_like(train.images[:1], 7) if image is None else image
    labels = torch.randint(n_classes, (20,), generator=rng)
    return extend(train, images, torch.full((20,), len(train) + source), labels, **more)


def with_numpy(train, n_classes, rng):
    own = np.random.default_rng(draw_seed(rng))
    return in_place(
        train, torch.from_numpy(own.integers(n_classes, size=len(train))), torch.ones(len(train)) > 0
    )


def only_vectors(train, n_classes, rng):
    if train.images.dim() > 2:
        raise BadInput("noise: takes vectors only")
    return flips(train, n_classes, rng)


def third_class_outside(train, n_classes, rng):
    if n_classes == 2:
        raise BadInput("noise: takes a class out of the task, so it needs three")
    is_outside = train.labels == 2
    return replace(in_place(train, torch.where(is_outside, -1, train.labels), is_outside), outside=(2,))


def next_class(train, n_classes, rng):
    """No draw is anew, since nothing is drawn."""
    labels = (train.labels + 1) % n_classes
    return in_place(train, labels, torch.ones(len(train)) > 0, lambda rows, rng: labels[rows])


@pytest.mark.parametrize("kept", [flips, added, with_numpy, only_vectors, third_class_outside, next_class])
def test_what_keeps_the_contract_passes(kept):
    check_noise(kept, seeds=[0])


@pytest.mark.parametrize("rate", [0, 1])
def test_extreme_rates_pass(rate, monkeypatch):
    monkeypatch.setattr(noise, "TRAINING_SETS", few("uint8 images", "one row a class"))
    check_noise(partial(symmetric_noise, rate=rate, inclusive=False))


def few(*names):
    return {name: TRAINING_SETS[name] for name in names}


def changed(**changes):
    """A noise whose pool differs from that of `flips`."""

    def made(train, n_classes, rng):
        pool = flips(train, n_classes, rng)
        return replace(pool, **{key: value(pool, train) for key, value in changes.items()})

    return made


def drawing(draw, **more):
    """Uniform labels, marked as noisy, with a `draw`."""

    def made(train, n_classes, rng):
        labels = torch.randint(n_classes, (len(train),), generator=rng)
        pool = in_place(train, labels, torch.ones(len(train)) > 0, partial(draw, labels, n_classes))
        return replace(pool, **more)

    return made


def wrong_after_another(train, n_classes, rng):
    return replace(flips(train, n_classes, rng), labels_N=train.labels[torch.arange(160)])


def writes(train, n_classes, rng):
    train.labels[:3] = 0
    return flips(train, n_classes, rng)


def writes_votes(train, n_classes, rng):
    train.columns["votes"].zero_()
    return flips(train, n_classes, rng)


def from_torch(train, n_classes, rng):
    return flips(train, n_classes, torch.default_generator)


def from_numpy(train, n_classes, rng):
    return flips(train, n_classes, torch.Generator().manual_seed(int(np.random.randint(9))))  # noqa: NPY002


def from_python(train, n_classes, rng):
    return flips(train, n_classes, torch.Generator().manual_seed(random.randrange(9)))


def from_nowhere(train, n_classes, rng):
    return flips(train, n_classes, torch.Generator().manual_seed(random.SystemRandom().randrange(2**60)))


def other_dtype(train, n_classes, rng):
    torch.set_default_dtype(torch.float64)
    return flips(train, n_classes, rng)


def divides(train, n_classes, rng):
    return 1 / 0


def refuses(train, n_classes, rng):
    raise BadInput("noise.level=3: too loud")


def exclusive_but_drawn_whole(train, n_classes, rng):
    """`draw` keeps most labels, as for all rows, but no `is_drawn_N` says that these are meant."""
    pool = symmetric_noise(train, n_classes, rng, rate=0.4, inclusive=False)
    return replace(pool, is_drawn_N=None)


def by_place_among_the_added(train, n_classes, rng):
    """`draw` takes numbers of rows for numbers of those that were added; each sells one class mostly."""
    main = torch.randint(n_classes, (200,), generator=rng)

    def draw(rows, rng):
        other = torch.randint(n_classes, (len(rows),), generator=rng)
        return torch.where(torch.rand(len(rows), generator=rng) < 0.7, main[rows % 200], other)

    images = train.images[torch.arange(200) % len(train)]
    return extend(train, images, len(train) + torch.arange(200), draw(torch.arange(200), rng), draw)


BAD = {
    r"it returns a tuple; it must return a NoisyPool": lambda *_: (),
    r"ZeroDivisionError: division by zero \(.*test_check_noise.py:\d+\)": divides,
    r"it refuses every training set: noise\.level=3: too loud": refuses,
    r"labels_N holds 1..10; it must be in 0..9": changed(labels_N=lambda pool, train: train.labels + 1),
    r"must begin with those of the training set": changed(images_M=lambda pool, train: pool.images_M.flip(0)),
    r"it wrote to train\.labels; change a copy": writes,
    r"it wrote to train\.columns\['votes'\]; change a copy": writes_votes,
    r"it uses or seeds the global generator of torch; draw from rng": from_torch,
    r"it uses or seeds the global generator of numpy": from_numpy,
    r"it uses or seeds the global generator of python": from_python,
    r"the same state of rng gave another labels_N": from_nowhere,
    r"it changed torch\.get_default_dtype\(\)": other_dtype,
    r"label is \d, and sells \d, but is_noisy_N says that it is clean": changed(
        is_noisy_N=lambda pool, train: torch.zeros(len(train)) > 0
    ),
    r"label is \d, and true_N says \d; it must be the label there, or -1": changed(
        true_N=lambda pool, train: pool.labels_N
    ),
    r"row 160 shows an image that was added, and true_N says that it has no right label": partial(
        added, is_noisy=False, true=torch.full((20,), -1)
    ),
    r"row 16\d sells \d, true_N says 0, but is_noisy_N says that it is clean": partial(
        added, is_noisy=False, true=torch.zeros(20)
    ),
    r"image 160 was added, and no row shows it": partial(added, source=-1),
    r"outside is \(10,\); it must hold classes, in 0..9": changed(outside=lambda *_: (10,)),
    r"outside holds 9 of 10 classes; at least 2": changed(outside=lambda *_: (*range(9),)),
    r"row \d+ is of a class outside the task, but sells \d; its label must be -1": changed(
        outside=lambda *_: (2,)
    ),
    r"after symmetric noise: noise: .*wrong_after_another fails: IndexError": wrong_after_another,
    r"draw gave torch.float32 of shape \(160,\) for 160 rows": drawing(lambda *_: torch.zeros(160)),
    r"draw gave labels in 10..10; they must be classes of the task": drawing(
        lambda labels, c, rows, rng: torch.full_like(rows, c)
    ),
    r"draw uses the global generator of torch": drawing(
        lambda labels, c, rows, rng: torch.randint(c, rows.shape)
    ),
    r"draw gave labels of no rows|draw gave torch.int64 of shape": drawing(
        lambda labels, c, rows, rng: labels
    ),
    r"draw gave the labels that the pool sells 30 times": drawing(lambda labels, c, rows, rng: labels[rows]),
    r"draw changed labels_N of the pool": drawing(
        lambda labels, c, rows, rng: labels.copy_(torch.randint(c, labels.shape, generator=rng))[rows]
    ),
    r"draw draws labels of another distribution.*is_drawn_N": exclusive_but_drawn_whole,
    r"draw draws labels of another distribution": by_place_among_the_added,
}


@pytest.mark.parametrize("said", BAD)
def test_mistakes_are_named(said, monkeypatch):
    monkeypatch.setattr(noise, "TRAINING_SETS", few("uint8 images"))
    with pytest.raises(AssertionError, match=f"(?s)^mine breaks the contract of a noise:\n.*{said}"):
        check_noise(BAD[said], name="mine", seeds=[0])


def test_all_mistakes_are_listed_once_by_where_they_were_seen_first():
    with pytest.raises(AssertionError) as caught:
        check_noise(partial(blank_with_two_mistakes, factor=1.0))
    title, *lines = str(caught.value).splitlines()
    assert title == "blank_with_two_mistakes breaks the contract of a noise:"
    assert sum("it uses or seeds the global generator of torch" in line for line in lines) == 1
    assert any(line.startswith("float32 images, seed 0: image 60 was added") for line in lines)


def blank_with_two_mistakes(train, n_classes, rng, factor):
    torch.rand(1)
    pool: NoisyPool = blank_noise(train, n_classes, rng, factor=factor)
    return replace(pool, source_N=pool.source_N.clamp(max=len(train) - 1))
