"""k-means clustering: Lloyd's algorithm from k-means++ seeds, on points that may each stand for many.

Lloyd (IEEE Trans. Inf. Theory 1982); seeds after Arthur & Vassilvitskii (SODA 2007), see `hetal.acquisition.seeding`.
With multiplicities w_i the centres minimise, locally,

    sum_i w_i min_k |x_i - c_k|^2

A cluster that loses all its points starts again at the point farthest from its centre, as in scikit-learn; it stays
empty only where fewer points than clusters are different.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hetal.acquisition.copies import checked_copies
from hetal.acquisition.inputs import AnyArray, as_tensor, checked_generator
from hetal.acquisition.points import as_points, finite_sq_norms
from hetal.acquisition.seeding import kmeans_plusplus

# Products of points and centres computed at once: of few, so that they stay in cache.
TILE = 2**19


class Clusters(NamedTuple):
    """Clusters of M points.

    Attributes:
        labels_M: (M,) int64, the cluster of each point.
        centers_KD: (K, D) float32, the weighted mean of each; of an empty one where it was last.
        distances_M: (M,) float32, the squared distance of each point to the centre of its cluster.
    """

    labels_M: Tensor
    centers_KD: Tensor
    distances_M: Tensor

    def nearest(self) -> Tensor:
        """Return the point nearest the centre of each cluster that has one, ties to the lowest index: (<=K,) int64."""
        order = self.distances_M.argsort(stable=True)
        order = order[self.labels_M[order].argsort(stable=True)]
        labels = self.labels_M[order]
        is_first = torch.ones_like(labels, dtype=torch.bool)
        is_first[1:] = labels[1:] != labels[:-1]
        return order[is_first]


@torch.no_grad()
def kmeans(
    points: AnyArray,
    k: int,
    generator: torch.Generator,
    *,
    weights: AnyArray | None = None,
    max_iterations: int = 100,
) -> Clusters:
    """Cluster points into `k` clusters, until no point changes its cluster.

    Args:
        points: features (M, D), a tensor or numpy array.
        k: number of clusters, at most M.
        generator: where all randomness comes from; it draws the seeds.
        weights: (M,) whole numbers, 1 or more: how many copies of each point there are. None is 1 each.
        max_iterations: at most.

    Returns:
        The clusters, as tensors on the points' device.

    Raises:
        ValueError: `k` is not in 1..M; points are not finite; weights are not whole numbers of 1 or more.
    """
    given = as_points(points)
    finite_sq_norms(given)
    x_MD = given[:].factors[0].to(torch.float32)
    copies_M = checked_copies(
        len(x_MD), None if weights is None else as_tensor(weights, "weights"), x_MD.device
    )
    if not 1 <= k <= len(x_MD):
        raise ValueError(f"k={k}: must be in 1..{len(x_MD)}, the number of points")
    if int(copies_M.min()) < 1:
        raise ValueError("weights must be 1 or more")
    mean_1D = (_sums(x_MD, copies_M, torch.zeros_like(copies_M), 1) / copies_M.sum()).float()
    x_MD = x_MD - mean_1D  # so that rounding is relative to the spread of the points
    seeds = kmeans_plusplus(x_MD, k, checked_generator(generator), weights=copies_M, first="sampled")
    centers_KD = x_MD[seeds]
    labels_M = _assign(x_MD, centers_KD)
    for _ in range(max_iterations):
        centers_KD = _centers(x_MD, copies_M, labels_M, centers_KD)
        before_M = labels_M
        labels_M = _assign(x_MD, centers_KD)
        if torch.equal(labels_M, before_M):
            break
    return Clusters(labels_M, centers_KD + mean_1D, _distances(x_MD, labels_M, centers_KD))


def _assign(x_MD: Tensor, centers_KD: Tensor) -> Tensor:
    """Return the nearest centre of each point."""
    norm_K = centers_KD.square().sum(1)
    parts = x_MD.split(max(TILE // max(centers_KD.shape), 1))
    return torch.cat([torch.addmm(norm_K, x, centers_KD.T, alpha=-2).argmin(1) for x in parts])


def _distances(x_MD: Tensor, labels_M: Tensor, centers_KD: Tensor) -> Tensor:
    """Return the squared distance of each point to its centre, exactly 0 where they coincide."""
    rows = max(TILE // x_MD.shape[1], 1)
    parts = zip(x_MD.split(rows), labels_M.split(rows), strict=True)
    return torch.cat([(x - centers_KD[labels]).square_().sum(1) for x, labels in parts])


def _centers(x_MD: Tensor, copies_M: Tensor, labels_M: Tensor, before_KD: Tensor) -> Tensor:
    """Return the weighted mean of each cluster; an empty one moves to a point that is far from its centre."""
    count_K = torch.zeros(len(before_KD), dtype=torch.int64, device=x_MD.device)
    count_K.index_add_(0, labels_M, copies_M)
    mean_KD = _sums(x_MD, copies_M, labels_M, len(before_KD)) / count_K.clamp(min=1)[:, None]
    centers_KD = torch.where(count_K[:, None] > 0, mean_KD.float(), before_KD)
    empty = torch.nonzero(count_K == 0).flatten()
    if len(empty):
        distances_M = _distances(x_MD, labels_M, before_KD)
        far = distances_M.argsort(descending=True, stable=True)[: len(empty)]
        far = far[distances_M[far] > 0]
        centers_KD[empty[: len(far)]] = x_MD[far]
    return centers_KD


def _sums(x_MD: Tensor, copies_M: Tensor, labels_M: Tensor, k: int) -> Tensor:
    """Return the weighted sum (k, D) of the points of each cluster, in float64."""
    sums_KD = torch.zeros(k, x_MD.shape[1], dtype=torch.float64, device=x_MD.device)
    rows = max(TILE // x_MD.shape[1], 1)
    for x, copies, labels in zip(x_MD.split(rows), copies_M.split(rows), labels_M.split(rows), strict=True):
        sums_KD.index_add_(0, labels, copies[:, None] * x.double())
    return sums_KD
