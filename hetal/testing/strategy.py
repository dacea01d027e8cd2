"""Conformance test of a user's own query strategy.

Modelled on the common checks of scikit-activeml's test suite and on scikit-learn's `check_estimator`.
"""

from __future__ import annotations

import copy
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from hetal.algs import QueryStrategy
from hetal.algs.wrapper import defines, is_bound
from hetal.errors import BadInput, Stopped
from hetal.guard.query import EpochHook, acquire
from hetal.guard.state import copy_or_none, keeps_state, state_of
from hetal.models.mlp import MLP
from hetal.pool import Pool
from hetal.record.checkpoint import State, packed, unpacked
from hetal.record.schema import REJECT
from hetal.rng import seeded, stream
from hetal.task import Examples, Task
from hetal.train.fit import Fit
from hetal.train.fitted import Fitted
from hetal.train.learner import Learner
from hetal.train.optim import Adam
from hetal.train.recipe import Network
from hetal.train.stopping import Threshold

CPU = torch.device("cpu")

# Number of classes of all pools below.
N_CLASSES = 3


@dataclass(frozen=True)
class SmallPool:
    """A small pool to test a strategy on.

    Attributes:
        images_M: (M, 1, 4, 4) uint8 distinct images, which may look alike.
        source_N: (N,) int64.
        labels_N: (N,) int64, hidden until bought; `REJECT` where a row is of no class.
        n_start: number of rows labelled from the start: the first ones.
        queries: number of rows that each query asks for.
    """

    images_M: Tensor
    source_N: Tensor
    labels_N: Tensor
    n_start: int
    queries: tuple[int, ...]


def check_strategy(
    strategy: QueryStrategy,
    network: Network | None = None,
    name: str | None = None,
    seeds: Sequence[int] = (0, 1),
) -> None:
    """Test a strategy on small pools, and raise if it breaks the contract of a query strategy.

    The pools have: ordinary images; many copies of few images, some of them of no class, so that they are rejected once
    bought; labels of one class only; identical images; networks whose outputs are all equal, so that all scores are
    tied; fewer distinct images than rows asked for, down to the last row of the pool. On each it is checked that

    - every query returns valid ids, see `hetal.guard.query.check_ids`;
    - no query changes the pool or the networks;
    - the same query returns the same ids, whatever the state of the global generators of torch, numpy and Python;
    - all state is in the strategy's `state_dict()`: a fresh copy that has loaded it makes the same queries;
    - with `after_epoch`: training gives the same networks as without, and a fresh copy that has loaded the state after
      some epoch of a round makes the same queries;
    - with `needs_network = False`: it chooses a start set too, before there are labels and networks.

    Args:
        strategy: newly constructed; it is copied, and not used itself.
        network: called as network(image_shape, n_classes), as `model` is in a config; a small perceptron with dropout
            unless given.
        name: of the strategy in messages; the name of its class unless given.
        seeds: every pool is tried with each.

    Raises:
        AssertionError: lists all violations, one per line, with the pool and the seed.
    """
    name = f"alg={name or type(strategy).__name__}"
    violations: list[str] = []
    for title, make in POOLS.items():
        for seed in seeds:
            small = make(stream(seed, title))
            violation = _violation(strategy, small, network or _perceptron, name, seed, tied=title == "ties")
            violations += [f"{title}, seed {seed}: {violation}"] if violation else []
    if violations:
        raise AssertionError(
            "\n".join([f"{name.removeprefix('alg=')} breaks the contract of a query strategy:", *violations])
        )


def _violation(
    strategy: QueryStrategy, small: SmallPool, network: Network, name: str, seed: int, tied: bool
) -> str | None:
    """Return how a strategy breaks the contract on a pool; None if it does not."""
    try:
        _check_on(strategy, small, network, name, seed, tied)
    except (BadInput, AssertionError) as error:
        return str(error)
    except Exception as error:  # the user's code may raise anything
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"
    return None


