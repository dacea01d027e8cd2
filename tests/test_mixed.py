"""Noise settings applied one after another: which rows each gets, its draws, and what is known of every row."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from scipy.stats import chisquare

from hetal.app.names import with_parts_of_noise
from hetal.data import load_digits
from hetal.errors import BadInput
from hetal.noise import (
    NoisyPool,
    blank_noise,
    class_noise,
    corrupt,
    extend,
    in_place,
    mixed,
    no_noise,
    symmetric_noise,
)
from hetal.noise.pool import shuffled
from hetal.oracle import Answers, Oracle, asked_again, per_kind
from hetal.pool import Pool
from hetal.record.overrides import as_needed
from hetal.record.schema import REJECT
from hetal.rng import stream
from hetal.sweep.overrides import as_options
from hetal.task import Examples, Task
from tests.command_line import TOY, records, run_here

SYMMETRIC = partial(symmetric_noise, rate=0.4, inclusive=False)
BLANK = partial(blank_noise, factor=2)
CLASS = partial(class_noise, factor=1, noisy_class=1, n_templates=5)
PARTS = {"symmetric": SYMMETRIC, "blank": BLANK, "class": CLASS, "clean": no_noise}


def train_set(n: int = 400, n_classes: int = 4) -> Examples:
    images = torch.randint(256, (n, 1, 3, 3), generator=stream(0, "images"), dtype=torch.uint8)
    columns = {"human": torch.arange(n) % 3}
    return Examples(images, torch.arange(n) % n_classes, columns)


def mix(*of: str, **parts) -> NoisyPool:
    noise = partial(mixed, of=of, parts={**PARTS, **parts})
    return corrupt(noise, train_set(), 4, seed=3)


def labels_of(pool: NoisyPool, n: int = 400) -> torch.Tensor:
    """The labels of the training rows, whatever the order of the pool's."""
    labels = torch.full((n,), -9)
    shown = pool.source_N < n
    labels[pool.source_N[shown]] = pool.labels_N[shown]
    return labels


def kinds(pool: NoisyPool) -> dict[str, int]:
    assert pool.parts is not None
    number = torch.where(pool.is_noisy_N, pool.parts.number_N.long(), 0)
    return {name: int((number == i).sum()) for i, name in enumerate(pool.parts.names)}


def test_a_noise_draws_the_same_whatever_is_applied_after_it():
    alone = corrupt(SYMMETRIC, train_set(), 4, seed=3)
    for pool in (mix("symmetric"), mix("symmetric", "blank"), mix("symmetric", "blank", "class")):
        noisy = alone.is_noisy_N
        assert torch.equal(labels_of(pool)[noisy], labels_of(alone)[noisy])
    assert not torch.equal(labels_of(corrupt(SYMMETRIC, train_set(), 4, seed=4)), labels_of(alone))


def test_each_is_applied_to_the_rows_that_are_still_clean():
    pool = mix("class", "symmetric", "blank")
    counts = kinds(pool)
    n_clean = counts["clean"]
    assert counts["class"] == 100 + 400
    assert counts["symmetric"] == 300 - n_clean
    assert counts["blank"] == 2 * n_clean
    assert len(pool) == sum(counts.values())
    assert pool.true_N is not None
    assert pool.parts is not None
    of_class = pool.parts.number_N == 1
    assert bool((pool.true_N[of_class] == 1).all())
    assert bool((pool.true_N[pool.parts.number_N == 3] == -1).all())
    right = pool.labels_N == pool.true_N
    assert bool(right[~pool.is_noisy_N].all())
    assert not bool(right[(pool.parts.number_N == 2) & pool.is_noisy_N].any())


def test_no_image_is_copied_and_those_of_the_training_set_come_first():
    pool = mix("class", "symmetric", "blank")
    assert len(pool.images_M) == 401
    assert torch.equal(pool.images_M[:400], train_set().images)
    assert torch.equal(pool.source_N.unique(), torch.arange(401))


def test_labels_and_columns_reach_the_next_noise_with_their_rows():
    seen = {}

    def remember(train, n_classes, rng):
        seen.update(n=len(train), labels=train.labels, human=train.columns["human"], images=train.images)
        return no_noise(train, n_classes, rng)

    first = mix("symmetric")
    mix("symmetric", "remember", remember=remember)
    clean = torch.nonzero(~first.is_noisy_N).flatten()
    assert torch.equal(seen["labels"], train_set().labels[clean])
    assert torch.equal(seen["human"], train_set().columns["human"][clean])
    assert torch.equal(seen["images"], train_set().images[clean])

    def without_columns(train, n_classes, rng):
        assert train.columns == {}
        return no_noise(train, n_classes, rng)

    def copied(train, n_classes, rng):
        return extend(
            train, train.images[:7] // 2, len(train) + torch.arange(7), train.labels[:7], is_noisy=False
        )

    assert kinds(mix("copied", "last", copied=copied, last=without_columns))["clean"] == 407


