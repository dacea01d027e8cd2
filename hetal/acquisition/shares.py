"""Draws in proportion to masses, by whole numbers, so that every device gives the same cumulative sums.

A cumulative sum of floats is added up in another order on every device, and on some in another order at every call.
Sums of whole numbers are exact. Masses are rounded up to multiples of one unit, 2^-52 of their sum, so that what has
mass has a share, and what has none has none.
"""

from __future__ import annotations

import torch
from torch import Tensor

# As many as float64 can tell apart; with the rounding up of as many masses, sums stay whole numbers of float64.
PARTS = 2**52

# The smallest number of float64 above 0.
LEAST = 2.0**-1074


def whole_shares(mass: Tensor) -> tuple[Tensor, Tensor]:
    """Return masses as multiples of a unit, rounded up.

    Args:
        mass: (..., n) float64, 0 or more and finite.

    Returns:
        (..., n) int64, of the last axis a sum of about 2^52; and the unit, (...), 0 where all masses are.
    """
    total = mass.sum(-1)
    unit = (total / PARTS).clamp(min=LEAST)
    return (mass / unit[..., None]).ceil().long(), torch.where(total > 0, unit, 0)


def place_in(total: Tensor, fraction: Tensor) -> Tensor:
    """Return the whole number in [0, total) that a fraction in [0, 1) of it falls on: floor(fraction * total)."""
    return torch.minimum((fraction * total).long(), total - 1)
