"""TCM: TypiClust while there are few labels, then margin (Doucet et al., ICLR 2024 workshops, arXiv 2403.03728).

TypiClust spreads the first labels over the pool, where a network knows too little for its margins to mean anything;
later margin refines the boundaries. Which of the two chooses is decided once a query, by the number of labels bought
before it. Where to pass from one to the other the paper says by a heuristic of the budget; here it is a setting, whose
default of 20 labels per class is that of a public re-implementation. The paper has a self-supervised network under
both; here TypiClust reads the features that `features` says.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.acquisition import margin
from hetal.algs.base import Features
from hetal.algs.score import Score
from hetal.algs.typiclust import TypiClust
from hetal.errors import BadInput
from hetal.pool import Pool
from hetal.train.fitted import Fitted


class TCM(TypiClust):
    """Buys as `TypiClust` does, and from a number of labels on as margin does.

    Args:
        features, unit_length, max_clusters, n_neighbors, outlier_size, max_iterations: of `TypiClust`.
        labels_per_class: the mean number of labels of a class from which on margin chooses.

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
        labels_per_class: float,
    ) -> None:
        super().__init__(features, unit_length, max_clusters, n_neighbors, outlier_size, max_iterations)
        if not labels_per_class >= 0:
            raise BadInput(f"alg.labels_per_class={labels_per_class}: must be 0 or more")
        self.labels_per_class = labels_per_class
        self.needs_network = True

    def query(self, fitted: Fitted, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
        """Return n ids, by the one rule or by the other."""
        if len(pool.labelled_ids()) < self.labels_per_class * fitted.n_classes:
            return super().query(fitted, pool, n, rng)
        return Score(margin).query(fitted, pool, n, rng)
