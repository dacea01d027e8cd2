"""Lazy evaluation of greedy picks: upper bounds for all points, true values for the few that could be the largest.

Where picks only lower what each point is worth, a value computed earlier bounds the value of now (Minoux, Optimization
Techniques, 1978). A point is the largest of all once its value reaches the bounds of all others.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Rest(NamedTuple):
    """The points that do not lead: their largest bound, and the first index that has it."""

    bound: float
    first: int

    def may_exceed(self, value: float, index: int) -> bool:
        """Tell whether one of them may be worth more than a leader, or as much with a lower index."""
        return value < self.bound or (value == self.bound and index > self.first)


def leaders_of(bound_M: Tensor, size: int) -> tuple[Tensor, Rest]:
    """Return the points of largest bounds, ties by lowest index, in order of index; and what is known of the rest.

    Args:
        bound_M: (M,) float64, of which no value is negative.
        size: how many points lead, at most.
    """
    if len(bound_M) <= size:
        return torch.arange(len(bound_M), device=bound_M.device), Rest(0, len(bound_M))
    bound = bound_M.topk(size + 1).values[-1]
    above = (bound_M > bound).nonzero().squeeze(1)
    equal = (bound_M == bound).nonzero().squeeze(1)
    n_equal = size - len(above)
    return torch.cat([above, equal[:n_equal]]).sort().values, Rest(float(bound), int(equal[n_equal]))


def cut(value: Tensor) -> Tensor:
    """Return float64 rounded towards 0 to 36 significant bits, which leaves upper bounds on others valid.

    Values of equal points then tie, whatever the order in which their sums were rounded.
    """
    return (value.view(torch.int64) & -(1 << 17)).view(torch.float64)
