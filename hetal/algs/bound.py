"""Bounds: choices made with hidden labels, which no strategy sees; they show what could be reached."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from hetal.acquisition import balanced
from hetal.algs.base import QueryStrategy
from hetal.pool import Pool
from hetal.train.fitted import Fitted


class Bound(QueryStrategy):
    """A choice that sees hidden labels; marked as such in the console, the record and the report."""

    cheats = True

    @abstractmethod
    def see(self, labels_N: Tensor, is_noisy_N: Tensor) -> None:
        """Take what is hidden from strategies; called once, before anything is queried.

        Args:
            labels_N: (N,) int64, the label that every row of the pool sells.
            is_noisy_N: (N,) bool, which of them are noise.
        """


class Balanced(Bound):
    """Buys equally many rows of each label, by the labels that the rows sell, noise or not; within a label at random.

    Where the number asked for is no multiple of the number of labels, random labels get one more; where a label has too
    few rows, the others share what is missing. Rows that are rejected, which sell no label, come last.
    """

    needs_network = False

    def see(self, labels_N: Tensor, is_noisy_N: Tensor) -> None:
        """Take the labels of all rows."""
        self._labels_N = labels_N

    def query(self, fitted: Fitted, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
        """Return n ids."""
        ids = pool.unlabelled_ids().cpu()
        return ids[balanced(self._labels_N[ids], n, rng)].to(pool.device)
