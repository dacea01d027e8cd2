"""The pool of examples to buy labels for, and the oracle with the hidden labels."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hetal.noise import NoisyPool
from hetal.noise.pool import NO_LABEL, NO_REGION
from hetal.record.schema import REJECT

# Of a row in the pool's column of bought labels.
NOT_BOUGHT = -2


class Candidates(NamedTuple):
    """Distinct images of unlabelled rows.

    Attributes:
        images: (P,) int64 image numbers.
        copies: (P,) int64, number of unlabelled rows that show each image.
    """

    images: Tensor
    copies: Tensor


class Pool:
    """The pool as a query strategy sees it: images, the image of each row, and the labels bought so far.

    It contains no hidden labels and no noise flags.

    Args:
        images_M: (M, C, H, W) or (M, D) distinct images, on the device to compute on.
        source_N: (N,) int64, the image that each row shows.
    """

    def __init__(self, images_M: Tensor, source_N: Tensor) -> None:
        self.images_M = images_M
        self.source_N = source_N.to(images_M.device)
        self._labels_N = torch.full_like(self.source_N, NOT_BOUGHT)

    def __len__(self) -> int:
        return len(self.source_N)

    @property
    def device(self) -> torch.device:
        """Device of all tensors of the pool."""
        return self.images_M.device

    def tensors(self) -> dict[str, Tensor]:
        """Return all tensors of the pool, by names for messages."""
        return {
            "pool.images_M": self.images_M,
            "pool.source_N": self.source_N,
            "the labels bought": self._labels_N,
        }

    def bought_ids(self) -> Tensor:
        """Return the ids bought so far, ascending, those that were rejected included: (B,) int64."""
        return torch.nonzero(self._labels_N != NOT_BOUGHT).flatten()

    def labelled_ids(self) -> Tensor:
        """Return the ids whose label was bought so far, ascending: (L,) int64."""
        return torch.nonzero(self._labels_N >= 0).flatten()

    def rejected_ids(self) -> Tensor:
        """Return the ids bought that turned out to be of no class of the task, ascending: (B - L,) int64."""
        return torch.nonzero(self._labels_N == REJECT).flatten()

    def unlabelled_ids(self) -> Tensor:
        """Return the ids not bought yet, ascending: (N - B,) int64."""
        return torch.nonzero(self._labels_N == NOT_BOUGHT).flatten()

    def labels(self, ids: Tensor) -> Tensor:
        """Return the bought labels of `ids`: (len(ids),) int64.

        Raises:
            ValueError: a row of `ids` has no label: it has not been bought, or was rejected.
        """
        labels = self._labels_N[ids.to(self.device)]
        if bool((labels < 0).any()):
            raise ValueError("asked for the label of a row that was never bought, or was rejected")
        return labels

    def reveal(self, ids: Tensor, labels: Tensor) -> None:
        """Add bought labels.

        Args:
            ids: (n,) int64 distinct ids that were not bought before.
            labels: (n,) int64, their labels, or `hetal.record.schema.REJECT`.

        Raises:
            ValueError: an id is out of range, repeated, or bought before.
        """
        ids, labels = ids.to(self.device), labels.to(self.device)
        if len(ids) and not (int(ids.min()) >= 0 and int(ids.max()) < len(self)):
            raise ValueError(f"ids must be in 0..{len(self) - 1}")
        if len(ids.unique()) < len(ids) or bool((self._labels_N[ids] != NOT_BOUGHT).any()):
            raise ValueError("a row was bought twice")
        self._labels_N[ids] = labels

    def distinct(self) -> Candidates:
        """Return the distinct images of all unlabelled rows, in order of their lowest row id.

        Distances and scores depend only on the image, so computing them once per image and weighting by `copies` is
        exact.
        """
        ids = self.unlabelled_ids()
        shown = self.source_N[ids]
        first_M = torch.full((len(self.images_M),), len(self), device=self.device)
        first_M.scatter_reduce_(0, shown, ids, "amin")
        copies_M = torch.bincount(shown, minlength=len(self.images_M))
        images = torch.nonzero(copies_M).flatten()
        images = images[first_M[images].argsort()]
        return Candidates(images, copies_M[images])

    def rows_showing(self, images: Tensor, rng: torch.Generator) -> Tensor:
        """Return a random unlabelled row for each of `images`; an image that occurs k times gets k rows.

        Args:
            images: (n,) int64 image numbers, each at most as often as it has unlabelled rows.
            rng: CPU generator.

        Returns:
            (n,) int64 distinct unlabelled ids, in the order of `images`.
        """
        ids = self.unlabelled_ids()
        ids = ids[torch.randperm(len(ids), generator=rng).to(self.device)]
        return ids[_matching(self.source_N[ids], images)]

    def lowest_rows_showing(self, images: Tensor) -> Tensor:
        """Return the lowest unlabelled ids that show `images`: like `rows_showing`, but not random."""
        ids = self.unlabelled_ids()
        return ids[_matching(self.source_N[ids], images)]


def _matching(keys: Tensor, wanted: Tensor) -> Tensor:
    """Return the position in `keys` of each of `wanted`; the k-th occurrence of a value gets its k-th position."""
    order = keys.argsort(stable=True)
    start = torch.searchsorted(keys[order], wanted)
    by_value = wanted.argsort(stable=True)
    values = wanted[by_value]
    occurrence = torch.empty_like(wanted)
    occurrence[by_value] = torch.arange(len(wanted), device=wanted.device) - torch.searchsorted(
        values, values
    )
    return order[start + occurrence]


class Oracle:
    """The only holder of hidden labels, and of what is known of every row: noise, right label, region.

    Args:
        noisy: the corrupted pool.
    """

    def __init__(self, noisy: NoisyPool) -> None:
        self._labels_N = noisy.labels_N.cpu()
        self._is_noisy_N = noisy.is_noisy_N.cpu()
        self._true_N = noisy.true_N
        self._region_N = noisy.region_N
        self._parts = noisy.parts

    @property
    def clean_share(self) -> float:
        """Share of clean rows in the whole pool, the expected share of a random query."""
        return 1.0 - float(self._is_noisy_N.double().mean())

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of what rows can be: "clean", and the noise settings in order; "noisy" where they have no names."""
        return ("clean", "noisy") if self._parts is None else self._parts.names

    @property
    def n_regions(self) -> int:
        """Number of regions that rows are in; 0 where the noise has none."""
        return 0 if self._region_N is None else int(self._region_N.max()) + 1

    def everything(self) -> tuple[Tensor, Tensor]:
        """Return all hidden labels (N,) int64 and noise flags (N,) bool as copies, for bounds only; on the CPU."""
        return self._labels_N.clone(), self._is_noisy_N.clone()

    def label(self, ids: Tensor) -> Tensor:
        """Return the hidden labels of ids (n,): (n,) int64 on the CPU; `REJECT` where a row is of no class."""
        return self._labels_N[ids.cpu()]

    def is_noisy(self, ids: Tensor) -> Tensor:
        """Return the noise flags of ids (n,), for the record only: (n,) bool on the CPU."""
        return self._is_noisy_N[ids.cpu()]

    def true(self, ids: Tensor) -> Tensor:
        """Return the right labels of ids (n,), for the record only: (n,) int64 on the CPU, -1 where there is none."""
        ids = ids.cpu()
        if self._true_N is None:
            return torch.where(self._is_noisy_N[ids], NO_LABEL, self._labels_N[ids])
        return self._true_N[ids].long()

    def kind(self, ids: Tensor) -> Tensor:
        """Return the place in `kinds` of each of ids (n,), for the record only: (n,) int64 on the CPU."""
        ids = ids.cpu()
        number = torch.ones_like(ids) if self._parts is None else self._parts.number_N[ids].long()
        return torch.where(self._is_noisy_N[ids], number, 0)

    def region(self, ids: Tensor) -> Tensor:
        """Return the regions of ids (n,), for the record only: (n,) int64 on the CPU, -1 where there is none."""
        ids = ids.cpu()
        return torch.full_like(ids, NO_REGION) if self._region_N is None else self._region_N[ids].long()


def is_right(oracle: Oracle, ids: Tensor) -> Tensor:
    """Return whether rows sell the right label, (n,) bool on the CPU; those without one, or rejected, do not."""
    labels = oracle.label(ids)
    return (labels == oracle.true(ids)) & (labels != REJECT)


def per_kind(oracle: Oracle, ids: Tensor) -> dict[str, int]:
    """Return how many rows are clean, and of each noise that the pool has, by name."""
    counts = torch.bincount(oracle.kind(ids), minlength=len(oracle.kinds)).tolist()
    total: dict[str, int] = {}
    for name, count in zip(oracle.kinds, counts, strict=True):
        total[name] = total.get(name, 0) + count
    return total
