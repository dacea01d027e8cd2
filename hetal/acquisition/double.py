"""Points in float64: few are held so, many are converted block by block, so that they may be backed by a file."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

# Points of up to this many numbers are held in float64, 512 MiB.
NUMBERS_HELD = 2**26

# Numbers of a block of more points, which then stays in cache.
NUMBERS_AT_ONCE = 2**19


class Double:
    """Points in float64, divided by a scale: held where they are few, else converted block by block.

    Args:
        points_MD: as given.
        scale: a scalar; None is 1.
        rows: (P,) int64, which of them; None for all.
    """

    def __init__(self, points_MD: Tensor, scale: Tensor | None = None, rows: Tensor | None = None) -> None:
        self._points_MD, self._scale, self._rows = points_MD, scale, rows
        self._n, width = len(points_MD if rows is None else rows), max(points_MD.shape[1], 1)
        is_held = self._n * width <= NUMBERS_HELD
        self._size = max(self._n if is_held else NUMBERS_AT_ONCE // width, 1)
        self._held = self[slice(None)] if is_held else None

    @property
    def device(self) -> torch.device:
        """Device of the points."""
        return self._points_MD.device

    def take(self, rows: Tensor) -> Double:
        """Return the points with these numbers, of a set of all."""
        return Double(self._points_MD, self._scale, rows)

    def __getitem__(self, at: Tensor | slice) -> Tensor:
        x = self._points_MD[at if self._rows is None else self._rows[at]].double()
        return x if self._scale is None else x / self._scale

    def blocks(self, size: int | None = None) -> Iterator[tuple[slice, Tensor]]:
        """Yield consecutive points, `size` at a time or as suits, and where they are."""
        size = size or self._size
        for start in range(0, max(self._n, 1), size):
            at = slice(start, start + size)
            yield at, self[at] if self._held is None else self._held[at]

    def information(self, weight_P: Tensor) -> Tensor:
        """Return sum_i w_i x_i x_i', (D, D)."""
        width = self._points_MD.shape[1]
        total_DD = torch.zeros(width, width, dtype=torch.float64, device=self._points_MD.device)
        for at, x in self.blocks():
            total_DD += x.T @ (weight_P[at, None] * x)
        return total_DD

    def along(self, directions_DK: Tensor) -> Tensor:
        """Return the scalar products (P, K) with directions."""
        return torch.cat([x @ directions_DK for _, x in self.blocks()])

    def variance_and_reach(self, covariance_DD: Tensor, goal_DD: Tensor) -> tuple[Tensor, Tensor]:
        """Return x'Ax and x'ASAx of each point, (P,) each."""
        found = []
        for _, x in self.blocks():
            spread = x @ covariance_DD
            found.append(((spread * x).sum(1), (spread @ goal_DD * spread).sum(1)))
        variances, reaches = zip(*found, strict=True)
        return torch.cat(variances), torch.cat(reaches)
