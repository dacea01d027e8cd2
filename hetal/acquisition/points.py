"""Point sets, and squared distances between them: fast upper bounds in float32, exact decisions in float64.

A point set is features x_i, or the outer products g_i = r_i (x) h_i of Ash et al. (ICLR 2020, arXiv 1906.03671),
which are never built: a scalar product of outer products is the product of scalar products, so that

    |g_i - g_j|^2 = |r_i|^2 |h_i|^2 + |r_j|^2 |h_j|^2 - 2 (r_i . r_j)(h_i . h_j)

at the cost of C + D multiplications instead of C * D.

Both selection algorithms here spend their time on every point's distance to its nearest centre, and both need
only a bound on it for all points and the truth for few. `upper_bounds` gives the bound: one float32 matrix
product, streamed in tiles that stay in cache, plus the most that its rounding can have taken away. `nearest` and
`pairwise` give the truth in float64. Points are counted as coinciding, at distance exactly 0, where rounding in
float64 cannot tell them apart: at a distance under about 1e-6 of their norm.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, TypeAlias

import numpy as np
import torch
from torch import Tensor

from hetal.acquisition.inputs import AnyArray, Array, as_tensor
from hetal.machine.arithmetic import float32_products

# Products of one tile, which on a CPU must stay in cache between the matrix product and the minimum over it (so
# a pass runs at the rate of the bare product), and on a GPU must be enough to fill it; and centres it is wide.
_TILE_SIZE = {"cpu": 2**19, "cuda": 2**25}
_TILE_WIDTH = 512

# Points of up to this many numbers (1 GiB of float32) are copied where some are taken of a set.
_NUMBERS_TAKEN = 2**28


class OuterProduct(Generic[Array]):
    """M points, each the outer product of one row of every factor; a single factor is plain features.

    Args:
        factors_MD: one matrix (M, D), or two, (M, C) and (M, D), tensors or numpy arrays. They are read in blocks of
            rows, so they may be backed by a file. Half precision is read as float32; float64 is kept.

    Attributes:
        factors: the matrices, as tensors.
        rows: (P,) int64, which of their rows are the points; None for all.
        is_numpy: whether they were given as numpy arrays, and picks among them are returned as such.

    Raises:
        ValueError: the factors are not one or two matrices with equally many rows.
    """

    def __init__(self, *factors_MD: Array) -> None:
        self.is_numpy = any(isinstance(factor, np.ndarray) for factor in factors_MD)
        tensors = [as_tensor(factor, "points") for factor in factors_MD]
        if len(tensors) not in (1, 2) or any(factor.dim() != 2 for factor in tensors):
            shapes = ", ".join(str(tuple(factor.shape)) for factor in tensors)
            raise ValueError(f"points must be one or two matrices with a row for each point, not {shapes}")
        if len({len(factor) for factor in tensors}) > 1:
            rows = " and ".join(str(len(factor)) for factor in tensors)
            raise ValueError(f"factors must have equally many rows, not {rows}")
        # Apple's GPUs have no float64, in which picks are decided.
        self.factors = tuple(f.cpu() if f.device.type == "mps" else f for f in tensors)
        self.device = self.factors[0].device
        is_double = any(factor.dtype == torch.float64 for factor in tensors)
        self.dtype = torch.float64 if is_double else torch.float32
        self.rows: Tensor | None = None

    def __len__(self) -> int:
        return len(self.factors[0] if self.rows is None else self.rows)

    def take(self, rows: Tensor) -> OuterProduct[Array]:
        """Return the points (P,) int64 in this order, without a copy where that would be large."""
        chosen: OuterProduct[Any] = OuterProduct(*self.factors)
        chosen.rows = rows.to(self.device) if self.rows is None else self.rows[rows.to(self.device)]
        if len(rows) * sum(self.shape) <= _NUMBERS_TAKEN:
            chosen = OuterProduct(*(factor[chosen.rows] for factor in self.factors))
        chosen.is_numpy = self.is_numpy
        return chosen

    def __getitem__(self, rows: Tensor | slice) -> Points:
        if self.rows is not None:
            rows = self.rows[rows]
        return OuterProduct(*(factor[rows].to(self.dtype) for factor in self.factors))

    @property
    def shape(self) -> tuple[int, ...]:
        """The factors' widths: (D,) or (C, D)."""
        return tuple(factor.shape[1] for factor in self.factors)

    def blocks(self, size: int) -> Iterator[tuple[slice, Points]]:
        """Yield consecutive rows, `size` at a time, and where they are."""
        for start in range(0, len(self), size):
            rows = slice(start, min(start + size, len(self)))
            yield rows, self[rows]

    def double(self) -> Points:
        """Return the same points in float64."""
        return OuterProduct(*(factor.double() for factor in self[:].factors))

    def sq_norms(self) -> Tensor:
        """Return the squared norms (M,), which for an outer product are products of squared norms."""
        norm_M = torch.empty(len(self), dtype=self.dtype, device=self.device)
        for rows, block in self.blocks(_tile_rows(self, 1)):
            norm_M[rows] = torch.stack([factor.square().sum(1) for factor in block.factors]).prod(0)
        return norm_M

    def rounding(self) -> float:
        """Return e such that a squared distance computed as above errs by at most e * (|g_i|^2 + |g_j|^2)."""
        return (sum(self.shape) + 4) * torch.finfo(self.dtype).eps


