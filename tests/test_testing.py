"""The conformance check passes hetal's strategies, and names the mistakes of others."""

import itertools
import random

import numpy as np
import pytest
import torch

from hetal.algs import QueryStrategy
from hetal.algs.random import Random
from hetal.testing import check_strategy
from tests.command_line import options
from tests.test_algs import strategy


@pytest.mark.parametrize("name", options("alg"))
def test_what_ships_passes(name):
    check_strategy(strategy(name), seeds=[0])


class Lowest(QueryStrategy):
    """Goes by position, which is no mistake: positions tell nothing."""

    def query(self, fitted, pool, n, rng):
        return pool.unlabelled_ids()[:n]


class TooMany(Lowest):
    def query(self, fitted, pool, n, rng):
        return pool.unlabelled_ids()[: n + 2]


class DrawsFromTorch(Random):
    def query(self, fitted, pool, n, rng):
        return super().query(fitted, pool, n, torch.default_generator)


class DrawsFromNumpy(Lowest):
    def query(self, fitted, pool, n, rng):
        return torch.from_numpy(np.random.permutation(pool.unlabelled_ids().numpy())[:n])  # noqa: NPY002


class DrawsFromPython(Lowest):
    def query(self, fitted, pool, n, rng):
        return torch.tensor(random.sample(pool.unlabelled_ids().tolist(), n))


class Counts(Lowest):
    def __init__(self):
        self.queries = 0

    def query(self, fitted, pool, n, rng):
        self.queries += 1
        ids = pool.unlabelled_ids()
        return ids.roll(self.queries)[:n]


class KeepsCount(Counts):
    def state_dict(self):
        return {"queries": self.queries}

    def load_state_dict(self, state):
        self.queries = state["queries"]


class ForgetsCount(KeepsCount):
    def load_state_dict(self, state):
        self.queries = 0


class Divides(Lowest):
    """Fails where all images are alike."""

    def query(self, fitted, pool, n, rng):
        images = pool.images_M.float()
        spread = images.std(0).sum().item()
        if 1 // spread > 0:
            raise RuntimeError("unreachable")
        return pool.unlabelled_ids()[:n]


class Stops(Lowest):
    may_stop = True

    def query(self, fitted, pool, n, rng):
        return pool.unlabelled_ids()[: n // 2]


@pytest.mark.parametrize("kind", [Lowest, KeepsCount, Stops])
def test_what_keeps_the_contract_passes(kind):
    check_strategy(kind())


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (TooMany, r"ordinary images, seed 0: alg=TooMany: query returned 7 ids; asked for were 5 distinct"),
        (DrawsFromTorch, "draw from rng"),
        (DrawsFromNumpy, "draw from rng"),
        (DrawsFromPython, "draw from rng"),
        (Counts, r"query changed self.queries, which a run that was killed would have lost"),
        (ForgetsCount, r"self.queries is not as it was once state_dict\(\) is loaded again"),
        (Divides, r"identical images, seed 1: ZeroDivisionError: .*test_testing.py:\d+"),
    ],
)
def test_mistakes_are_named(kind, said):
    with pytest.raises(AssertionError, match=f"(?s){kind.__name__} breaks the contract.*{said}"):
        check_strategy(kind())


def test_the_strategy_given_is_left_as_it_was():
    given = KeepsCount()
    check_strategy(given)
    assert given.queries == 0


def test_other_names_and_networks():
    class Linear(torch.nn.Module):
        def __init__(self, shape, n):
            super().__init__()
            self.head = torch.nn.Linear(16, n)

        def forward(self, x):
            return self.head(x.flatten(1)), x.flatten(1)

    check_strategy(Lowest(), network=Linear, seeds=[3])
    with pytest.raises(AssertionError, match="mine breaks"):
        check_strategy(TooMany(), name="mine")


def test_iterators_are_state():
    class Iterates(Lowest):
        def __init__(self):
            self.turn = itertools.cycle([1, 2])

        def query(self, fitted, pool, n, rng):
            return pool.unlabelled_ids().roll(next(self.turn))[:n]

    with pytest.raises(AssertionError, match=r"query changed self\.turn"):
        check_strategy(Iterates())
