"""BADGE: buy a diverse batch of large last-layer gradients (Ash et al., ICLR 2020, arXiv 1906.03671).

g(x) = (p - onehot(argmax p)) (x) h(x), then k-means++ seeding on g. The outer product is never formed.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.acquisition import badge_embedding, kmeans_plusplus
from hetal.algs.base import QueryStrategy
from hetal.pool import Pool
from hetal.train.fitted import Fitted


class BADGE(QueryStrategy):
    """Buys by k-means++ seeding on gradient embeddings."""

    def query(self, fitted: Fitted, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
        """Return n ids: first the largest gradient, then draws with probability proportional to squared distance."""
        images, copies = pool.distinct()
        gradients = badge_embedding(fitted.probs_MC, fitted.features_MD).take(images)
        picks = kmeans_plusplus(gradients, n, rng, weights=copies)
        return pool.rows_showing(images[picks], rng)
