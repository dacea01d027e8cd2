"""BatchBALD: greedily the batch of points whose labels tell most about the weights, jointly.

Kirsch, van Amersfoort & Gal (NeurIPS 2019, arXiv 1906.08158). With weights theta_1..theta_K, each as likely, the next
point is

    argmax_x  I(y_1, .., y_b, y_x; theta) = argmax_x  I(y_x; theta | y_1, .., y_b)

by the chain rule, since what the b points picked tell is the same for all x. A configuration c of their labels leaves
the weights the posterior w_k(c) = p_k(c) / sum_j p_j(c), so that

    I(y_x; theta | y_1, .., y_b) = sum_c p(c) [ H(sum_k w_k(c) p_k(y_x)) - sum_k w_k(c) H(p_k(y_x)) ].

All C^b configurations are kept while they are few. Then as many are drawn, each with weights of its own, as in the
authors' later code (batchbald_redux), and drawn further with every pick. Three things differ from it. Terms are written
with posteriors, which are neither 0 nor infinite however many points are picked: products of probabilities leave
float64 at some 300 points. The entropy that the weights explain is taken per configuration, which estimates the same
with less noise, never below 0. And picks are lazy (Minoux 1978): information only falls as points are picked, so that
what a point told before bounds what it tells now, and only points whose bound leads are evaluated again. It is exact
for all configurations, and up to the noise of the draws otherwise.

The information in a batch is at most log K, which ten or twenty points tell where networks disagree outright. All
others then tell next to nothing, and what is left of differences is noise. So once the best tells less than a share of
what the first of its batch told, picking starts anew from no condition, among the points not picked yet.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.acquisition.configurations import Configurations
from hetal.acquisition.copies import checked_copies
from hetal.acquisition.inputs import AnyArray, Array, as_probabilities, as_tensor, checked_generator, like
from hetal.machine.transfer import to_device, to_host

# Points evaluated together, at least.
_LEADERS = 64

# What a point picked before must tell more than others, in nats, so that it is not picked again where none tells more.
_AGAIN = 1e-12


def batchbald(
    probs_KMC: Array,
    n: int,
    generator: torch.Generator,
    *,
    weights: AnyArray | None = None,
    n_configurations: int = 500,
    restart_below: float = 0.05,
) -> Array:
    """Pick `n` points by greedy joint information about the weights, in the order they are picked.

    Args:
        probs_KMC: class probabilities by K networks, each of which has seen all points: members of an ensemble, or
            dropout passes that share their masks. With a mask for every point they tell nothing of each other.
        n: how many to pick.
        generator: where configurations, and the order among ties, come from.
        weights: (M,) whole numbers, how many copies of each point there are; 0 bars a point. None is 1 each. A copy
            is another draw of a label, and may be picked where it tells more than other points.
        n_configurations: most configurations of labels, rounded up to a multiple of K where they are drawn.
        restart_below: start anew once the best point tells less than this share of what the first did; 0 never does.

    Returns:
        (n,) int64 indices, each at most as often as its weight, on the points' device, or a numpy array as they are.

    Raises:
        ValueError: `n` is negative or exceeds the total weight; `probs_KMC` holds no probabilities; weights are
            negative or not whole; `n_configurations` is below 1, or `restart_below` not in 0..1.
    """
    probs = as_probabilities(probs_KMC, "probs_KMC", "KMC")
    copies = None if weights is None else to_host(as_tensor(weights, "weights"))[0]
    copies_M = checked_copies(probs.shape[1], copies, torch.device("cpu"))
    total = int(copies_M.sum())
    if not 0 <= n <= total:
        raise ValueError(f"n={n}: must be in 0..{total}, the number of points counted with weights")
    if n_configurations < 1:
        raise ValueError(f"n_configurations={n_configurations}: must be at least 1")
    if not 0 <= restart_below <= 1:
        raise ValueError(f"restart_below={restart_below}: must be in 0..1")
    rng = checked_generator(generator)
    return like(probs_KMC, _batchbald(probs, n, rng, copies_M, n_configurations, restart_below))


@torch.no_grad()
def _batchbald(
    probs_KMC: Tensor, n: int, rng: torch.Generator, copies_M: Tensor, most: int, restart_below: float
) -> Tensor:
    # What decides is on the host, where only what points tell is waited for. Shuffled, since ties go to the first.
    order = to_host(torch.randperm(probs_KMC.shape[1], generator=rng, device=rng.device))[0]
    order = order[copies_M[order] > 0]
    copies_P = copies_M[order]
    known = Configurations(probs_KMC, most, rng)
    alone_P = _told(known, order)
    was_picked_P = torch.zeros_like(copies_P, dtype=torch.bool)
    bound_P, first = alone_P.clone(), 0.0
    picks: list[int] = []
    while len(picks) < n:
        best, told = _best(bound_P, known, order, was_picked_P)
        if known.n_labels and (told == -torch.inf or told < restart_below * first):
            known = Configurations(probs_KMC, most, rng)
            is_open_P = copies_P > 0
            if (is_open_P & ~was_picked_P).any():
                is_open_P &= ~was_picked_P
            bound_P = alone_P.masked_fill(~is_open_P, -torch.inf)
            continue
        if not known.n_labels:
            first = told
        picks.append(best)
        known.add(int(order[best]))
        was_picked_P[best] = True
        copies_P[best] -= 1
        bound_P[best] = bound_P[best] - _AGAIN if copies_P[best] else -torch.inf
    return to_device(probs_KMC.device, order[torch.tensor(picks, dtype=torch.int64)])[0]


def _best(bound_P: Tensor, known: Configurations, order: Tensor, was_picked_P: Tensor) -> tuple[int, float]:
    """Return the point that tells most, and how much; bounds of the points evaluated become what they tell."""
    if not known.n_labels:
        return int(bound_P.argmax()), float(bound_P.max())
    leaders = bound_P.argsort(descending=True, stable=True)
    leaders = leaders[: int((bound_P > -torch.inf).sum())]
    stale = bound_P[leaders].numpy()
    best, told, start = 0, -torch.inf, 0
    while start < len(stale) and stale[start] > told:
        ids = leaders[start : start + max(known.tile, _LEADERS)]
        bound_P[ids] = _told(known, order[ids]) - _AGAIN * was_picked_P[ids]
        at = int(bound_P[ids].argmax())
        if float(bound_P[ids[at]]) > told:
            best, told = int(ids[at]), float(bound_P[ids[at]])
        start += len(ids)
    if told <= 0 and len(leaders):  # all that are left tell nothing: those evaluated do not come first
        is_open_P = bound_P > -torch.inf
        is_new_P = is_open_P & ~was_picked_P
        best = int((is_new_P if is_new_P.any() else is_open_P).int().argmax())
    return best, told


def _told(known: Configurations, points: Tensor) -> Tensor:
    """Return what points tell, on the host: (n,) float64."""
    return to_host(known.information(*to_device(known.share_R.device, points)))[0]