def _check_on(
    strategy: QueryStrategy, small: SmallPool, network: Network, name: str, seed: int, tied: bool
) -> None:
    """Query a pool several times in ways that must all buy the same rows, and raise if they do not."""
    keeps = keeps_state(strategy, name)
    if is_bound(strategy):
        strategy = copy.deepcopy(strategy)
        strategy.see(small.labels_N, torch.arange(len(small.labels_N)) % 2 == 0)
    learner = _learner(small, network)
    with seeded(stream(seed, "check"), CPU):
        strategy.check(learner.new_network())
    if not strategy.needs_network:
        _choose_start(strategy, small, learner, name, seed)
    spend = partial(_run_queries, strategy, small, learner, name=name, seed=seed, tied=tied)
    bought = spend()
    if spend(globals_seed=1) != bought:
        raise AssertionError(
            "the same query returned other ids once the global generators of torch, numpy and Python stood elsewhere; "
            "draw from rng"
        )
    if keeps and spend(reloaded=True) != bought:
        raise AssertionError(
            "a fresh strategy that has loaded its state_dict() buys other rows than the one it is of"
        )


def _choose_start(strategy: QueryStrategy, small: SmallPool, learner: Learner, name: str, seed: int) -> None:
    """Let a strategy that needs no network choose the start set."""
    pool = Pool(small.images_M.clone(), small.source_N.clone())
    with seeded(stream(seed, "check"), CPU):
        prepare = learner.prepare(learner.new_network())
    targets = small.images_M if strategy.reads_targets else None
    given = Fitted(
        None, pool.images_M, prepare, learner.score_batch_size, targets=targets, n_classes=N_CLASSES
    )
    rng, globals_rng = stream(seed, "start"), stream(seed, "start globals")
    acquire(copy.deepcopy(strategy), given, pool, small.n_start, rng, globals_rng, name)


def _run_queries(
    strategy: QueryStrategy,
    small: SmallPool,
    learner: Learner,
    *,
    name: str,
    seed: int,
    tied: bool,
    globals_seed: int = 0,
    reloaded: bool = False,
) -> list[list[int]]:
    """Run all queries of a pool, and return the ids that each buys.

    Args:
        strategy: a copy of it is queried.
        small: the pool.
        learner: trains a network for every query.
        name: of the strategy in messages.
        seed: of all streams.
        tied: set all weights to zero, so that outputs are equal for all images.
        globals_seed: seed of the global generators.
        reloaded: load the state into a fresh copy after every query, and after some epoch of every training.
    """
    copied = copy.deepcopy(strategy)
    pool = Pool(small.images_M.clone(), small.source_N.clone())
    start = torch.arange(small.n_start)
    pool.reveal(start, small.labels_N[start])
    bought = []
    for t, n in enumerate(small.queries):
        fit, copied = _trained(
            strategy, copied, pool, learner, name, seed, t, stopped=reloaded, compared=globals_seed == 0
        )
        if tied:
            for tensor in fit.fitted.tensors().values():
                tensor.data.zero_()
        ids = acquire(
            copied, fit.fitted, pool, n, stream(seed, "query", t), stream(globals_seed, "globals", t), name
        )
        bought.append(ids.tolist())
        state = state_of(copied, name, copy_or_none(strategy))
        if len(ids) < n:
            break
        pool.reveal(ids, small.labels_N[ids])
        if reloaded and state is not None:
            copied = copy.deepcopy(strategy)
            copied.load_state_dict(unpacked(packed(state)))
    return bought


class _Kept:
    """A checkpoint in memory, of the state after the second epoch."""

    def __init__(self) -> None:
        self._saved: bytes | None = None

    def load(self) -> State | None:
        return None if self._saved is None else unpacked(self._saved)

    def keep(self, state: Callable[[], State], now: bool = False) -> None:
        if now:
            self._saved = packed(state())


def _stop_after_two(epoch: int, accuracy: float) -> None:
    if epoch == 2:
        raise Stopped(None)


