"""k-means: buy the rows nearest the centres of n clusters, so that they lie where the pool does.

Lloyd (IEEE Trans. Inf. Theory 1982), from k-means++ seeds; the common baseline of diversity, such as in Typiclust's
paper (Hacohen et al., ICML 2022, arXiv 2202.02794). Distinct images are clustered, each weighing as many points as it
has unlabelled rows, which gives the clusters of all unlabelled rows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.acquisition.clustering import kmeans
from hetal.algs.base import Features, QueryStrategy, check_features, features_of, fill_up
from hetal.errors import BadInput
from hetal.pool import Pool
from hetal.rng import permutation
from hetal.train.fitted import Fitted


class KMeans(QueryStrategy):
    """Buys, of each of n clusters of the unlabelled rows, one that is nearest the centre.

    Args:
        features: "given", those of the data, so that it may choose the start set; "trained", the network's; or "both".
        max_iterations: of Lloyd's algorithm, at most.

    Raises:
        BadInput: `features` is none of the three, or `max_iterations` is below 1.
    """

    def __init__(self, features: Features, max_iterations: int) -> None:
        check_features(features)
        if max_iterations < 1:
            raise BadInput(f"max_iterations={max_iterations} of kmeans: must be at least 1")
        self.features = features
        self.max_iterations = max_iterations
        self.needs_network = features != "given"

    def query(self, fitted: Fitted, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
        """Return n ids; of images that coincide one only, and random others once every image is bought."""
        images, copies = pool.distinct()
        # Shuffled, since ties go to the first.
        order = permutation(len(images), rng, images.device)
        images, copies = images[order], copies[order]
        points = features_of(fitted, self.features)[images]
        clusters = kmeans(
            points, min(n, len(images)), rng, weights=copies, max_iterations=self.max_iterations
        )
        return fill_up(pool.rows_showing(images[clusters.nearest()], rng), pool, n, rng)
