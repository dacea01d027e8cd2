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
has cost more than a pass, all bounds are renewed. So the picks are those of plain evaluation in float64. See
`hetal.acquisition.lazy`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.acquisition.inputs import AnyArray, Array, as_tensor, like
from hetal.acquisition.lazy import Rest, cut, leaders_of
from hetal.acquisition.points import OuterProduct, Points, finite_sq_norms, nearest, pairwise

# Points whose gains are computed at once in float64, and whose bounds are renewed at once, at least and at most; what a
# gain costs, in bounds; and when all bounds are renewed, in bounds for each point. All change the speed only.
_EXACT, _FEWEST, _MOST = 16, 32, 128
_EXACT_COST = 3
_RENEWAL = 0.5

# Points of one side of a tile in a pass: on a CPU the tile stays in cache.
_SIDE = {"cpu": 724, "cuda": 4096}

# Numbers of any other array that is worked on.
_NUMBERS = 2**19

_EPS = torch.finfo(torch.float32).eps


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
        bandwidth: s, above 0, in the unit of the features; see `spread` for one that is never 0.
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
def spread(points: AnyArray) -> float:
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
    cover = _cover(points, bandwidth, weight_M, centers)
    bound_M = cover.upper_bounds()
    is_fresh_M = torch.ones_like(bound_M, dtype=torch.bool)
    picks: list[int] = []
    spent, size = 0, _FEWEST
    while len(picks) < n:
        if spent > _RENEWAL * len(points):
            bound_M, spent = bound_M.minimum(cover.upper_bounds()), 0
            is_fresh_M.fill_(True)
        if not is_fresh_M[bound_M.argmax()]:
            leaders, _ = leaders_of(bound_M, size)
            stale = leaders[~is_fresh_M[leaders]]
            bound_M[stale] = bound_M[stale].minimum(cover.upper_bounds_of(stale))
            is_fresh_M[stale] = True
            spent += len(stale)
            size = min(2 * size, _MOST)
            continue
        leaders, rest = leaders_of(bound_M, _EXACT)
        chosen, bound_M[leaders] = _walk(cover, leaders, rest, n - len(picks))
        if chosen:
            picks, size = picks + chosen, _FEWEST
            is_fresh_M.fill_(False)
        is_fresh_M[leaders] = True
        spent += _EXACT_COST * len(leaders)
        if not bool(bound_M.any()):
            break
    return torch.tensor(picks, dtype=torch.int64, device=points.device)


def _walk(cover: _Cover, leaders: Tensor, rest: Rest, n: int) -> tuple[list[int], Tensor]:
    """Pick the leader of the largest gain for as long as it is certain to be the largest of all.

    Args:
        cover: what picks are added to.
        leaders: (B,) ascending indices.
        rest: what no other point exceeds.
        n: picks wanted, at most.

    Returns:
        The indices of the picks, and the leaders' gains (B,) that are left.
    """
    kernel_BM = cover.kernel(leaders)
    chosen: list[int] = []
    while True:
        gain_B = cover.gains(kernel_BM)
        best = int(gain_B.argmax())
        gain, index = float(gain_B[best]), int(leaders[best])
        if len(chosen) == n or gain == 0 or rest.may_exceed(gain, index):
            return chosen, gain_B
        chosen.append(index)
        cover.add(kernel_BM[best])


