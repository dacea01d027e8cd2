"""Greedy coverage by a kernel: again and again the point that raises most how well all points are covered.

MaxHerding (Bae, Noh & Sutherland, ECCV 2024, arXiv 2407.12212). With a Gaussian kernel k(x, y) = exp(-|x - y|^2 / s^2)
of bandwidth s, weights w_i, and c_i the largest k(x_i, .) over all points that are labelled or picked, 0 without any,
the next pick is

    argmax_j sum_i w_i max(k(x_j, x_i) - c_i, 0),  ties to the lowest index.

With w_i = 1 that is the greedy maximum of the mean of c; uncertainties for w_i give uncertainty coverage (Bae, Oliveira
& Sutherland, ICLR 2025, arXiv 2412.20644). Cost: M^2 D operations and no matrix of M x M, then about as many again.

The gain of a point only falls as others are picked (the sum is submodular), so that one computed earlier is an upper
bound. All gains are bounded in float32, in a pass over half of all pairs. Then, of the points with the largest bounds,
these are renewed, and the true gains computed in float64, until one of them reaches the bounds of all others. Once that
has cost a fraction of a pass, all bounds are renewed. So the picks are those of plain evaluation in float64. See
`hetal.acquisition.lazy`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.acquisition.inputs import AnyArray, Array, as_tensor, like
from hetal.acquisition.kernel_cover import Cover, cover_of
from hetal.acquisition.lazy import Rest, leaders_of
from hetal.acquisition.points import OuterProduct, Points, finite_sq_norms, pairwise
from hetal.machine.transfer import to_device, to_host

# Points whose gains are computed at once in float64, and whose bounds are renewed at once, at least and at most; what a
# gain costs, in bounds; and when all bounds are renewed, in bounds for each point. All change the speed only.
_EXACT, _FEWEST, _MOST = 16, 32, 64
_EXACT_COST = 3
_RENEWAL = 0.15


def max_herding(
    points: Array,
    n: int,
    *,
    bandwidth: float,
    weights: AnyArray | None = None,
    centers: AnyArray | None = None,
) -> Array:
    """Pick up to `n` points, each the one that raises most the weighted coverage of all.

    Args:
        points: features (M, D), a tensor or numpy array, on any device.
        n: how many to pick, at most.
        bandwidth: s, above 0, in the unit of the features; see `rms_distance` for one that is never 0.
        weights: (M,) w, 0 or more, such as how many copies of each point there are; None is 1 each.
        centers: what is covered already, such as the labelled points: features (L, D).

    Returns:
        (K,) int64 distinct indices into `points`, in the order they are picked, on their device, or a numpy array as
        they are; fewer than `n` where no other point raises coverage: those left coincide with covered ones, or nothing
        that is near them has weight.

    Raises:
        ValueError: `n` is negative or exceeds M; `bandwidth` is not above 0; points, centres or weights are not finite;
            a weight is negative; shapes do not match.
    """
    x = as_tensor(points, "points")
    picks = _max_herding(
        OuterProduct(x),
        n,
        bandwidth,
        None if weights is None else as_tensor(weights, "weights"),
        None if centers is None else as_tensor(centers, "centers"),
    )
    return like(points, picks.to(x.device))


@torch.no_grad()
def rms_distance(points: AnyArray) -> float:
    """Return the root mean squared distance of two different points, of (M, D) features: a bandwidth of their scale.

    Copies must be left out, as they would lower it. It is 1 where all points coincide, or there is only one.
    """
    x_MD = as_tensor(points, "points").float()
    if len(x_MD) < 2:
        return 1.0
    middle = x_MD.mean(0, dtype=torch.float64).float()
    square = float((x_MD - middle).square_().sum(1).double().sum())
    # What rounding leaves between equal points is no distance.
    is_apart = square > 1e-12 * float(x_MD.square().sum(1).double().sum())
    return (2 * square / (len(x_MD) - 1)) ** 0.5 if is_apart else 1.0


@torch.no_grad()
def distances_to_nearest(points: AnyArray) -> Tensor:
    """Return the distance of each point to the nearest that does not coincide with it: (M, D) to (M,) float64.

    It is infinite where there is none.
    """
    x = OuterProduct(as_tensor(points, "points"))
    finite_sq_norms(x)
    square_M = torch.full((len(x),), torch.inf, dtype=torch.float64, device=x.device)
    for rows, block in x.blocks(1024):
        for _, other in x.blocks(1024):
            distance = pairwise(block, other)
            distance = distance.masked_fill_(distance == 0, torch.inf).amin(1)
            square_M[rows] = square_M[rows].minimum(distance)
    return square_M.sqrt()


@torch.no_grad()
def _max_herding(
    points: Points, n: int, bandwidth: float, weight_M: Tensor | None, centers: Tensor | None
) -> Tensor:
    if not 0 <= n <= len(points):
        raise ValueError(f"n={n}: must be in 0..{len(points)}, the number of points")
    if not 0 < bandwidth < float("inf"):
        raise ValueError(f"bandwidth={bandwidth}: must be above 0, and finite")
    finite_sq_norms(points)
    if n == 0:
        return torch.empty(0, dtype=torch.int64, device=points.device)
    cover = cover_of(points, bandwidth, weight_M, centers)
    bound_M = cover.upper_bounds()
    is_fresh_M = torch.ones_like(bound_M, dtype=torch.bool)
    picks: list[int] = []
    spent, size = 0, _FEWEST
    while len(picks) < n:
        if spent > _RENEWAL * len(points):
            bound_M, spent = bound_M.minimum(cover.upper_bounds()), 0
            is_fresh_M.fill_(True)
        top = bound_M.argmax(0, keepdim=True)
        is_fresh, is_above_0 = to_host(is_fresh_M[top], bound_M[top] > 0)
        if not is_above_0:
            break
        if not is_fresh:
            leaders, _ = leaders_of(bound_M, size)
            stale = leaders[~is_fresh_M[leaders]]
            bound_M[stale] = bound_M[stale].minimum(cover.upper_bounds_of(stale))
            is_fresh_M.index_fill_(0, stale, True)
            spent += len(stale)
            size = min(2 * size, _MOST)
            continue
        leaders, rest_2 = leaders_of(bound_M, _EXACT)
        chosen, bound_M[leaders] = _walk(cover, leaders, rest_2, n - len(picks))
        if chosen:
            picks, size = picks + chosen, _FEWEST
            is_fresh_M.fill_(False)
        is_fresh_M.index_fill_(0, leaders, True)
        spent += _EXACT_COST * len(leaders)
    return to_device(points.device, torch.tensor(picks, dtype=torch.int64))[0]


def _walk(cover: Cover, leaders: Tensor, rest_2: Tensor, n: int) -> tuple[list[int], Tensor]:
    """Pick the leader of the largest gain for as long as it is certain to be the largest of all.

    Args:
        cover: what picks are added to.
        leaders: (B,) ascending indices.
        rest_2: the numbers of a `Rest`, which no other point exceeds.
        n: picks wanted, at most.

    Returns:
        The indices of the picks, and the leaders' gains (B,) that are left.
    """
    kernel_BM = cover.kernel(leaders)
    chosen: list[int] = []
    while True:
        gain_B = cover.gains(kernel_BM)
        best = gain_B.argmax(0, keepdim=True)
        best, gain_1, index_1, numbers_2 = to_host(best, gain_B[best], leaders[best], rest_2)
        gain, index = float(gain_1), int(index_1)
        if len(chosen) == n or gain == 0 or Rest(*numbers_2.tolist()).may_exceed(gain, index):
            return chosen, gain_B
        chosen.append(index)
        cover.add(kernel_BM[int(best)])
