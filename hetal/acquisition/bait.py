"""BAIT: the rows whose labels would leave a classifier's last layer least uncertain, found forwards and backwards.

Ash, Goel, Krishnamurthy & Kakade (NeurIPS 2021, arXiv 2106.09675): the rows S that make least

    tr[(ridge I + sum_{labelled and S} I(x))^-1 F],  F = sum_{all rows} I(x),

where I(x) = V V', V_c = sqrt(p_c) (e_c - p) (x) h, is the Fisher information of a label of x in the last layer. It is
greedy: 2 B rows are added, each the one that lowers it most, then B taken away, each the one that is missed least.

The binary form (Huseljic, Hahn, Herde, Rauch & Sick, ECML 2024, arXiv 2404.08981) has I(x) = q (1 - q) h h' with q the
largest probability, as if a label only said whether the prediction is right: D wide in place of C D. For two classes
q (1 - q) is half of 1 - sum p^2, and I(x) of the whole layer is (1 - sum p^2) h h' in the only direction there is.

No label that is added raises the trace and none that is taken away lowers it. What both ways gain is over B rows
forwards alone (`oversample=1`): on most sets of points, not on all.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.acquisition.copies import checked_copies
from hetal.acquisition.design import LinearDesign
from hetal.acquisition.inputs import AnyArray, Array, as_probabilities, as_tensor, checked_generator, like
from hetal.acquisition.softmax_design import SoftmaxDesign
from hetal.machine.transfer import to_device

# Changes that differ by less, as a share, are ties: sums in another order differ by so much.
TIED = 1e-10


@torch.no_grad()
def bait(
    points_MD: Array,
    probs_MC: AnyArray,
    n: int,
    generator: torch.Generator,
    *,
    known: AnyArray,
    candidates: AnyArray,
    ridge: float,
    weights: AnyArray | None = None,
    copies: AnyArray | None = None,
    binary: bool = False,
    oversample: int = 2,
) -> Array:
    """Pick `n` rows by BAIT, ties at random.

    Memory is that of six matrices of C D x C D numbers in float64 (80 MB at C D = 1,280) and of 2 C^2 numbers for each
    candidate. A row added takes 4 C^2 D operations for each candidate, one taken away as many for each row added.
    With `binary`, C is 1 in all of this.

    Args:
        points_MD: features, in any unit: they are scaled to mean squared norm 1, of those that count.
        probs_MC: class probabilities.
        n: how many to pick.
        generator: decides among ties.
        known: (L,) int64 indices of the points whose labels are known; one named k times counts k times.
        candidates: (P,) int64 distinct indices of the points to pick from.
        ridge: prior precision of every weight, at least `hetal.acquisition.design.LEAST_RIDGE`.
        weights: (P,) whole numbers, how many rows show each candidate, and so how often it may be picked; None is once.
        copies: (M,) how often each point counts in F, 0 or more; None is once each.
        binary: use the binary form.
        oversample: so many times `n` are added, as far as there are rows, and all but `n` taken away; 1 only adds.

    Returns:
        (n,) int64 indices into `points_MD`, in the order they were added; a numpy array as they are.

    Raises:
        ValueError: `n` is negative or exceeds the total weight; `ridge` is under `LEAST_RIDGE`; `oversample` is under
            1; weights are negative or not whole; points are not finite; `probs_MC` holds no probabilities.
    """
    points, chosen = as_tensor(points_MD, "points_MD"), as_tensor(candidates, "candidates")
    rng = checked_generator(generator)
    given = None if weights is None else as_tensor(weights, "weights")
    rows_P = checked_copies(len(chosen), given, points.device)
    total = int(rows_P.sum())
    if not 0 <= n <= total:
        raise ValueError(f"n={n}: must be in 0..{total}, the number of candidates counted with weights")
    if oversample < 1:
        raise ValueError(f"oversample={oversample}: must be at least 1")
    probs = as_probabilities(probs_MC, "probs_MC", "MC")
    counted = None if copies is None else as_tensor(copies, "copies")
    rest = as_tensor(known, "known"), chosen, ridge, counted
    design = (
        LinearDesign(points, binary_information(probs), *rest)
        if binary
        else SoftmaxDesign(points, probs, *rest)
    )
    added = _added(design, min(oversample * n, total), rows_P, rng)
    return like(points_MD, chosen[_kept(design, added, n, rng).to(chosen.device)].to(points.device))


def binary_information(probs_MC: Array) -> Array:
    """Return q (1 - q), q the largest probability, what a label says of whether the prediction is right: (M,)."""
    largest_M = as_probabilities(probs_MC, "probs_MC", "MC").amax(1).clamp(max=1)
    return like(probs_MC, largest_M * (1 - largest_M))


def _added(design: LinearDesign | SoftmaxDesign, n: int, rows_P: Tensor, rng: torch.Generator) -> Tensor:
    """Add n labels to the design, each of the row that takes most, and return their positions (n,)."""
    left_P = rows_P.to(design.device, torch.float64)
    # Of rows that tie, the first in a random order comes first; of every candidate only its next row's turn is drawn.
    drawn = torch.rand(len(rows_P) + n, generator=rng, dtype=torch.float64, device=rng.device)
    first_P, next_n = to_device(design.device, drawn)[0].split([len(rows_P), n])
    turn_P = _next_turn(torch.zeros_like(left_P), left_P, first_P)
    picks = torch.empty(n, dtype=torch.int64, device=design.device)
    for k in range(n):
        # Nothing here is read back to the host.
        pick = _largest(design.gains().clamp(min=0).masked_fill(left_P == 0, -1), turn_P)
        picks[k : k + 1] = pick
        left_1, turn_1 = left_P.index_select(0, pick) - 1, turn_P.index_select(0, pick)
        left_P.index_copy_(0, pick, left_1)
        turn_P.index_copy_(0, pick, _next_turn(turn_1, left_1, next_n[k]))
        design.move(pick)
    design.check()
    return picks


def _kept(design: LinearDesign | SoftmaxDesign, added: Tensor, n: int, rng: torch.Generator) -> Tensor:
    """Take all but n labels away, each the one that is missed least, and return the positions (n,) of the others."""
    if n == len(added):
        return added
    places, place, n_left = added.unique(return_inverse=True, return_counts=True)
    turn = torch.rand(len(places), generator=rng, dtype=torch.float64, device=rng.device)
    turn = to_device(design.device, turn)[0]
    design = design.only(places)
    for _ in range(len(added) - n):
        out = _largest(-design.losses().clamp(min=0).masked_fill(n_left == 0, torch.inf), turn)
        n_left.index_add_(0, out, -torch.ones_like(out))
        design.move(out, -1)
    design.check()
    # Of a candidate added several times, the first are kept.
    order = place.argsort(stable=True)
    rank = torch.empty_like(place)
    rank[order] = torch.arange(len(added), device=added.device) - torch.searchsorted(
        place[order], place[order]
    )
    return added[rank < n_left[place]]


def _next_turn(turn: Tensor, n_left: Tensor, uniform: Tensor) -> Tensor:
    """Return the least of `n_left` uniform numbers above `turn`."""
    return turn + (1 - turn) * (1 - uniform ** (1 / n_left.clamp(min=1)))


def _largest(value: Tensor, turn: Tensor) -> Tensor:
    """Return the position (1,) of the largest value, of several that tie the one with the least turn."""
    most = value.amax()
    return turn.masked_fill(value < most - TIED * most.abs(), torch.inf).argmin(0, keepdim=True)