class _Cover:
    """Points in units of the bandwidth, about their mean, and how well each is covered.

    Attributes:
        x_MD, norm_M, weight_M: in float64, the squared norms among them.
        covered_M: c, float64.
        rounding: of squared distances in float64, in squared norms.
        x32_MD, weight32_M: the same in float32.
        norm32_M: squared norms, lowered by the most that rounding can add to them and to products.
    """

    def __init__(self, x_MD: Tensor, weight_M: Tensor, covered_M: Tensor) -> None:
        self.x_MD, self.weight_M, self.covered_M = x_MD, weight_M, covered_M
        self.norm_M, self.rounding = x_MD.square().sum(1), OuterProduct(x_MD).rounding()
        self.x32_MD, self.weight32_M = x_MD.float(), weight_M.float()
        self.norm32_M = self.x32_MD.square().sum(1) * (1 - (x_MD.shape[1] + 16) * _EPS)

    def kernel(self, rows: Tensor) -> Tensor:
        """Return the kernel of some points with all, (B, M) float64; 1 where two coincide, see `points`."""
        x_BD, norm_B = self.x_MD[rows], self.norm_M[rows, None]
        size = max(_NUMBERS // len(rows), 1)
        blocks = []
        for x, norm in zip(self.x_MD.split(size), self.norm_M.split(size), strict=True):
            scale = norm_B + norm
            distance = torch.addmm(scale, x_BD, x.T, alpha=-2)
            distance.masked_fill_(distance <= self.rounding * scale, 0)
            blocks.append(distance.neg_().exp_())
        return torch.cat(blocks, 1)

    def gains(self, kernel_BM: Tensor) -> Tensor:
        """Return how much each of the points of which this is the kernel would raise coverage, (B,) float64."""
        return cut((kernel_BM - self.covered_M).clamp_(min=0) @ self.weight_M)

    def add(self, kernel_M: Tensor) -> None:
        """Cover what a point covers, of which this is the kernel."""
        self.covered_M = self.covered_M.maximum(kernel_M)

    def upper_bounds(self) -> Tensor:
        """Return bounds on the gains of all points, (M,) float64, above them by no more than rounding.

        Each tile of the kernel serves both sides, as it is symmetric. Squared distances are lowered by the most that
        rounding can have added, and so is what is covered: every term is at least the true one, and 0 where a point is
        covered in full. The sum over a side of a tile can lose a unit of rounding for each of its terms.
        """
        side = _SIDE.get(self.x_MD.device.type, _SIDE["cpu"])
        starts = range(0, len(self.x_MD), side)
        covered_M, gain_M = self._covered_at_least(), torch.zeros_like(self.weight_M)
        for i in (slice(start, start + side) for start in starts):
            for j in (slice(start, start + side) for start in starts[i.start // side :]):
                kernel = self._kernel_at_most(self.x32_MD[i], self.norm32_M[i], j)
                gain_M[i] += (kernel - covered_M[j]).clamp_(min=0) @ self.weight32_M[j]
                if j.start > i.start:
                    gain_M[j] += self.weight32_M[i] @ kernel.sub_(covered_M[i, None]).clamp_(min=0)
        return gain_M * (1 + (side + 16) * _EPS)

    def upper_bounds_of(self, rows: Tensor) -> Tensor:
        """Return the same of some points, (B,) float64."""
        size = min(max(_NUMBERS // len(rows), 1), 2048)
        x_BD, norm_B = self.x32_MD[rows], self.norm32_M[rows]
        covered_M, gain_B = self._covered_at_least(), torch.zeros_like(self.weight_M[rows])
        for j in (slice(start, start + size) for start in range(0, len(self.x_MD), size)):
            kernel = self._kernel_at_most(x_BD, norm_B, j)
            gain_B += kernel.sub_(covered_M[j]).clamp_(min=0) @ self.weight32_M[j]
        return gain_B * (1 + (size + 16) * _EPS)

    def _kernel_at_most(self, x_BD: Tensor, norm_B: Tensor, j: slice) -> Tensor:
        product = torch.addmm(self.norm32_M[j], x_BD, self.x32_MD[j].T, alpha=-2)
        return product.add_(norm_B[:, None]).clamp_(min=0).neg_().exp_()

    def _covered_at_least(self) -> Tensor:
        covered_M = (self.covered_M * (1 - 1e-6)).float()
        covered_M[self.covered_M == 1] = 1
        return covered_M


def _cover(points: Points, bandwidth: float, weight_M: Tensor | None, centers: Tensor | None) -> _Cover:
    on = points.device
    weight_M = torch.ones(len(points)) if weight_M is None else weight_M
    weight_M = weight_M.to(on).double()
    if weight_M.shape != (len(points),):
        raise ValueError(f"weights must be ({len(points)},), one for each point, not {tuple(weight_M.shape)}")
    if not bool((weight_M.isfinite() & (weight_M >= 0)).all()):
        raise ValueError("weights must be finite, and 0 or more")
    weight_M = weight_M / weight_M.max().clamp(min=torch.finfo(torch.float64).tiny)
    x_MD = points[:].factors[0].double()
    middle = x_MD.mean(0)
    x_MD = (x_MD - middle) / bandwidth
    if not bool(x_MD.square().sum(1).isfinite().all()):
        raise ValueError(f"bandwidth={bandwidth}: is too small for points of this size")
    covered_M = torch.zeros_like(x_MD[:, 0])
    if centers is not None and len(centers):
        if centers.dim() != 2 or centers.shape[1] != x_MD.shape[1]:
            raise ValueError(
                f"centers must be (L, {x_MD.shape[1]}), as the points, not {tuple(centers.shape)}"
            )
        given = OuterProduct(centers.to(on))
        finite_sq_norms(given, "centers")
        around = OuterProduct((given[:].factors[0].double() - middle) / bandwidth)
        blocks = OuterProduct(x_MD).blocks(max(_NUMBERS // 64, 1))
        covered_M = torch.cat([nearest(block, around) for _, block in blocks]).neg_().exp_()
    return _Cover(x_MD, weight_M, covered_M)