# With tensors inside, whatever the factors were given as.
Points: TypeAlias = OuterProduct[Any]


def _tile_rows(points: Points, n_centers: int) -> int:
    """Return how many points make a tile with that many centres, of few centres fewer than would fill it."""
    return _TILE_SIZE.get(points.device.type, _TILE_SIZE["cpu"]) // max(64, min(n_centers, _TILE_WIDTH))


def as_points(points: AnyArray | Points, name: str = "points") -> Points:
    """Return features (M, D) as a point set; pass a point set through."""
    return points if isinstance(points, OuterProduct) else OuterProduct(as_tensor(points, name))


def as_given(points: Array | OuterProduct[Array], picks: Tensor) -> Array:
    """Return picks among points as a numpy array where the points were given as such, else as they are."""
    is_numpy = points.is_numpy if isinstance(points, OuterProduct) else isinstance(points, np.ndarray)
    result: Any = picks.numpy() if is_numpy else picks
    return result  # type: ignore[no-any-return]


def finite_sq_norms(points: Points, name: str = "points") -> Tensor:
    """Return the squared norms (M,).

    Raises:
        ValueError: some point is NaN or infinite, or so large that squared distances would overflow.
    """
    norm_M = points.sq_norms()
    if not bool((norm_M <= torch.finfo(norm_M.dtype).max / 8).all()):
        raise ValueError(f"{name} hold NaN, infinity or values whose squares overflow")
    return norm_M


def pairwise(points: Points, centers: Points) -> Tensor:
    """Return the squared distances (m, b) of m points to b centres in float64, 0 where they coincide."""
    points, centers = points.double(), centers.double()
    scale = points.sq_norms()[:, None] + centers.sq_norms()
    distance = _less_products(scale, points, centers)
    return distance.masked_fill_(distance <= points.rounding() * scale, 0)


def nearest(points: Points, centers: Points) -> Tensor:
    """Return the squared distances (m,) of m points to the nearest centre in float64, 0 where they coincide."""
    distance = torch.full((len(points),), torch.inf, dtype=torch.float64, device=points.device)
    for _, some in centers.blocks(_TILE_WIDTH):
        distance = torch.minimum(distance, pairwise(points, some).amin(1))
    return distance


@float32_products()
def upper_bounds(points: Points, norm_M: Tensor, centers: Points) -> Tensor:
    """Bound the squared distance of all points to the nearest centre, in one pass of float32 products.

    Args:
        points: M of them, read in blocks.
        norm_M: their squared norms.
        centers: any number of them; bounds are infinite where there are none.

    Returns:
        (M,) float64, never under the truth; above it by no more than rounding, and exactly 0 where a point
        coincides with a centre. Products are true float32, whatever torch is told.
    """
    size = max(min(_tile_rows(points, len(centers)), len(points)), 1)
    slack = points.rounding()
    scaled_norm = centers.sq_norms() * (1 + slack)
    tiles = [
        torch.empty(size * min(len(centers), _TILE_WIDTH), dtype=points.dtype, device=points.device)
        for _ in points.factors
    ]
    bound_M = torch.empty(len(points), dtype=torch.float64, device=points.device)
    for rows, block in points.blocks(size):
        norm = norm_M[rows]
        bound = torch.full_like(norm, torch.inf)
        for some, center in centers.blocks(_TILE_WIDTH):
            out = [tile[: len(block) * len(center)].view(len(block), -1) for tile in tiles]
            distance = _less_products(scaled_norm[some], block, center, out)
            torch.minimum(bound, distance.amin(1), out=bound)
        bound_M[rows] = bound.add_(norm, alpha=1 + slack)
    # A coinciding pair computes to at most 2 * slack * 2 * norm: whatever is so small is decided in float64.
    for near in (bound_M <= 8 * slack * norm_M).nonzero().squeeze(1).split(size):
        bound_M[near] = nearest(points[near], centers)
    return bound_M


def _less_products(base: Tensor, points: Points, centers: Points, out: list[Tensor] | None = None) -> Tensor:
    """Return base - 2 x.c of all pairs, in as few passes over them as there can be.

    Args:
        base: what to subtract from; its shape extends to (m, b).
        points: m of them, x.
        centers: b of them, c.
        out: for each factor a matrix (m, b) to work in; the first becomes the result.
    """
    spaces: list[Tensor | None] = [*out] if out else [None] * len(points.factors)
    result, *more = spaces
    x, *x_more = points.factors
    c, *c_more = centers.factors
    if not more:
        return torch.addmm(base, x, c.T, alpha=-2, out=result)
    first = torch.mm(x, c.T, out=result)
    second = torch.mm(x_more[0], c_more[0].T, out=more[0])
    return torch.addcmul(base, first, second, value=-2, out=result)
