"""TypiClust: buy the most typical image of each cluster that has few labels (Hacohen et al., ICML 2022, 2202.02794).

Rows are clustered by k-means into min(|L| + B, 500) clusters, |L| the labels bought so far. Clusters take turns, those
with fewest labels first and of these the largest; each gives the image with the largest

    1 / mean distance to its min(20, half of the cluster) nearest neighbours among the images there without a label.

Cost: k-means, at most 100 passes of M K D operations, and the distances within each cluster. See
`hetal.acquisition.typicality` for where it departs from the authors' code. Beside that, features are the network's of
this round unless `features` says otherwise, where the paper's are self-supervised.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.acquisition.typicality import typical_points
from hetal.algs.base import Features, QueryStrategy, check_features, features_of, fill_up, unit_length
from hetal.errors import BadInput
from hetal.pool import Pool
from hetal.train.fitted import Fitted


class TypiClust(QueryStrategy):
    """Buys typical images of clusters with few labels; an image that is labelled, or picked, is not picked again.

    Args:
        features: "trained", the network's; "given", those of the data, so that it may choose the start set; or "both".
        unit_length: scale the features of every image to length 1.
        max_clusters: most clusters.
        n_neighbors: most neighbours that typicality is of.
        outlier_size: clusters of so many rows or fewer have their turn after all others.
        max_iterations: of k-means, at most.

    Raises:
        BadInput: a setting is out of range.
    """

    def __init__(
        self,
        features: Features,
        unit_length: bool,
        max_clusters: int,
        n_neighbors: int,
        outlier_size: int,
        max_iterations: int,
    ) -> None:
        check_features(features)
        at_least_1 = {
            "max_clusters": max_clusters,
            "n_neighbors": n_neighbors,
            "max_iterations": max_iterations,
        }
        for name, value in at_least_1.items():
            if value < 1:
                raise BadInput(f"{name}={value} of typiclust: must be at least 1")
        if outlier_size < 0:
            raise BadInput(f"outlier_size={outlier_size} of typiclust: must be 0 or more")
        self.features = features
        self.unit_length = unit_length
        self.max_clusters = max_clusters
        self.n_neighbors = n_neighbors
        self.outlier_size = outlier_size
        self.max_iterations = max_iterations
        self.needs_network = features != "given"

    def query(self, fitted: Fitted, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
        """Return n ids in the order of the clusters' turns; once every image is labelled, random ids of the others."""
        points = features_of(fitted, self.features)
        copies_M = pool.copies()
        n_labelled_M = pool.copies(pool.bought_ids())
        shown = torch.nonzero(copies_M).flatten()
        points = points[shown]
        picks = typical_points(
            unit_length(points) if self.unit_length else points,
            n,
            rng,
            n_labelled=n_labelled_M[shown],
            weights=copies_M[shown],
            max_clusters=self.max_clusters,
            n_neighbors=self.n_neighbors,
            outlier_size=self.outlier_size,
            max_iterations=self.max_iterations,
        )
        return fill_up(pool.rows_showing(shown[picks], rng), pool, n, rng)