def _trained(
    fresh: QueryStrategy,
    strategy: QueryStrategy,
    pool: Pool,
    learner: Learner,
    name: str,
    seed: int,
    t: int,
    stopped: bool,
    compared: bool,
) -> tuple[Fit, QueryStrategy]:
    """Train the network of a round, with the strategy looking on, and return it and the strategy to query.

    Args:
        fresh: the strategy before its first call.
        strategy: as the last round left it.
        pool: with the rows bought so far.
        learner: trains the network.
        name: of the strategy in messages.
        seed: of all streams.
        t: the round.
        stopped: stop within training, and go on from a checkpoint with a fresh strategy.
        compared: else, train again without the strategy looking on, and compare.
    """

    def fit(strategy: QueryStrategy | None, **more: Any) -> Fit:
        return learner.fit(
            pool,
            stream(seed, "fit", t),
            snapshot=fresh.reads_snapshot,
            targets=pool.images_M.clone() if fresh.reads_targets else None,
            after_epoch=None
            if strategy is None
            else EpochHook(strategy, name, copy_or_none(fresh), pool, seed, t),
            **more,
        )

    if not defines(fresh, "after_epoch"):
        return fit(None), strategy
    if stopped:
        kept = _Kept()
        with suppress(Stopped):
            fit(strategy, checkpoint=kept, on_epoch=_stop_after_two)
        strategy = copy.deepcopy(fresh)
        return fit(strategy, checkpoint=kept), strategy
    watched = fit(strategy)
    for key, tensor in fit(None).fitted.tensors().items() if compared else ():
        if not torch.equal(tensor, watched.fitted.tensors()[key]):
            raise AssertionError(f"after_epoch changes training: {key} is not what it is without it")
    return watched, strategy


def _learner(small: SmallPool, network: Network) -> Learner:
    first = torch.arange(N_CLASSES)
    examples = Examples(small.images_M[:1].expand(N_CLASSES, *small.images_M.shape[1:]), first)
    return Learner(
        network=network,
        task=Task(examples, examples, N_CLASSES),
        finetune=None,
        device=CPU,
        optimizer=partial(Adam, lr=1e-2),
        schedule=None,
        loss=nn.CrossEntropyLoss(),
        label_smoothing=0.0,
        augment=None,
        warm_start=None,
        batch_size=8,
        score_batch_size=16,
        clip=0.1,
        clip_norm=None,
        max_epochs=4,
        stop=Threshold(accuracy=2.0, ema_accuracy=2.0),
        restart_every=50,
        restart_below=0.0,
        ema_decay=0.999,
        own_ema=False,
        ema_on_batches=False,
        falling_epochs=2,
        falls_over_restarts=False,
        finetune_at_snapshot=False,
        precision="fp32",
        graph=False,
        checkpoint_minutes=None,
    )


def _perceptron(image_shape: Sequence[int], n_classes: int) -> nn.Module:
    return MLP(image_shape, n_classes, [16], 0.5)


def _images(m: int, rng: torch.Generator) -> Tensor:
    return torch.randint(256, (m, 1, 4, 4), generator=rng).to(torch.uint8)


def _ordinary(rng: torch.Generator) -> SmallPool:
    labels = torch.randint(N_CLASSES, (40,), generator=rng)
    return SmallPool(_images(40, rng), torch.arange(40), labels, 6, (5, 5, 3))


def _copies(rng: torch.Generator) -> SmallPool:
    source = torch.randint(6, (60,), generator=rng)
    source[:6] = torch.arange(6)
    labels = torch.randint(REJECT, N_CLASSES, (60,), generator=rng)
    labels[:3] = torch.tensor([REJECT, 0, 1])
    return SmallPool(_images(6, rng), source, labels, 4, (5, 9, 20))


def _one_class(rng: torch.Generator) -> SmallPool:
    return SmallPool(_images(30, rng), torch.arange(30), torch.ones(30).long(), 5, (4, 4))


def _identical(rng: torch.Generator) -> SmallPool:
    images = _images(1, rng).expand(20, 1, 4, 4).clone()
    return SmallPool(images, torch.arange(20), torch.randint(N_CLASSES, (20,), generator=rng), 3, (5, 5))


def _exhausted(rng: torch.Generator) -> SmallPool:
    source = torch.arange(12) % 4
    return SmallPool(_images(4, rng), source, torch.randint(N_CLASSES, (12,), generator=rng), 1, (10, 1))


POOLS: dict[str, Callable[[torch.Generator], SmallPool]] = {
    "ordinary images": _ordinary,
    "copies, some rejected": _copies,
    "one class": _one_class,
    "identical images": _identical,
    "ties": _ordinary,
    "fewer images than rows asked for": _exhausted,
}
