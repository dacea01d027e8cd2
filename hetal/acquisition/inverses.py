"""Inverses and factors of many matrices, checked once: `torch.linalg.inv` makes the host wait for a GPU every time."""

from __future__ import annotations

import torch
from torch import Tensor


class Inverses:
    """What an object that inverts matrices again and again knows of whether it could."""

    _n_failed: Tensor | int = 0

    def _noted(self, result: Tensor, info: Tensor) -> Tensor:
        """Return the result of a function such as `torch.linalg.inv_ex`, and take note of whether it failed."""
        self._n_failed = self._n_failed + (info != 0)
        return result

    def check(self) -> None:
        """Check that all results meant something; to be called after the last.

        Raises:
            torch.linalg.LinAlgError: some matrix could not be inverted.
        """
        if self._n_failed:
            raise torch.linalg.LinAlgError(  # type: ignore[attr-defined]
                "a matrix is singular, or not positive definite"
            )
