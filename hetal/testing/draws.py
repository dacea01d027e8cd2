"""Test of `NoisyPool.draw`: whether it draws labels anew as those were drawn that the pool sells."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from hetal.noise import NoisyPool
from hetal.noise.pool import describe
from hetal.record.schema import REJECT
from hetal.rng import seeded, stream

# Draws of every label.
N_DRAWS = 30

# Rows, or images, without which distributions are not compared.
FEWEST = 10

# A mean difference of more standard errors than this is none by chance.
ERRORS = 6.0


def draw_violations(
    pool: NoisyPool, n_classes: int, seed: int, right_N: Tensor, other: Callable[[], NoisyPool] | None
) -> Iterator[str]:
    """Yield what is wrong with the `draw` of a valid pool.

    Args:
        pool: as the noise returned it.
        n_classes: of the training set.
        seed: of all draws.
        right_N: (N,) int64, the right labels; -1 where there is none.
        other: makes the pool of another seed; None where the pool is too small to compare distributions.
    """
    if pool.draw is None or pool.parts is not None:
        return
    is_drawn_N = pool.is_noisy_N if pool.is_drawn_N is None else pool.is_drawn_N
    rows = torch.nonzero(is_drawn_N).flatten()
    rows = rows[torch.randperm(len(rows), generator=stream(seed, "order of rows"))]
    drawn_KN = []
    sold_N = pool.labels_N.clone()
    for k in range(N_DRAWS if other else 2):
        with seeded(stream(k, "draw globals"), torch.device("cpu")):
            before = torch.get_rng_state()
            labels = pool.draw(rows, stream(seed, "draw", k))
            if not torch.equal(before, torch.get_rng_state()):
                yield "draw uses the global generator of torch; draw from the one it is given"
        if wrong := _unusable(labels, len(rows), n_classes, pool):
            yield wrong
            return
        drawn_KN.append(labels)
    if not torch.equal(sold_N, pool.labels_N):
        yield "draw changed labels_N of the pool"
    if not torch.equal(pool.draw(rows, stream(seed, "draw", 0)), drawn_KN[0]):
        yield "draw gave other labels at the same state of the generator; draw from the one it is given"
    if len(pool.draw(rows[:0], stream(seed, "draw"))):
        yield "draw gave labels of no rows"
    if other is not None:
        yield from _distribution(pool, rows, torch.stack(drawn_KN), right_N[rows], other)


def _unusable(labels: object, n: int, n_classes: int, pool: NoisyPool) -> str:
    """Say why these are no labels of n rows; "" if they are."""
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64 or labels.shape != (n,):
        return f"draw gave {describe(labels)} for {n} rows; it must give torch.int64 of shape ({n},)"
    allowed = torch.ones(n_classes + 1, dtype=torch.bool)
    allowed[[*pool.outside]] = False
    allowed[REJECT] = bool((pool.labels_N == REJECT).any())  # the last
    if n and not (-1 <= int(labels.min()) <= int(labels.max()) < n_classes and bool(allowed[labels].all())):
        return (
            f"draw gave labels in {int(labels.min())}..{int(labels.max())}; they must be classes of the task"
        )
    return ""


def _distribution(
    pool: NoisyPool, rows: Tensor, drawn_KN: Tensor, right_N: Tensor, other: Callable[[], NoisyPool]
) -> Iterator[str]:
    """Yield how the labels drawn differ from those that the pool sells."""
    sold_N, source_N = pool.labels_N[rows], pool.source_N[rows]
    # Rows that show one image may share a label that was drawn once.
    _, group_N = source_N.unique(return_inverse=True)
    first_G = torch.full((int(group_N.max()) + 1 if len(rows) else 0,), len(rows))
    first_G.scatter_reduce_(0, group_N, torch.arange(len(rows)), "amin")
    picked = first_G
    if len(first_G) < FEWEST:
        if torch.equal(sold_N, sold_N[first_G[group_N]]):
            return
        picked = torch.arange(len(rows))
    if len(picked) < FEWEST:
        return
    sold_N, drawn_KN, right_N = sold_N[picked], drawn_KN[:, picked], right_N[picked]
    n_noisy = int(pool.is_noisy_N[rows].sum())
    # The labels of some noise follow from the right ones.
    if (
        n_noisy >= FEWEST
        and bool((drawn_KN == sold_N).all())
        and not torch.equal(other().labels_N, pool.labels_N)
    ):
        yield (
            f"draw gave the labels that the pool sells {len(drawn_KN)} times; it must draw them anew, or be None where "
            "the noise does not draw labels at random"
        )
        return
    # How often a label is drawn is on average the same of the label sold and of one more draw.
    often = (drawn_KN[1:] == sold_N).double().mean(0) - (drawn_KN[1:] == drawn_KN[0]).double().mean(0)
    # And the right label is sold as often as it is drawn.
    share = (drawn_KN == right_N).double().mean(0).clamp(1 / N_DRAWS, 1 - 1 / N_DRAWS)
    right = (sold_N == right_N).double() - share
    if _is_difference(often, 0.25) or _is_difference(right, float((share * (1 - share)).mean().sqrt())):
        yield (
            "draw draws labels of another distribution than those of the pool; it is given row numbers of the pool, "
            "and draws for all rows that is_drawn_N marks, or else is_noisy_N"
        )


def _is_difference(values: Tensor, spread: float) -> bool:
    """Return whether a mean differs from zero by more than chance explains, with a standard deviation of `spread`."""
    error = max(float(values.std()), spread) / math.sqrt(len(values))
    return abs(float(values.mean())) > ERRORS * error
