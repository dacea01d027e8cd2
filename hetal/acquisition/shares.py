"""Draws in proportion to masses, by whole numbers, whose cumulative sums are exact.

A cumulative sum of floats is added up in another order on every device, and on some in another order at every call.
Masses are rounded up to multiples of one unit, a power of two of which their sum is 2^51 to 2^52, so that what has mass
has a share, and what has none has none.
"""

from __future__ import annotations

import torch
from torch import Tensor

# The bits of a number of float64 that are its exponent: alone, they are the power of two that it is at least.
EXPONENT = 0x7FF0_0000_0000_0000

# The smallest number of float64 above 0.
LEAST = 2.0**-1074


def whole_shares(mass: Tensor) -> tuple[Tensor, Tensor]:
    """Return masses as multiples of a unit, rounded up.

    Args:
        mass: (..., n) float64, 0 or more and finite.

    Returns:
        (..., n) int64, of the last axis a sum of 2^51 to 2^52, and one more for each that was rounded up; and the unit,
        (...), 0 where all masses are.
    """
    total = mass.sum(-1)
    unit = ((total.view(torch.int64) & EXPONENT).view(torch.float64) / 2**51).clamp(min=LEAST)
    return (mass / unit[..., None]).ceil().long(), torch.where(total > 0, unit, 0)


def place_in(total: Tensor, fraction: Tensor) -> Tensor:
    """Return the whole number in [0, total) that a fraction in [0, 1) of it falls on: floor(fraction * total)."""
    return torch.minimum((fraction * total).long(), total - 1)
