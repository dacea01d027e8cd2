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


def leaders_of(bound_M: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return the points of largest bounds, ties by lowest index, in order of index; and what is known of the rest.

    Nothing is read back to the host.

    Args:
        bound_M: (M,) float64, of which no value is negative.
        size: how many points lead, at most.

    Returns:
        Indices, and the numbers of `Rest`, (2,) float64.
    """
    if len(bound_M) <= size:
        rest = torch.full((2,), len(bound_M), dtype=torch.float64, device=bound_M.device)
        rest[0] = 0
        return torch.arange(len(bound_M), device=bound_M.device), rest
    bound = bound_M.topk(size + 1).values[-1]
    is_above_M, is_equal_M = bound_M > bound, bound_M == bound
    n_equal = size - is_above_M.sum()
    rank_M = is_equal_M.cumsum(0)
    leads_M = is_above_M | (is_equal_M & (rank_M <= n_equal))
    leaders = places_of(leads_M, size)
    first = torch.searchsorted(rank_M, n_equal + 1)
    return leaders, torch.stack([bound, first.double()])


def places_of(is_one_M: Tensor, n: int) -> Tensor:
    """Return the first `n` places where a truth value holds, (n,): `nonzero` would wait for a GPU to count them."""
    if is_one_M.device.type == "cpu":
        return is_one_M.nonzero().squeeze(1)[:n]
    return torch.searchsorted(is_one_M.cumsum(0), torch.arange(1, n + 1, device=is_one_M.device))


def cut(value: Tensor) -> Tensor:
    """Return float64 rounded towards 0 to 36 significant bits, which leaves upper bounds on others valid.

    Values of equal points then tie, whatever the order in which their sums were rounded.
    """
    return (value.view(torch.int64) & -(1 << 17)).view(torch.float64)
