"""Conformance test of a user's own noise, in place or added."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import fields

import torch
from torch import Tensor

from hetal.errors import BadInput
from hetal.machine.process import unchanged
from hetal.noise import Corrupt, NoisyPool, blank_noise, symmetric_noise
from hetal.noise.corrupt import Named, one_by_one, stream_of
from hetal.rng import global_state, seeded, stream
from hetal.task import Examples
from hetal.testing.draws import draw_violations
from hetal.testing.labels import label_violations, right_labels
from hetal.testing.training_sets import TRAINING_SETS, SmallTrainingSet

CPU = torch.device("cpu")


def check_noise(noise: Corrupt, name: str | None = None, seeds: Sequence[int] = (0, 1)) -> None:
    """Test a noise on small training sets, and raise if it breaks the contract of a noise.

    The training sets have: images and vectors, uint8, float16 and float32; two, several and many classes; classes of
    very different sizes; one row a class; identical images. All have the columns "human_worst", "votes", "features" and
    "cost", see `hetal.task.Examples`. On each it is checked that

    - it returns a valid pool, see `hetal.noise.NoisyPool`, whose images begin with those of the training set;
    - it does not write to the training set;
    - the same state of the generator gives the same pool, and no global generator is used;
    - every clean row sells its right label, and an image of the training set keeps its label as the right one;
    - some row shows each image that was added;
    - classes `outside` are classes, two at least are left, and their rows are rejected;
    - `draw`, where it has one, draws labels as those that were sold: of any rows, as the generator says, not always
      the same;
    - it works on what another noise has left, and before another.

    It may refuse a training set by raising `hetal.errors.BadInput`, but not all of them.

    Args:
        noise: called as noise(train, n_classes, rng): a function, or a partial of one with its settings.
        name: of the noise in messages; the name of the function unless given.
        seeds: every training set is tried with each.

    Raises:
        AssertionError: lists all violations, one per line, with the training set and the seed where it was seen first.
    """
    seen: dict[str, str] = {}
    refusals: list[str] = []
    for title, make in TRAINING_SETS.items():
        for seed in seeds:
            small = make(stream(seed, title))
            try:
                for violation in _violations(noise, small, seed):
                    seen.setdefault(violation, f"{title}, seed {seed}")
            except _Refused as refusal:
                refusals.append(str(refusal))
    if len(refusals) == len(TRAINING_SETS) * len(seeds):
        seen[f"it refuses every training set: {refusals[0]}"] = "all"
    if seen:
        lines = [f"{where}: {violation}" for violation, where in seen.items()]
        raise AssertionError("\n".join([f"{name or _name(noise)} breaks the contract of a noise:", *lines]))


class _Refused(Exception):
    """The noise refused a training set."""


def _name(noise: Corrupt) -> str:
    function = noise
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__name__", type(function).__name__)


def _violations(noise: Corrupt, small: SmallTrainingSet, seed: int) -> Iterator[str]:
    """Yield how a noise breaks the contract on a training set.

    Raises:
        _Refused: it refused the training set.
    """
    try:
        before = _copy(small.train)
        pool, used = _called(noise, small, seed)
        yield from _written(before, small.train)
        for library in used:
            yield f"it uses or seeds the global generator of {library}; draw from rng alone"
        pool.check(small.n_classes)
        pool.check_images(before)
        if differs := _difference(pool, _called(noise, small, seed)[0]):
            yield f"the same state of rng gave another {differs}; draw from rng alone, and keep nothing between calls"
        yield from label_violations(pool, before, small.n_classes)
        other = (lambda: _called(noise, small, seed + 1)[0]) if small.is_ordinary else None
        yield from draw_violations(pool, small.n_classes, seed, right_labels(pool, before), other)
        if small.is_ordinary:
            yield from _composed(noise, pool, small, seed)
    except BadInput as error:
        yield str(error)
    except (_Refused, GeneratorExit):
        raise
    except Exception as error:  # the user's code may raise anything
        where = traceback.extract_tb(error.__traceback__)[-1]
        yield f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"


def _called(noise: Corrupt, small: SmallTrainingSet, seed: int) -> tuple[NoisyPool, list[str]]:
    """Return the pool that a noise makes, and the libraries whose global generator it uses.

    The global generators are the same before and after.

    Raises:
        _Refused: the noise raised `BadInput`.
        BadInput: it changed a setting of the process, or made no pool.
    """
    with unchanged("it"), seeded(stream(seed, "noise globals"), CPU):
        before = global_state()
        try:
            pool = noise(small.train, small.n_classes, stream(seed, "noise"))
        except BadInput as error:
            raise _Refused(str(error)) from None
        after = global_state()
    if not isinstance(pool, NoisyPool):
        raise BadInput(f"it returns a {type(pool).__name__}; it must return a NoisyPool")
    return pool, [library for library, state in before.items() if not _equal(state, after[library])]


def _copy(train: Examples) -> Examples:
    return Examples(
        train.images.clone(),
        train.labels.clone(),
        {key: value.clone() for key, value in train.columns.items()},
    )


def _written(before: Examples, train: Examples) -> Iterator[str]:
    """Yield what of the training set is no longer as it was."""
    pairs = {"images": (before.images, train.images), "labels": (before.labels, train.labels)}
    pairs |= {f"columns[{key!r}]": (before.columns[key], train.columns[key]) for key in before.columns}
    for name, (one, other) in pairs.items():
        if not torch.equal(one, other):
            yield f"it wrote to train.{name}; change a copy"


def _equal(one: object, other: object) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one, other)
    if isinstance(one, list) and isinstance(other, list):
        return all(map(_equal, one, other))
    return one == other


def _difference(one: NoisyPool, other: NoisyPool) -> str:
    """Return the first attribute in which two pools differ; "" if there is none."""
    compared = [field.name for field in fields(one) if field.name not in ("draw", "parts")]
    return next((name for name in compared if not _equal(getattr(one, name), getattr(other, name))), "")


def _composed(noise: Corrupt, pool: NoisyPool, small: SmallTrainingSet, seed: int) -> Iterator[str]:
    """Yield how a noise fails after symmetric noise, or before blank noise."""
    if pool.parts is not None:  # several settings, applied in order already
        return
    rng = stream(seed, "noise")
    own = Named("it", noise, rng)
    symmetric = functools.partial(symmetric_noise, rate=0.2, inclusive=False)
    blank = functools.partial(blank_noise, factor=0.5)
    # A noise that takes classes out of the task is the first of several.
    settings = [own] if pool.outside else [Named("symmetric", symmetric, stream_of(rng, "symmetric")), own]
    where = "before blank noise" if pool.outside else "after symmetric noise"
    if not bool(pool.is_noisy_N.all()):
        settings.append(Named("blank", blank, stream_of(rng, "blank")))
    try:
        made = one_by_one(settings, small.train, small.n_classes)
    except BadInput as error:
        yield f"{where}: {error}"
        return
    assert made.parts is not None
    number = made.parts.names.index("it")
    rows = made.parts.row_N[made.parts.number_N == number].long()
    if (draw := made.parts.draws[number]) is not None:
        draw(rows, stream(seed, "draw"))
