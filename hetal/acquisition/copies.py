"""Multiplicities: how many unlabelled rows of a pool show each of its M distinct images.

A pool of N rows is M images with counts w that sum to N. A uniform draw of rows without replacement is then a
draw of places in 0..N-1, each belonging to the image in whose stretch of the cumulative counts it falls.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.machine.transfer import to_device


def draw_copies(copies_M: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Draw the points of `n` copies, uniformly without replacement from all copies (M,) there are."""
    ends_M = copies_M.cumsum(0)
    total = int(ends_M[-1])
    if total <= 4 * n:
        copies = torch.randperm(total, generator=generator, device=generator.device)[:n]
    else:
        # Drawn with replacement, the first n different ones are a draw without.
        distinct: dict[int, None] = {}
        while len(distinct) < n:
            drawn = torch.randint(total, (n,), generator=generator, device=generator.device)
            distinct.update(dict.fromkeys(drawn.tolist()))
        copies = torch.tensor(list(distinct)[:n], device=generator.device)
    return torch.searchsorted(ends_M, *to_device(ends_M.device, copies), right=True)


def checked_copies(n_points: int, weights: Tensor | None, device: torch.device) -> Tensor:
    """Return the multiplicities (M,) as int64 that the caller may change; 1 each where there are no weights.

    Raises:
        ValueError: weights are not one whole number, 0 or more, for each point.
    """
    if weights is None:
        return torch.ones(n_points, dtype=torch.int64, device=device)
    if weights.shape != (n_points,):
        raise ValueError(f"weights must be ({n_points},), one for each point, not {tuple(weights.shape)}")
    copies_M = weights.to(device, torch.int64, copy=True)
    if not bool(((weights.to(device) == copies_M) & (copies_M >= 0)).all()):
        raise ValueError("weights must be whole numbers of copies, 0 or more")
    return copies_M
