"""Covering by balls of one radius: again and again the point whose ball holds most points that no ball holds yet.

Yehuda, Dekel, Hacohen & Weinshall (NeurIPS 2022, arXiv 2205.11320). With multiplicities w_j, and U the points that are
not covered, the next point is

    argmax_i  sum_{j in U} w_j [|x_i - x_j| < delta],

the greedy algorithm of maximum coverage (Nemhauser, Wolsey & Fisher, 1978). For the radius see
`hetal.acquisition.purity`.

The graph of all pairs is never held. One pass over the pairs, in tiles of which each serves both of its sides, counts
what each ball holds. Then each point that becomes covered is taken from the counts of the balls that hold it, once;
these have their centres within 2 delta of the pick. So all picks together cost at most two passes more, and far less
where balls are small.

Distances are compared in float64. Squared distances that agree with delta^2 to 1 part in 10^9 count as equal to it, and
so as outside, so that no two tiles disagree about a pair; points that float64 cannot tell apart are in each other's
ball however small it is.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.acquisition.copies import checked_copies
from hetal.acquisition.inputs import AnyArray, Array, as_tensor, checked_generator, like
from hetal.acquisition.lazy import places_of
from hetal.acquisition.points import as_points, finite_sq_norms
from hetal.rng import permutation

# Points of a side of a tile: on a CPU a tile then stays in cache, and fills a GPU.
SIDE = {"cpu": 512, "cuda": 4096}


@torch.no_grad()
def max_cover(
    points: Array,
    n: int,
    delta: float,
    generator: torch.Generator,
    *,
    weights: AnyArray | None = None,
    centers: AnyArray | None = None,
) -> Array:
    """Pick `n` points by greedy maximum coverage, in the order they are picked; ties are broken at random.

    Args:
        points: features (M, D), a tensor or numpy array.
        n: how many to pick, at most.
        delta: radius of a ball, 0 or more; infinity covers everything at once.
        generator: where the order among ties comes from.
        weights: (M,) whole numbers, 1 or more: how many copies of each point there are. None is 1 each.
        centers: features (L, D) whose balls cover already, such as the labelled points'.

    Returns:
        int64 indices into `points`, distinct, on their device, or a numpy array as they are; fewer than n where all
        is covered.

    Raises:
        ValueError: `n` is not in 0..M; `delta` is negative; points or centres are not finite, or do not match; weights
            are not whole numbers of 1 or more.
    """
    rng, given = checked_generator(generator), as_points(points)
    if not 0 <= n <= len(given):
        raise ValueError(f"n={n}: must be in 0..{len(given)}, the number of points")
    if not delta >= 0:
        raise ValueError(f"delta={delta}: must be 0 or more")
    finite_sq_norms(given)
    x_MD = given[:].factors[0].double()
    copies_M = checked_copies(
        len(x_MD), None if weights is None else as_tensor(weights, "weights"), x_MD.device
    )
    if len(x_MD) and int(copies_M.min()) < 1:
        raise ValueError("weights must be 1 or more")
    c_LD = x_MD[:0]
    if centers is not None and len(centers):
        theirs = as_points(centers, "centers")
        if theirs.shape != given.shape:
            raise ValueError(f"points of width {given.shape} and centers of width {theirs.shape}")
        finite_sq_norms(theirs, "centers")
        c_LD = theirs[:].factors[0].double().to(x_MD.device)
    if n == 0 or not len(x_MD):
        return like(points, torch.empty(0, dtype=torch.int64, device=x_MD.device))

    # Shuffled, since ties go to the first; what is to be covered comes before what is covered.
    order = permutation(len(x_MD), rng, x_MD.device)
    mean_D = x_MD.mean(0)  # so that rounding is relative to the spread of the points
    balls = _Balls((x_MD - mean_D)[order], c_LD - mean_D, delta, copies_M[order].double())
    return like(points, order[balls.pick(n)])


class _Balls:
    """Balls of one radius around points, and what each holds of the points that are not covered."""

    def __init__(self, x_MD: Tensor, c_LD: Tensor, delta: float, weight_M: Tensor) -> None:
        self.norm_M = x_MD.square().sum(1)
        norm_L = c_LD.square().sum(1)
        largest = float(torch.cat([self.norm_M, norm_L]).max())
        rounding = 4 * (x_MD.shape[1] + 4) * torch.finfo(torch.float64).eps * largest
        # The squared distance that a pair must be under, with what rounding blurs left out.
        self.reach = max(delta**2 * (1 - 1e-9), rounding, torch.finfo(torch.float64).tiny)
        self.side = SIDE.get(x_MD.device.type, SIDE["cpu"])
        self.x_MD, self.rows = x_MD, torch.arange(len(x_MD), device=x_MD.device)
        self.left_M = weight_M.clone()  # 0 once covered
        self._cover(c_LD, norm_L)
        self.held_M = self._count()

    def _within(self, x: Tensor, norm: Tensor, c: Tensor, norm_c: Tensor) -> Tensor:
        """Return which points are in reach of which centres, (m, b) of 0 and 1 in float64."""
        products = torch.addmm(norm_c.div(-2), x, c.T)
        return products.gt_(((norm - self.reach) / 2)[:, None])

    def _cover(self, c_LD: Tensor, norm_L: Tensor) -> None:
        """Cover what the balls of centres hold."""
        for at in torch.arange(len(self.x_MD), device=self.x_MD.device).split(self.side):
            for c, norm in zip(c_LD.split(self.side), norm_L.split(self.side), strict=True):
                if not (len(at) and len(c)):
                    break
                is_held = self._within(self.x_MD[at], self.norm_M[at], c, norm).amax(1) > 0
                self.left_M[at] = self.left_M[at].masked_fill(is_held, 0)
                at = at[~is_held]

    def _count(self) -> Tensor:
        """Return the weight of what is not covered in each ball, (M,), from half of all tiles."""
        # What is left comes first, so that tiles of covered points alone are all at the end.
        order = (self.left_M == 0).to(torch.uint8).argsort(stable=True)
        x, norm, left = self.x_MD[order], self.norm_M[order], self.left_M[order]
        n_left = int((left > 0).sum())
        held = torch.zeros_like(left)
        starts = range(0, len(x), self.side)
        for i in starts[: -(-n_left // self.side)]:
            a = slice(i, i + self.side)
            for j in starts[i // self.side :]:
                b = slice(j, j + self.side)
                within = self._within(x[a], norm[a], x[b], norm[b])
                if j < n_left:
                    held[a] += within @ left[b]
                if j != i:
                    held[b] += within.T @ left[a]
        return torch.empty_like(held).index_copy_(0, order, held)

    def pick(self, n: int) -> Tensor:
        """Pick n points, or fewer where all is covered."""
        picks: list[Tensor] = []
        while len(picks) < n and len(self.rows):
            is_live = self.held_M > 0
            at = self.held_M.argmax(0, keepdim=True)
            distance_M = self.norm_M + self.norm_M[at] - 2 * (self.x_MD @ self.x_MD[at].squeeze(0))
            is_new = (distance_M < self.reach) & (self.left_M > 0)
            # By the triangle inequality: balls that hold a point of this ball have their centres within two radii.
            is_near = is_live & (distance_M <= 4 * self.reach * (1 + 1e-6))
            counts = [each.count_nonzero() for each in (is_live, is_new, is_near)]
            n_live, n_new, n_near = torch.stack(counts).tolist()  # all that is waited for
            if not n_live:
                break
            picks.append(self.rows[at])
            self._take(at, places_of(is_new, n_new), places_of(is_near, n_near))
            if n_live < len(is_live) // 2:  # other balls held nothing before, and so later
                self._keep(places_of(is_live, n_live))
        return torch.cat(picks) if picks else self.rows[:0]

    def _keep(self, rows: Tensor) -> None:
        """Forget all balls but some."""
        self.x_MD, self.norm_M, self.rows = self.x_MD[rows], self.norm_M[rows], self.rows[rows]
        self.left_M, self.held_M = self.left_M[rows], self.held_M[rows]

    def _take(self, at: Tensor, new: Tensor, near: Tensor) -> None:
        """Take a ball: cover the points that it holds and no ball held, and take them from the balls near it."""
        for rows in near.split(self.side * 4):
            x, norm = self.x_MD[rows], self.norm_M[rows]
            for some in new.split(self.side):
                within = self._within(x, norm, self.x_MD[some], self.norm_M[some])
                self.held_M[rows] -= within @ self.left_M[some]
        self.left_M[new] = 0
        self.held_M[at] = 0
