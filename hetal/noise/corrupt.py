"""Application of noise settings to a training set, one after another, with what each did to every row.

Each is called with the rows that are still clean, so every row is the noise of at most one of them. Rows that one adds
under right labels are clean, and the next may corrupt them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from hetal.errors import BadInput, make_part
from hetal.machine.scratch import at_once, gathered
from hetal.noise.pool import NO_LABEL, NO_REGION, NoisyPool, Parts
from hetal.noise.rows import appended
from hetal.record.schema import REJECT
from hetal.rng import stream
from hetal.task import Examples, new_numbers

#: A noise setting: called with the training set, the number of classes and a generator.
Corrupt = Callable[[Examples, int, torch.Generator], NoisyPool]

# The modules of noise that alone draw from the generator of all noise, as in the records of hetal 0.1.
# Near copies among them, so that without pixel noise and shifts they are those of class noise.
FIRST = tuple(
    f"hetal.noise.{name}" for name in ("blank", "class_", "clean", "copies", "diverse", "near_copies")
)


class Named(NamedTuple):
    """A noise setting, the name of what it makes noisy, and its generator."""

    name: str
    noise: Corrupt
    rng: torch.Generator


def corrupt(noise: Corrupt, train: Examples, n_classes: int, seed: int) -> NoisyPool:
    """Return a training set corrupted by a noise setting.

    Args:
        noise: the setting; hetal's own or the user's.
        train: n clean examples.
        n_classes: number of classes.
        seed: of the run.

    Returns:
        A pool with `true_N` (int32) and `parts`. If it has classes `outside`, labels are in 0..C'-1 for the C' others.
        Where `train` has a column "cost", so has the pool, images that were added costing the mean; where it has
        "features", so has the pool, unless images were added.

    Raises:
        BadInput: the setting fails, or what it returns is no pool; names `noise` and what is wrong.
    """
    rng = stream(seed, "noise")
    name, module = _names(noise)
    if module not in FIRST and module != "hetal.noise.mixed":
        rng = stream_of(rng, name)
    pool = one_by_one([Named(name, noise, rng)], train, n_classes)
    m, n = len(pool.images_M), len(train)
    cost, features = (train.columns.get(name) for name in ("cost", "features"))
    if cost is not None:
        cost = torch.cat([cost, cost.mean().expand(m - n)])
    return replace(pool, cost_M=cost, features_M=features if m == n else None)


def stream_of(rng: torch.Generator, name: str) -> torch.Generator:
    """Return the generator of the noise of a name, which depends on the seed of `rng` and the name alone."""
    return stream(rng.initial_seed(), f"noise {name}")


def one_by_one(settings: Sequence[Named], train: Examples, n_classes: int) -> NoisyPool:
    """Return a training set corrupted by several noise settings, in order; see `corrupt`.

    Args:
        settings: at least one.
        train: n clean examples.
        n_classes: number of classes.

    Raises:
        BadInput: as `corrupt`; or one leaves no clean row to the next.
    """
    pool = _call(settings[0], train, n_classes)
    for setting in settings[1:]:
        pool = _next(setting, pool, train, n_classes - len(pool.outside))
    return pool


def _call(setting: Named, train: Examples, n_classes: int) -> NoisyPool:
    """Return the checked pool of one noise setting, with right labels, parts, and labels of the task only."""
    name, noise, rng = setting
    pool = make_part("noise", noise, NoisyPool, train, n_classes, rng)
    pool.check(n_classes)
    pool.check_images(train)
    if pool.parts is not None:  # of several settings
        return pool
    source = pool.source_N
    true_N = pool.true_N
    if true_N is None:
        known = train.labels[source.clamp(max=len(train) - 1)]
        of_others = torch.where(pool.is_noisy_N, NO_LABEL, pool.labels_N)
        true_N = torch.where(source < len(train), known, of_others)
    is_made = pool.is_noisy_N if pool.is_drawn_N is None else pool.is_noisy_N | pool.is_drawn_N
    parts = Parts(
        names=("clean", name),
        draws=(None, pool.draw),
        number_N=is_made.to(torch.uint8),
        row_N=torch.arange(len(pool), dtype=torch.int32),
    )
    pool = replace(pool, true_N=true_N.to(torch.int32), draw=None, is_drawn_N=None, parts=parts)
    return without_classes(pool, pool.outside, n_classes) if pool.outside else pool


def without_classes(pool: NoisyPool, outside: Sequence[int], n_classes: int) -> NoisyPool:
    """Return the pool with its labels numbered as if there were no classes `outside`; their rows have no true label.

    Raises:
        BadInput: fewer than two classes are left, or a row sells a label that is outside.
    """
    number_C = new_numbers(outside, n_classes)
    assert pool.true_N is not None
    assert pool.parts is not None
    draw = pool.parts.draws[1]
    parts = pool.parts
    if draw is not None:
        parts = replace(parts, draws=(None, lambda rows, rng: _renumbered(draw(rows, rng), number_C)))
    labels_N = _renumbered(pool.labels_N, number_C)
    if bool(((labels_N == REJECT) & (pool.labels_N != REJECT)).any()):
        raise BadInput("noise: a row sells a label of a class that is outside the task")
    true = pool.true_N.long()
    true_N = torch.where(true == NO_LABEL, NO_LABEL, number_C[true]).to(torch.int32)
    return replace(pool, labels_N=labels_N, true_N=true_N, parts=parts)


def _renumbered(labels: Tensor, number_C: Tensor) -> Tensor:
    """Return labels (n,) in new numbers; rejections stay rejections."""
    return torch.where(labels == REJECT, REJECT, number_C[labels])


def _next(setting: Named, pool: NoisyPool, train: Examples, n_classes: int) -> NoisyPool:
    """Apply one more noise setting to the clean rows of a pool that was made from `train`."""
    assert pool.true_N is not None
    assert pool.parts is not None
    is_clean = ~pool.is_noisy_N
    clean, kept = torch.nonzero(is_clean).flatten(), torch.nonzero(pool.is_noisy_N).flatten()
    if len(clean) == 0:
        raise BadInput(f"noise.of: {pool.parts.names[-1]} leaves no clean row to {setting.name}")
    n, shown = len(clean), pool.source_N[clean]
    columns = {}
    # Images that were added have none, and those of a task with other classes have other labels.
    if int(shown.max()) < len(train) and not pool.outside:
        columns = {key: gathered(column, shown) for key, column in train.columns.items()}
    is_whole = n == len(pool.images_M) and torch.equal(shown, torch.arange(n))
    images = pool.images_M if is_whole else gathered(pool.images_M, shown)
    made = _call(setting, Examples(images, pool.true_N[clean].long(), columns), n_classes)
    assert made.true_N is not None
    assert made.parts is not None
    if made.outside:
        raise BadInput(f"noise.of: {setting.name} takes classes out of the task, so it must come first")
    if pool.region_N is not None and made.region_N is not None:
        raise BadInput(f"noise.of: {setting.name} is the second setting with regions; there can be one")
    is_old, row = made.source_N < n, made.source_N.clamp(max=n - 1)
    added = made.images_M[n:]
    images_M = pool.images_M
    if len(added):
        images_M = appended(images_M, added.split(at_once(added)), len(added))
    region_N = None
    if pool.region_N is not None:
        own = torch.where(is_old, pool.region_N[clean][row], NO_REGION)
        region_N = torch.cat([pool.region_N[kept], own])
    elif made.region_N is not None:
        region_N = torch.cat([torch.full((len(kept),), NO_REGION, dtype=made.region_N.dtype), made.region_N])
    return replace(
        pool,
        images_M=images_M,
        source_N=torch.cat(
            [pool.source_N[kept], torch.where(is_old, shown[row], made.source_N - n + len(pool.images_M))]
        ),
        labels_N=torch.cat([pool.labels_N[kept], made.labels_N]),
        is_noisy_N=torch.cat([pool.is_noisy_N[kept], made.is_noisy_N]),
        true_N=torch.cat([pool.true_N[kept], made.true_N]),
        region_N=region_N,
        parts=_joined(pool.parts, made.parts, kept, torch.where(is_old, clean[row], -1)),
    )


def _joined(before: Parts, made: Parts, kept: Tensor, was: Tensor) -> Parts:
    """Return the parts of the rows `kept` and of those that one more setting returned.

    Args:
        before: of the pool so far.
        made: of what the setting returned.
        kept: rows of the pool that it did not get.
        was: of each row that it returned, the row of the pool, -1 of new ones.
    """
    number = len(before.names)
    if number > torch.iinfo(torch.uint8).max:
        raise BadInput(
            f"noise.of: holds {number} settings; at most {torch.iinfo(torch.uint8).max} are allowed"
        )
    is_own = made.number_N > 0
    number_before = torch.where(was >= 0, before.number_N[was], 0)
    overlap = before.overlap
    if both := number_before[is_own & (number_before > 0)].unique().tolist():
        overlap = (before.names[both[0]], made.names[1])
    return Parts(
        names=(*before.names, made.names[1]),
        draws=(*before.draws, made.draws[1]),
        number_N=torch.cat(
            [before.number_N[kept], torch.where(is_own, number, number_before).to(torch.uint8)]
        ),
        row_N=torch.cat([before.row_N[kept], torch.where(is_own, made.row_N, before.row_N[was])]),
        overlap=overlap,
    )


def _names(noise: Corrupt) -> tuple[str, str]:
    """Return the name of a noise setting, which is that of its module, and the whole name of the module."""
    function = noise
    while isinstance(function, functools.partial):
        function = function.func
    module = getattr(function, "__module__", None) or "noise"
    name = getattr(function, "__name__", "noise") if module == "__main__" else module.rpartition(".")[2]
    return name.strip("_"), module
