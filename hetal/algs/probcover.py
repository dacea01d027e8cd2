"""ProbCover: buy the rows whose balls cover most of the pool (Yehuda et al., NeurIPS 2022, arXiv 2205.11320).

On features of length 1, a row covers what is nearer to it than delta. All bought rows cover; picked, one after another,
is the row that covers most rows that nothing covers yet. delta is the largest radius at which 95% of the balls hold
rows of one cluster only, of as many k-means clusters as there are classes.

Distinct images are compared, each counted as often as it has rows. Cost: at most three passes over all pairs of images,
M^2 D operations each, and no more memory than the features take; so it is for up to about 10^5 distinct images. See
`hetal.acquisition.ball_cover` and `purity`.

It departs from the paper in that delta is chosen anew at each query, since the features are the network's of this
round unless `features` says otherwise, and exactly, where the paper tries a grid. The authors' code takes the lowest of
tied rows, where here ties are broken at random; it leaves the last rows out of the graph, so that they cover nothing;
and once all is covered it buys the first row again and again, where here it goes on at random.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.acquisition.ball_cover import max_cover
from hetal.acquisition.clustering import kmeans
from hetal.acquisition.purity import pure_radius
from hetal.algs.base import Features, QueryStrategy, check_features, features_of, fill_up, unit_length
from hetal.errors import BadInput
from hetal.pool import Pool
from hetal.train.fitted import Fitted


class ProbCover(QueryStrategy):
    """Buys by greedy maximum coverage with balls of one radius.

    Args:
        features: "trained", the network's; "given", those of the data, so that it may choose the start set; or "both".
        unit_length: scale the features of every image to length 1.
        delta: the radius; None for the largest at which a share `purity` of the rows has a pure ball.
        purity: that share, more than 0 and at most 1.
        n_clusters: of k-means, whose clusters a pure ball does not mix; None for as many as classes.
        max_iterations: of k-means, at most.

    Raises:
        BadInput: a setting is out of range.
    """

    def __init__(
        self,
        features: Features,
        unit_length: bool,
        delta: float | None,
        purity: float,
        n_clusters: int | None,
        max_iterations: int,
    ) -> None:
        check_features(features)
        if delta is not None and not 0 < delta < float("inf"):
            raise BadInput(f"delta={delta} of probcover: must be a number above 0, or null")
        if not 0 < purity <= 1:
            raise BadInput(f"purity={purity} of probcover: must be more than 0, and at most 1")
        if n_clusters is not None and n_clusters < 2:
            raise BadInput(f"n_clusters={n_clusters} of probcover: must be at least 2, or null")
        if max_iterations < 1:
            raise BadInput(f"max_iterations={max_iterations} of probcover: must be at least 1")
        self.features = features
        self.unit_length = unit_length
        self.delta = delta
        self.purity = purity
        self.n_clusters = n_clusters
        self.max_iterations = max_iterations
        self.needs_network = features != "given"

    def query(self, fitted: Fitted, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
        """Return n ids, those that cover most first; once all rows are covered, random ids of the others."""
        points = features_of(fitted, self.features)
        if self.unit_length:
            points = unit_length(points)
        delta = self.delta
        if delta is None:
            delta = self._pure_radius(points, pool.copies(), self.n_clusters or fitted.n_classes, rng)
        images, copies = pool.distinct()
        centers = points[pool.source_N[pool.bought_ids()].unique()]
        picks = max_cover(points[images], min(n, len(images)), delta, rng, weights=copies, centers=centers)
        return fill_up(pool.rows_showing(images[picks], rng), pool, n, rng)

    def _pure_radius(self, points: Tensor, copies_M: Tensor, n_clusters: int, rng: torch.Generator) -> float:
        """Return the radius for all rows, labelled or not."""
        shown = torch.nonzero(copies_M).flatten()
        x_MD, weights = points[shown], copies_M[shown]
        clusters = kmeans(
            x_MD, min(n_clusters, len(x_MD)), rng, weights=weights, max_iterations=self.max_iterations
        )
        return pure_radius(x_MD, clusters.labels_M, self.purity, weights=weights)
