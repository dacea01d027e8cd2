"""DropQuery: buy a diverse batch of rows whose prediction flips when features are dropped.

Gupte, Aklilu, Nirschl & Yeung-Levy: Revisiting Active Learning in the Era of Vision Foundation Models (TMLR 2024, arXiv
2401.14555). The last layer predicts from features h, and in 3 passes from features of which each is dropped with
probability 0.75; x is a candidate if more than half of the passes predict another class. Candidates are clustered by
k-means on h / |h| into as many clusters as there are rows to buy; bought is the one nearest each centre. Where there
are too few, random rows fill up, as in the authors' code. Cost: 4 heads over the images, 4 M C D, and k-means on the
candidates.

The paper's features are those of a frozen model; here they are the network's. It departs from the authors' code in
that copies of an image share their dropout masks, and that the threshold is the paper's: the code lowers it to one pass
while there are under 25 candidates for each row to buy.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.acquisition import dropout_flips
from hetal.algs.base import check_draws
from hetal.algs.clustered import Clustered
from hetal.errors import BadInput
from hetal.pool import Pool
from hetal.train.fitted import Fitted


class DropQuery(Clustered):
    """Buys by k-means among images whose prediction flips in most passes with dropout on the features.

    Args:
        n_passes: how many.
        dropout: the probability that a feature is dropped.
        max_iterations: of k-means, at most.

    Raises:
        BadInput: a setting is out of range.
    """

    reads_head = True

    def __init__(self, n_passes: int, dropout: float, max_iterations: int) -> None:
        super().__init__(max_iterations)
        check_draws("n_passes", n_passes, 1)
        if not 0 < dropout < 1:
            raise BadInput(f"alg.dropout={dropout}: must be above 0 and below 1")
        self.n_passes = n_passes
        self.dropout = dropout

    def candidates(self, fitted: Fitted, pool: Pool, images: Tensor, n: int, rng: torch.Generator) -> Tensor:
        """Return which images flip in more than half of the passes."""
        flips = dropout_flips(
            fitted.features_MD, fitted.head, rng, n_passes=self.n_passes, dropout=self.dropout, rows=images
        )
        return 2 * flips > self.n_passes
