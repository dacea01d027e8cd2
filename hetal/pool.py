"""The pool of examples to buy labels for, and the oracle with the hidden labels."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hetal.noise import NoisyPool


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
        self._labels_N = torch.full_like(self.source_N, -1)

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

    def labelled_ids(self) -> Tensor:
        """Return the ids bought so far, ascending: (L,) int64."""
        return torch.nonzero(self._labels_N >= 0).flatten()

    def unlabelled_ids(self) -> Tensor:
        """Return the ids not bought yet, ascending: (N - L,) int64."""
        return torch.nonzero(self._labels_N < 0).flatten()

    def labels(self, ids: Tensor) -> Tensor:
        """Return the bought labels of `ids`: (len(ids),) int64.

        Raises:
            ValueError: a row of `ids` has not been bought.
        """
        labels = self._labels_N[ids.to(self.device)]
        if bool((labels < 0).any()):
            raise ValueError("asked for the label of a row that was never bought")
        return labels

    def reveal(self, ids: Tensor, labels: Tensor) -> None:
        """Add bought labels.

        Args:
            ids: (n,) int64 distinct unlabelled ids.
            labels: (n,) int64, their labels.

        Raises:
            ValueError: an id is out of range, repeated, or already labelled.
        """
        ids, labels = ids.to(self.device), labels.to(self.device)
        if len(ids) and not (int(ids.min()) >= 0 and int(ids.max()) < len(self)):
            raise ValueError(f"ids must be in 0..{len(self) - 1}")
        if len(ids.unique()) < len(ids) or bool((self._labels_N[ids] >= 0).any()):
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
    """The only holder of hidden labels and noise flags.

    Args:
        noisy: the corrupted pool.
    """

    def __init__(self, noisy: NoisyPool) -> None:
        self._labels_N = noisy.labels_N.cpu()
        self._is_noisy_N = noisy.is_noisy_N.cpu()

    @property
    def clean_share(self) -> float:
        """Share of clean rows in the whole pool, the expected share of a random query."""
        return 1.0 - float(self._is_noisy_N.double().mean())

    def everything(self) -> tuple[Tensor, Tensor]:
        """Return all hidden labels (N,) int64 and noise flags (N,) bool as copies, for bounds only; on the CPU."""
        return self._labels_N.clone(), self._is_noisy_N.clone()

    def label(self, ids: Tensor) -> Tensor:
        """Return the hidden labels of ids (n,): (n,) int64 on the CPU."""
        return self._labels_N[ids.cpu()]

    def is_noisy(self, ids: Tensor) -> Tensor:
        """Return the noise flags of ids (n,), for the record only: (n,) bool on the CPU."""
        return self._is_noisy_N[ids.cpu()]
