"""How well a Gaussian kernel covers points, and what each point would add: exact in float64, and bounds in float32.

With k(x, y) = exp(-|x - y|^2 / s^2), c_i is the largest k(x_i, .) over all points that are labelled or picked, and the
gain of point j is sum_i w_i max(k(x_j, x_i) - c_i, 0). See `hetal.acquisition.herding`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.acquisition.lazy import cut
from hetal.acquisition.points import OuterProduct, Points, finite_sq_norms, nearest
from hetal.machine.arithmetic import float32_products

# Points of one side of a tile in a pass: on a CPU the tile stays in cache.
SIDE = {"cpu": 724, "cuda": 4096}

# Numbers of any other array that is worked on.
NUMBERS = 2**19

EPS = torch.finfo(torch.float32).eps


class Cover:
    """Points in units of the bandwidth, about their mean, and how well each is covered.

    Attributes:
        x_MD, norm_M, weight_M: in float64, the squared norms among them.
        covered_M: c, float64.
        rounding: of squared distances in float64, in squared norms.
        x32_MD, weight32_M: the same in float32.
        low32_M: squared norms, lowered by the most that rounding can add to them and to products.
    """

    def __init__(self, x_MD: Tensor, weight_M: Tensor, covered_M: Tensor) -> None:
        self.x_MD, self.weight_M, self.covered_M = x_MD, weight_M, covered_M
        self.norm_M, self.rounding = x_MD.square().sum(1), OuterProduct(x_MD).rounding()
        self.x32_MD, self.weight32_M = x_MD.float(), weight_M.float()
        self.low32_M = self.x32_MD.square().sum(1) * (1 - (x_MD.shape[1] + 16) * EPS)

    def kernel(self, rows: Tensor) -> Tensor:
        """Return the kernel of some points with all, (B, M) float64; 1 where two coincide, see `points`."""
        x_BD, norm_B = self.x_MD[rows], self.norm_M[rows, None]
        size = max(NUMBERS // len(rows), 1)
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

    @float32_products()
    def upper_bounds(self) -> Tensor:
        """Return bounds on the gains of all points, (M,) float64, above them by no more than rounding.

        Each tile of the kernel serves both sides, as it is symmetric. Squared distances are lowered by the most that
        rounding can have added, and so is what is covered: every term is at least the true one, and 0 where a point is
        covered in full. The sum over a side of a tile can lose a unit of rounding for each of its terms.
        """
        side = min(SIDE.get(self.x_MD.device.type, SIDE["cpu"]), len(self.x_MD))
        starts = range(0, len(self.x_MD), side)
        covered_M, gain_M = self._covered_at_least(), torch.zeros_like(self.weight_M)
        for i in (slice(start, start + side) for start in starts):
            for j in (slice(start, start + side) for start in starts[i.start // side :]):
                kernel = self._kernel_at_most(self.x32_MD[i], self.low32_M[i], j)
                gain_M[i] += (kernel - covered_M[j]).clamp_(min=0) @ self.weight32_M[j]
                if j.start > i.start:
                    gain_M[j] += self.weight32_M[i] @ kernel.sub_(covered_M[i, None]).clamp_(min=0)
        return gain_M * (1 + (side + 16) * EPS)

    @float32_products()
    def upper_bounds_of(self, rows: Tensor) -> Tensor:
        """Return the same of some points, (B,) float64."""
        size = min(max(NUMBERS // len(rows), 1), 2048, len(self.x_MD))
        x_BD, norm_B = self.x32_MD[rows], self.low32_M[rows]
        covered_M, gain_B = self._covered_at_least(), torch.zeros_like(self.weight_M[rows])
        for j in (slice(start, start + size) for start in range(0, len(self.x_MD), size)):
            kernel = self._kernel_at_most(x_BD, norm_B, j)
            gain_B += kernel.sub_(covered_M[j]).clamp_(min=0) @ self.weight32_M[j]
        return gain_B * (1 + (size + 16) * EPS)

    def _kernel_at_most(self, x_BD: Tensor, norm_B: Tensor, j: slice) -> Tensor:
        product = torch.addmm(self.low32_M[j], x_BD, self.x32_MD[j].T, alpha=-2)
        return product.add_(norm_B[:, None]).clamp_(min=0).neg_().exp_()

    def _covered_at_least(self) -> Tensor:
        covered_M = (self.covered_M * (1 - 1e-6)).float()
        covered_M[self.covered_M == 1] = 1
        return covered_M


def cover_of(points: Points, bandwidth: float, weight_M: Tensor | None, centers: Tensor | None) -> Cover:
    """Return points, checked, in units of the bandwidth, with what centres cover of them.

    Raises:
        ValueError: see `hetal.acquisition.max_herding`.
    """
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
        blocks = OuterProduct(x_MD).blocks(max(NUMBERS // 64, 1))
        covered_M = torch.cat([nearest(block, around) for _, block in blocks]).neg_().exp_()
    return Cover(x_MD, weight_M, covered_M)
