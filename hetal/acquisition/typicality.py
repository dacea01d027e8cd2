"""Typical points: of each cluster of the points, the one that lies closest to its neighbours.

Hacohen, Dekel & Weinshall (ICML 2022, arXiv 2202.02794). All points are clustered by k-means into as many clusters as
there will be labels, up to a limit. Clusters take turns, those with fewest labels first and of these the largest, and
each gives the point of the largest

    typicality(x) = 1 / mean distance of x to its K nearest neighbours in the cluster,  K = min(20, half of them).

Neighbours are the points of the cluster that are neither labelled nor picked, as in the authors' code. It departs from
that code, where

- distances are squared: here they are distances, as in the paper;
- rows are points, so that a row with copies is infinitely typical: here points that coincide are no neighbours of each
  other, and rows count, by multiplicity, in the means and sizes of clusters and in their numbers of labels only;
- a cluster that k-means leaves empty shifts the numbers of labels of all clusters after it: here it has no turn;
- clusters of 5 rows or fewer are left out, and it fails if there is no other: here they come after all others;
- a cluster that has given all its points fails: here it has no more turns;
- k-means is unseeded, and MiniBatchKMeans above 50 clusters: here Lloyd's algorithm from k-means++ seeds.

The typicalities of a cluster are computed once, and after a pick only those of the points that it was a neighbour of.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.acquisition.clustering import kmeans
from hetal.acquisition.copies import checked_copies
from hetal.acquisition.inputs import AnyArray, Array, as_tensor, checked_generator, like
from hetal.acquisition.lazy import places_of
from hetal.acquisition.points import as_points, pairwise
from hetal.rng import permutation

# Distances computed at once, in float64.
TILE = 2**21

# Mean distances that agree to so much are tied.
_TIE = 1 + 1e-9


@torch.no_grad()
def typical_points(
    points: Array,
    n: int,
    generator: torch.Generator,
    *,
    n_labelled: AnyArray,
    weights: AnyArray | None = None,
    max_clusters: int = 500,
    n_neighbors: int = 20,
    outlier_size: int = 5,
    max_iterations: int = 100,
) -> Array:
    """Pick `n` points without labels, the most typical of their clusters, in the order they are picked.

    Args:
        points: features (M, D) of all points, labelled or not, a tensor or numpy array.
        n: how many to pick, at most.
        generator: where all randomness comes from: seeds of the clusters, and the order among ties.
        n_labelled: (M,) whole numbers: how many of each point's copies are labelled. Points with any are not picked.
        weights: (M,) whole numbers, 1 or more: how many copies of each point there are. None is 1 each.
        max_clusters: most clusters.
        n_neighbors: most neighbours that the mean distance is of.
        outlier_size: clusters of so many copies or fewer have their turn after all others.
        max_iterations: of k-means, at most.

    Returns:
        int64 indices into `points`, distinct, on their device, or a numpy array as they are; fewer than n where fewer
        points have no label.

    Raises:
        ValueError: `n` is negative; a limit is below 1; points are not finite; counts are not whole numbers.
    """
    rng, given = checked_generator(generator), as_points(points)
    if n < 0 or min(max_clusters, n_neighbors) < 1:
        raise ValueError(
            f"n={n} must be 0 or more, and max_clusters={max_clusters} and n_neighbors={n_neighbors} 1 or more"
        )
    x_MD = given[:].factors[0]
    copies_M = checked_copies(
        len(x_MD), None if weights is None else as_tensor(weights, "weights"), x_MD.device
    )
    labelled_M = checked_copies(len(x_MD), as_tensor(n_labelled, "n_labelled"), x_MD.device)
    free = torch.nonzero(labelled_M == 0).flatten()
    if n == 0 or not len(free):
        return like(points, free[:0])
    k = min(int(labelled_M.sum()) + n, max_clusters, len(x_MD))
    label_M = kmeans(x_MD, k, rng, weights=copies_M, max_iterations=max_iterations).labels_M

    turns = _turns(label_M, copies_M, labelled_M, outlier_size, permutation(k, rng, x_MD.device))
    free = free[permutation(len(free), rng, x_MD.device)]
    return like(points, _take_turns(x_MD, label_M, free, turns, n, n_neighbors))


def _turns(
    label_M: Tensor, copies_M: Tensor, labelled_M: Tensor, outlier_size: int, clusters: Tensor
) -> list[int]:
    """Return the clusters in the order of their turns, of those equal in all respects in the order of `clusters`."""
    size_K = torch.zeros_like(clusters).index_add_(0, label_M, copies_M)
    n_labelled_K = torch.zeros_like(clusters).index_add_(0, label_M, labelled_M)
    for key_K in (-size_K, n_labelled_K, size_K <= outlier_size):  # the last counts most
        clusters = clusters[key_K[clusters].to(torch.int64).argsort(stable=True)]
    turns: list[int] = clusters.tolist()
    return turns


def _take_turns(
    x_MD: Tensor, label_M: Tensor, free: Tensor, turns: list[int], n: int, n_neighbors: int
) -> Tensor:
    """Let the clusters give one point each of `free`, turn by turn, until there are n or none is left."""
    picks: list[Tensor] = []
    clusters: dict[int, Cluster] = {}
    label_F = label_M[free]
    size_K = free.new_zeros(len(turns)).index_add_(0, label_F, torch.ones_like(free))
    members = free[label_F.argsort(stable=True)].split(size_K.tolist())
    while turns and len(picks) < n:
        for number in turns[: n - len(picks)]:
            if number not in clusters:
                clusters[number] = Cluster(x_MD, members[number], n_neighbors)
            if len(clusters[number]):
                picks.append(clusters[number].take())
        turns = [number for number in turns if number not in clusters or len(clusters[number])]
    return torch.cat(picks)


class Cluster:
    """The points of a cluster that are free, and how typical each of them is among those.

    Args:
        x_MD: features of all points.
        members: (P,) int64, the free points of the cluster; of equally typical ones the first is taken.
        n_neighbors: most neighbours that the mean distance is of.
    """

    def __init__(self, x_MD: Tensor, members: Tensor, n_neighbors: int) -> None:
        self.members, self.n_neighbors, self.n_left = members, n_neighbors, len(members)
        x_PD = x_MD[members].double()
        self.x_PD = x_PD - x_PD.mean(0)
        self.is_left_P = torch.ones_like(members, dtype=torch.bool)
        self.distance_P = torch.zeros_like(self.x_PD[:, 0])
        self.neighbors_PK = members.new_empty(len(members), 0)

    def __len__(self) -> int:
        return self.n_left

    def take(self) -> Tensor:
        """Take the most typical point that is left: (1,) int64, its number among all points."""
        self._fit_size()
        distance_P = self.distance_P.masked_fill(~self.is_left_P, torch.inf)
        at = (distance_P <= distance_P.min() * _TIE).to(torch.uint8).argmax(0, keepdim=True)
        self.is_left_P[at] = False
        self.n_left -= 1
        if self.n_left > 1:
            self._renew(torch.nonzero((self.neighbors_PK == at).any(1) & self.is_left_P).flatten())
        return self.members[at]

    def _fit_size(self) -> None:
        """Compute all neighbours anew where their number does not fit the number of points that are left."""
        k = min(self.n_neighbors, max(self.n_left // 2, 1))
        if self.n_left > 1 and k != self.neighbors_PK.shape[1]:
            self.neighbors_PK = self.neighbors_PK.new_full((len(self.members), k), -1)
            self._renew(places_of(self.is_left_P, self.n_left))

    def _renew(self, rows: Tensor) -> None:
        """Compute the neighbours of some points, and the mean distance to them; 0 where all points coincide."""
        k = self.neighbors_PK.shape[1]
        for at in rows.split(max(TILE // len(self.members), 1)):
            distance = pairwise(as_points(self.x_PD[at]), as_points(self.x_PD)).sqrt_()
            distance.masked_fill_((distance == 0) | ~self.is_left_P, torch.inf)
            nearest = distance.topk(k, largest=False, sorted=False)
            is_neighbor = nearest.values.isfinite()
            total = nearest.values.masked_fill(~is_neighbor, 0).sum(1)
            self.distance_P[at] = total / is_neighbor.sum(1).clamp(min=1)
            self.neighbors_PK[at] = nearest.indices.masked_fill(~is_neighbor, -1)
