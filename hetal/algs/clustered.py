"""Strategies that cluster candidates: a rule says which images may be bought, and k-means which of them are."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from hetal.acquisition.clustering import kmeans
from hetal.algs.base import QueryStrategy, fill_up, unit_length
from hetal.errors import BadInput
from hetal.pool import Pool
from hetal.rng import permutation
from hetal.train.fitted import Fitted


class Clustered(QueryStrategy):
    """Buys, of each of n clusters of the candidates, an image that is nearest the centre.

    Features are scaled to norm 1 before they are clustered. An image weighs as many points as it has unlabelled rows,
    so that the clusters are those of rows, and is bought once. Up to n candidates are all bought.

    Args:
        max_iterations: of Lloyd's algorithm, at most.

    Raises:
        BadInput: `max_iterations` is below 1.
    """

    def __init__(self, max_iterations: int) -> None:
        if max_iterations < 1:
            raise BadInput(f"alg.max_iterations={max_iterations}: must be at least 1")
        self.max_iterations = max_iterations

    @abstractmethod
    def candidates(self, fitted: Fitted, pool: Pool, images: Tensor, n: int, rng: torch.Generator) -> Tensor:
        """Return which of `images`, the numbers (P,) of those that can be bought, are candidates: (P,) bool.

        The other arguments are those of `query`.
        """

    def query(self, fitted: Fitted, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
        """Return n ids; where there are too few candidates, or too few that differ, random others fill up."""
        images, copies = pool.distinct()
        # Shuffled, since ties go to the first.
        order = permutation(len(images), rng, images.device)
        images, copies = images[order], copies[order]
        candidates = torch.nonzero(self.candidates(fitted, pool, images, n, rng)).flatten()
        images, copies = images[candidates], copies[candidates]
        if len(images) > n:
            points = unit_length(fitted.features_MD[images])
            clusters = kmeans(points, n, rng, weights=copies, max_iterations=self.max_iterations)
            images = images[clusters.nearest()]
        return fill_up(pool.rows_showing(images, rng), pool, n, rng)
