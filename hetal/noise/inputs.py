"""Inputs as noise that depends on them sees them: rows of images as vectors, standardised, some at a time."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from hetal.data.standardise import statistics
from hetal.machine import scratch

#: Rows that mean and deviation are of, at most.
SAMPLE = 5000


class Inputs:
    """Images or vectors as vectors, standardised by mean and deviation of a random sample of them.

    Args:
        images: (n, ...), perhaps mapped from disk.
        standardise: see `hetal.data.standardise.statistics`.
        rng: CPU generator; draws the sample.

    Attributes:
        sample: (<= SAMPLE,) int64, its rows, ascending.
    """

    def __init__(self, images: Tensor, standardise: str, rng: torch.Generator) -> None:
        self.sample = torch.randperm(len(images), generator=rng)[:SAMPLE].sort().values
        mean, std = statistics(images.index_select(0, self.sample), standardise)
        # Per channel, or per feature of vectors.
        shape = (-1, *[1] * (images.dim() - 2))
        self._mean = torch.tensor(mean, dtype=torch.float64).reshape(shape)
        self._std = torch.tensor(std, dtype=torch.float64).reshape(shape)
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    @property
    def n_features(self) -> int:
        """Number of values of a row, D."""
        return self._images[0].numel()

    def __getitem__(self, ids: Tensor) -> Tensor:
        """Return the rows `ids` (k,) int64 as vectors (k, D) float64."""
        rows = self._images.index_select(0, ids).double()
        return rows.sub_(self._mean).div_(self._std).flatten(1)

    def parts(self, ids: Tensor, n_results: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield places (k,) in `ids`, some at a time, with the vectors of the rows there.

        Args:
            ids: (n,) int64.
            n_results: numbers that are computed for each row, which memory is to hold too.
        """
        at = max(scratch.NUMBERS_AT_ONCE // max(self.n_features, n_results), 1)
        for places in torch.arange(len(ids)).split(at):
            yield places, self[ids[places]]