def regions(train, n_classes, rng):
    """In place: the upper half of the rows is a region of noise."""
    region = (torch.arange(len(train)) >= len(train) // 2).long()
    labels = torch.where(region == 1, (train.labels + 1) % n_classes, train.labels)
    return in_place(train, labels, region == 1, region=region)


def test_regions_stay_with_their_rows():
    pool = mix("regions", "symmetric", "blank", regions=regions)
    assert pool.region_N is not None
    shown = pool.source_N < 400
    assert torch.equal(pool.region_N[shown], (pool.source_N[shown] >= 200).long())
    assert bool((pool.region_N[~shown] == -1).all())
    later = mix("symmetric", "regions", regions=regions)
    assert later.region_N is not None
    assert bool((later.region_N[later.is_noisy_N & (later.parts.number_N == 1)] == -1).all())
    with pytest.raises(BadInput, match=r"noise\.of: more is the second setting with regions"):
        mix("regions", "more", regions=regions, more=regions)


def without_class_2(train, n_classes, rng):
    """Open set: the rows of class 2 are of no class of the task."""
    is_outside = train.labels == 2
    pool = in_place(train, torch.where(is_outside, -1, train.labels), is_outside)
    return replace(pool, true_N=torch.where(is_outside, -1, train.labels), outside=(2,))


def test_classes_outside_the_task_are_taken_out_of_its_labels():
    pool = mix("open", "symmetric", open=without_class_2)
    assert pool.outside == (2,)
    assert pool.labels_N.unique().tolist() == [-1, 0, 1, 2]
    true = torch.tensor([0, 1, -1, 2])[pool.source_N % 4]
    assert torch.equal(pool.true_N.long(), true)
    assert bool((pool.labels_N[true == -1] == -1).all())
    test = Examples(torch.zeros(8, 1, 3, 3, dtype=torch.uint8), torch.arange(8) % 4)
    task = Task(train_set(), test, 4, class_names=("a", "b", "c", "d")).without((2,))
    assert (task.n_classes, task.class_names, len(task.train)) == (3, ("a", "b", "d"), 300)
    assert task.test.labels.tolist() == [0, 1, 2, 0, 1, 2]

    def drawn(train, n_classes, rng):
        pool = without_class_2(train, n_classes, rng)
        labels = pool.labels_N
        return replace(pool, draw=lambda rows, rng: labels[rows], is_drawn_N=torch.ones(400).bool())

    oracle = Oracle(corrupt(drawn, train_set(), 4, seed=0), Answers(fresh=True, relabel=False))
    ids, again = torch.arange(400), torch.ones(400).bool()
    assert torch.equal(oracle.answer(ids, again, stream(0, "o"))[0], oracle.label(ids))
    with pytest.raises(
        BadInput, match=r"noise\.of: open takes classes out of the task, so it must come first"
    ):
        mix("blank", "open", open=without_class_2)


@pytest.mark.parametrize(
    ("of", "parts", "says"),
    [
        ((), {}, r"^noise\.of=\[\]: must name at least one"),
        (("blank", "blank"), {}, r"^noise\.of: names blank twice"),
        (("nope",), {}, r"^noise\.of: names nope, which is none of noise\.parts: symmetric, blank"),
        (("symmetric",), {"symmetric": partial(symmetric_noise, rate=2, inclusive=False)},
         r"^noise\.symmetric\.rate=2: must be a number in 0\.\.1"),
        (("all", "blank"), {"all": lambda t, c, rng: in_place(t, t.labels, t.labels >= 0)},
         r"^noise\.of: all leaves no clean row to blank"),
        (("none",), {"none": lambda t, c, rng: NoisyPool(t.images, *3 * [torch.zeros(0).long()])},
         r"^noise: is_noisy_N is torch.int64|^noise: it leaves no row"),
        (("wrong",), {"wrong": lambda t, c, rng: replace(no_noise(t, c, rng), images_M=t.images.flip(0))},
         r"^noise: its images must begin with those of the training set"),
        (("two", "blank"), {"two": partial(mixed, of=["symmetric"], parts=PARTS)},
         r"^noise\.of: two is a mixture itself; its parts can be named instead"),
        (("list",), {"list": lambda t, c, rng: []}, r"gives a list; it must give a NoisyPool"),
    ],
)  # fmt: skip
def test_a_mixture_that_is_none_is_one_line(of, parts, says):
    with pytest.raises(BadInput, match=says):
        mix(*of, **parts)


def test_what_is_typed_of_a_mixture_becomes_what_hydra_takes():
    part = "+noise@noise.parts."
    assert as_options(["noise=mixed", "noise.of=[class,symmetric]", "noise.symmetric.rate=0.2"]) == [
        "noise=mixed", "noise.of=[class,symmetric]", "noise.parts.symmetric.rate=0.2", f"{part}class=class",
    ]  # fmt: skip
    assert as_options(["noise=mixed", "noise.blank.factor=1,2"]) == [
        "noise=mixed",
        "noise.parts.blank.factor=1,2",
    ]
    swept = as_options(["noise=mixed", "noise.of=[class],[diverse,class]"])
    assert swept[2:] == [f"{part}class=class", f"{part}diverse=diverse"]
    assert as_options(swept) == swept
    assert as_options(["noise=pair,instance", "noise.rate=0.2", "mult=1,2", "mult.factor=3"]) == [
        "noise=pair,instance", "noise.rate=choice(0.2)", "mult.factor=3",
    ]  # fmt: skip
    for unchanged in (
        ["noise=mixed", "noise.of=null"],
        ["noise=my_mixed", "noise.of=[blank]"],
        ["noise=class", "noise.of=[blank]"],
        ["noise=class", "noise.factor=2"],
    ):
        assert as_options(unchanged) == unchanged


def test_a_command_of_one_run_has_no_settings_of_noise_that_it_does_not_name():
    swept = ["noise=mixed", "noise.of=[blank]", "noise.parts.symmetric.rate=0.1", "noise.parts.blank.factor=2",
             "+noise@noise.parts.class=class", "+noise.name=x"]  # fmt: skip
    assert as_needed(swept) == ["noise=mixed", "noise.of=[blank]", "noise.blank.factor=2", "+noise.name=x"]
    for unchanged in (
        ["noise=hard", "noise.of=[tail]", "noise.parts.tail.rho=10"],
        ["noise=symmetric", "noise.rate=1"],
    ):
        assert as_needed(unchanged) == unchanged


# ---- the oracle


def asked(noise, answers: Answers, times: int, n_classes: int = 4) -> tuple[Oracle, torch.Tensor]:
    """Answers to asking all rows `times` times after the first: (times, N)."""
    pool = shuffled(corrupt(noise, train_set(), n_classes, seed=0), stream(0, "order"))
    oracle, ids = Oracle(pool, answers), torch.arange(len(pool))
    again = torch.ones(len(pool), dtype=torch.bool)
    return oracle, torch.stack([oracle.answer(ids, again, stream(0, "oracle", t))[0] for t in range(times)])


def test_a_persistent_oracle_always_gives_the_same_label():
    oracle, answers = asked(SYMMETRIC, Answers(fresh=False, relabel=False), 3)
    assert bool((answers == oracle.label(torch.arange(400))).all())


def test_a_fresh_oracle_draws_from_the_noise_of_every_row():
    noise = partial(mixed, of=["class", "blank"], parts=PARTS)
    oracle, answers = asked(noise, Answers(fresh=True, relabel=False), 20)
    ids = torch.arange(answers.shape[1])
    clean = ~oracle.is_noisy(ids)
    assert bool((answers[:, clean] == oracle.true(ids)[clean]).all())
    assert chisquare(torch.bincount(answers[:, ~clean].flatten(), minlength=4).numpy()).pvalue > 1e-4
    assert not torch.equal(answers[0], answers[1])


def test_of_a_row_that_is_drawn_anew_a_right_label_is_clean_if_it_could_have_been():
    pool = corrupt(SYMMETRIC, train_set(), 4, seed=0)
    oracle, ids = Oracle(pool, Answers(fresh=True, relabel=False)), torch.arange(400)
    labels, is_noisy = oracle.answer(ids, ids >= 200, stream(0, "oracle"))
    assert torch.equal(labels[:200], pool.labels_N[:200])
    assert torch.equal(is_noisy, labels != train_set().labels)
    n_clean = int((~is_noisy).sum())
    assert per_kind(oracle, ids, is_noisy) == {"clean": n_clean, "symmetric": 400 - n_clean}
    assert 0.25 < float(is_noisy[200:].double().mean()) < 0.55
    blank = Oracle(corrupt(BLANK, train_set(), 4, seed=0), Answers(fresh=True, relabel=False))
    assert bool(blank.answer(torch.arange(400, 1200), torch.ones(800).bool(), stream(0, "o"))[1].all())


def test_a_fresh_oracle_needs_to_know_how():
    fresh = Answers(fresh=True, relabel=False)
    with pytest.raises(BadInput, match="the noise test_mixed does not say how labels are drawn anew"):
        asked(regions, fresh, 1)
    both = partial(mixed, of=["symmetric", "more"], parts={**PARTS, "more": SYMMETRIC})
    with pytest.raises(BadInput, match="symmetric and more together do not say"):
        asked(both, fresh, 1)
    asked(partial(mixed, of=["class", "symmetric"], parts=PARTS), fresh, 1)


def test_an_image_was_asked_before_in_this_query_or_an_earlier_one():
    source = torch.tensor([3, 1, 3, 2, 1, 3])
    assert asked_again(source, torch.zeros(4).bool()).tolist() == [False, False, True, False, True, True]
    assert asked_again(source, torch.arange(4) == 2).tolist() == [False, False, True, True, True, True]


def test_a_row_bought_again_has_its_most_frequent_label_and_of_equal_ones_the_latest():
    pool = Pool(torch.zeros(3, 2), torch.arange(3), may_relabel=True)
    for labels in ([0, 1], [2, 1], [1, 2], [2, 2]):
        pool.reveal(torch.tensor([0, 1]), torch.tensor(labels))
    assert pool.labels(torch.tensor([0, 1])).tolist() == [2, 2]
    assert pool.answers(torch.tensor([1, 0]), 3).tolist() == [[0, 2, 2], [1, 1, 2]]
    assert (pool.n_asked, len(pool.bought_ids())) == (8, 2)
    with pytest.raises(ValueError, match="bought twice"):
        pool.reveal(torch.tensor([2, 2]), torch.tensor([0, 0]))
    for label, expected in ((1, 1), (1, 1), (2, 2), (0, 2), (REJECT, 2), (0, 0)):
        pool.reveal(torch.tensor([0]), torch.tensor([label]))
        assert pool.labels(torch.tensor([0])).tolist() == [expected], label
    pool.reveal(torch.tensor([], dtype=torch.int64), torch.tensor([], dtype=torch.int64))
    for label in (REJECT, 1):
        pool.reveal(torch.tensor([2]), torch.tensor([label]))
    assert pool.labels(torch.tensor([2])).tolist() == [1]


@pytest.mark.parametrize("noise", ["copies", "mixed"])
def test_a_run_with_a_fresh_oracle_goes_on_as_it_was(noise, tmp_path):
    line = [*TOY, f"noise={noise}", "mult=1", "oracle=fresh", "alg=random"]
    run_here(*line, root=tmp_path / "whole")
    run_here(*line, "n_end=60", root=tmp_path / "part")
    run_here(*line, root=tmp_path / "part")
    (whole,), (part,) = (records(tmp_path / name).values() for name in ("whole", "part"))
    for a, b in zip(whole, part, strict=True):
        assert a["queries_digest"] == b["queries_digest"]
        assert a["accuracy"] == b["accuracy"]


def test_digits_with_costs_and_features_say_so(tmp_path):
    import numpy as np

    task = load_digits(n_train=200, mean=[0], std=[1], rng=stream(0, "data"))
    x, y = task.train.images.numpy(), task.train.labels.numpy()
    cost = np.arange(200) / 100
    np.savez(
        tmp_path / "d.npz",
        x_train=x,
        y_train=y,
        x_test=x,
        y_test=y,
        cost_train=cost,
        features_train=x[:, 0, 0],
    )
    line = [*TOY, "data=npz", f"data.path={tmp_path / 'd.npz'}", "data.n_train=null", "start=kmeans", "n_end=200",
            "n_query=160"]  # fmt: skip
    run_here(*line, "noise=clean", root=tmp_path / "clean")
    run_here(*line, "noise=blank", "mult=0.5", root=tmp_path / "blank")
    (clean,), (blank,) = (records(tmp_path / name).values() for name in ("clean", "blank"))
    assert 100 < clean[0]["cost"] < cost.sum()
    assert clean[1]["cost"] is None
    assert blank[0]["cost"] > 0


def test_parts_have_no_name_of_their_own_whatever_names_them():
    parts = {
        "symmetric": {"name": "symmetric 0.4", "rate": 0.4},
        "inner": {"of": ["a"], "parts": {"a": {"name": "x"}}},
    }
    assert with_parts_of_noise({"of": "symmetric", "parts": parts})["parts"]["symmetric"] == {"rate": 0.4}
    assert with_parts_of_noise({"of": ["inner"], "parts": parts})["parts"] == {
        "inner": {"of": ["a"], "parts": {"a": {}}}
    }
