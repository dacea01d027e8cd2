"""What a pool holds, counted: rows by noise, by right label and label sold, and by region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hetal.noise.pool import NoisyPool
from hetal.oracle import Oracle, is_right
from hetal.record.schema import REJECT


@dataclass(frozen=True)
class Kind:
    """Rows of one kind: clean, or of one noise.

    Attributes:
        name: "clean", or that of the noise.
        rows: number of them.
        images: number of distinct images that they show.
        right: rows that sell their right label.
        rejected: rows that sell none.
    """

    name: str
    rows: int
    images: int
    right: int
    rejected: int


@dataclass(frozen=True)
class Counts:
    """What a pool holds.

    Attributes:
        n_classes: C.
        kinds: clean rows first, then those of each noise, by name.
        total: of all rows.
        rows: (C + 1,) int64, rows by right label; the last are those without one.
        noisy: (C + 1,) int64, noisy ones of these.
        transitions: (T, 3) int64: right label, label sold, and number of rows, of all that occur, the most frequent
            first; C where there is no label.
        region_rows: (R,) int64, rows by region; R is 0 where there are none.
        region_noisy: (R,) int64, noisy ones of these.
    """

    n_classes: int
    kinds: Sequence[Kind]
    total: Kind
    rows: Tensor
    noisy: Tensor
    transitions: Tensor
    region_rows: Tensor
    region_noisy: Tensor

    @property
    def has_foreign(self) -> bool:
        """Whether there are rows without a right label."""
        return bool(self.rows[-1])

    @property
    def has_rejected(self) -> bool:
        """Whether there are rows that sell no label."""
        return self.total.rejected > 0

    def matrix(self) -> Tensor:
        """Return how many rows of each right label sell each label, (C + 1, C + 1) int64; the last are without."""
        matrix = torch.zeros(self.n_classes + 1, self.n_classes + 1, dtype=torch.int64)
        right_T, sold_T, rows_T = self.transitions.T
        matrix[right_T, sold_T] = rows_T
        return matrix

    def wrong(self, n: int) -> list[list[int]]:
        """Return the n most frequent `transitions` from a right label to another label, or to none."""
        right_T, sold_T, _ = self.transitions.T
        is_wrong = (right_T != sold_T) & (right_T < self.n_classes)
        wrong: list[list[int]] = self.transitions[is_wrong][:n].tolist()
        return wrong


def count(pool: NoisyPool, oracle: Oracle, n_classes: int) -> Counts:
    """Return what a pool holds.

    Args:
        pool: as a noise was applied to it.
        oracle: of the pool.
        n_classes: of the task.
    """
    ids = torch.arange(len(pool))
    sold, right, noisy = oracle.label(ids), oracle.true(ids), oracle.is_noisy(ids)
    kind, region = oracle.kind(ids, noisy), oracle.region(ids)

    def counted(name: str, rows: Tensor) -> Kind:
        return Kind(
            name,
            rows=len(rows),
            images=len(pool.source_N[rows].unique()),
            right=int(is_right(sold[rows], right[rows]).sum()),
            rejected=int((sold[rows] == REJECT).sum()),
        )

    # Two of one name, such as "clean" of noise=clean, are one.
    places: dict[str, int] = {}
    kind = torch.tensor([places.setdefault(name, i) for i, name in enumerate(oracle.kinds)])[kind]
    none = n_classes
    right_T, sold_T = (torch.where(labels < 0, none, labels) for labels in (right, sold))
    codes, rows_T = (right_T * (none + 1) + sold_T).unique(return_counts=True)
    transitions = torch.stack([codes // (none + 1), codes % (none + 1), rows_T], 1)
    n_regions, in_region = oracle.n_regions, region >= 0
    return Counts(
        n_classes=n_classes,
        kinds=[counted(name, torch.nonzero(kind == i).flatten()) for name, i in places.items()],
        total=counted("all", ids),
        rows=torch.bincount(right_T, minlength=none + 1),
        noisy=torch.bincount(right_T[noisy], minlength=none + 1),
        transitions=transitions[rows_T.argsort(descending=True, stable=True)],
        region_rows=torch.bincount(region[in_region], minlength=n_regions),
        region_noisy=torch.bincount(region[in_region & noisy], minlength=n_regions),
    )
