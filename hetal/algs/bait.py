"""BAIT: buy the rows whose labels would leave the last layer least uncertain, by its Fisher information.

Ash, Goel, Krishnamurthy & Kakade (NeurIPS 2021, arXiv 2106.09675): the B rows S that make least

    tr[(ridge I + sum_{labelled and S} I(x))^-1 sum_{all rows} I(x)],  I(x) = (diag(p) - p p') (x) h h',

greedily: 2 B rows are added, then B taken away. With `binary`, I(x) = q (1 - q) h h', q the largest probability
(Huseljic et al., ECML 2024, arXiv 2404.08981). See `hetal.acquisition.bait`. Cost: for each row added or taken away,
4 M C^2 D + 10 C (C D)^2 operations for M distinct images, and memory for six matrices of C D x C D numbers; with
`binary`, 4 M D.

It departs from the authors' code (github.com/JordanAsh/badge). There a row that is picked counts B times as much as a
labelled one, since the share B / (L + B) that the picks' mean is to have is given to each of them; here all count once.
There the sum over the L + B rows is divided by L + B, and ridge = 1 added in the units of the features; here nothing is
divided and features are scaled to mean squared norm 1 over images, as for `fisher`. Images are looked at once, with the
number of rows that show them, which is exact: several rows of an image may be bought. Of an ensemble, p is the mean of
its members' probabilities, and h their features side by side.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.acquisition import bait
from hetal.acquisition.design import LEAST_RIDGE
from hetal.acquisition.softmax_design import bytes_needed
from hetal.algs.base import QueryStrategy
from hetal.errors import BadInput
from hetal.pool import Pool
from hetal.rng import permutation
from hetal.train.fitted import Fitted

# Times as many rows as are bought that may be added first: each takes as long as a pick.
MOST_OVERSAMPLE = 100


class BAIT(QueryStrategy):
    """Buys by forwards and backwards greedy design on the Fisher information of the last layer.

    Args:
        binary: use the binary form, D wide, in place of the whole layer's, C D wide.
        ridge: prior information on every weight, in labels of a feature vector of mean norm.
        oversample: so many times n rows are added, and all but n taken away again; 1 only adds.
        max_candidates: choose among so many random rows (`oversample` times n, if that is more), for what all of the
            pool leave uncertain; None among all. A pick takes time in proportion to them.
        max_gib: a query that would take more memory is refused.

    Raises:
        BadInput: `ridge` is below `LEAST_RIDGE` or not finite, `oversample` is not in 1..100, `max_candidates` is below
            1, or `max_gib` is not above 0.
    """

    def __init__(
        self, binary: bool, ridge: float, oversample: int, max_candidates: int | None, max_gib: float
    ) -> None:
        if not LEAST_RIDGE <= ridge < float("inf"):
            raise BadInput(f"alg.ridge={ridge}: must be at least {LEAST_RIDGE:g}, and finite")
        if not 1 <= oversample <= MOST_OVERSAMPLE:
            raise BadInput(f"alg.oversample={oversample}: must be in 1..{MOST_OVERSAMPLE}")
        if max_candidates is not None and max_candidates < 1:
            raise BadInput(f"alg.max_candidates={max_candidates}: must be at least 1, or null")
        if not max_gib > 0:
            raise BadInput(f"alg.max_gib={max_gib}: must be above 0")
        self.binary = binary
        self.ridge = ridge
        self.oversample = oversample
        self.max_candidates = max_candidates
        self.max_gib = max_gib

    def check_outputs(self, fitted: Fitted) -> None:
        """Refuse a network with which a query would take more memory than `max_gib`, whatever the pool."""
        self._check_size(1, fitted)

    def query(self, fitted: Fitted, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
        """Return n ids, in the order they were added; ties are broken at random."""
        rows = pool.unlabelled_ids()
        if self.max_candidates is not None:
            rows = rows[permutation(len(rows), rng, rows.device)]
            rows = rows[: max(self.max_candidates, self.oversample * n)]
        images, n_rows = pool.source_N[rows].unique(return_counts=True)
        self._check_size(len(images), fitted)
        picks = bait(
            fitted.features_MD,
            fitted.probs_MC,
            n,
            rng,
            known=pool.source_N[pool.labelled_ids()],
            candidates=images,
            ridge=self.ridge,
            weights=n_rows,
            copies=pool.copies(),
            binary=self.binary,
            oversample=self.oversample,
        )
        return pool.rows_showing(picks, rng)

    def _check_size(self, n_images: int, fitted: Fitted) -> None:
        """Raise BadInput where the whole layer's information about so many images takes too much memory."""
        if self.binary:
            return
        n_classes, n_features = fitted.probs_MC.shape[1], fitted.features_MD.shape[1]
        gib = bytes_needed(n_images, n_classes, n_features) / 2**30
        if gib > self.max_gib:
            of = "" if n_images == 1 else f" and {n_images} images"
            raise BadInput(
                f"alg.max_gib={self.max_gib:g}: a query takes {gib:.1f} GiB with {n_classes} classes, "
                f"{n_features} features{of}; alg=bait_binary needs little, alg.max_candidates chooses among fewer rows"
            )
