"""Triple: buy what tells much, lies far from all that is bought, and is undecided: three scores, multiplied.

With p the class probabilities, h the features and w = 1 - sum_c p_c^2, bought is, one image after another,

    argmax_x  g(x) d(x) u(x)
    g(x)  what a label of x takes from V = sum over all images of w h' A h,  A = (ridge I + sum_labelled w h h')^-1
    d(x)  the distance |h(x) - h(z)| to the nearest image z that is bought or picked
    u(x)  1 less the lead of the most probable class over the next

g is what `fisher` goes by, d core-set and u margin. See `hetal.acquisition.triple` for what it descends from; the
product is hetal's own. Every distinct image counts once in V and is bought once, so that exact copies change nothing.
V sums over images, so that a cloud of near copies draws `fisher` in; here those beside a bought image are worth little.
The one constant is `fisher`'s ridge. Images that were bought and rejected count in d, and have no label to count in A.

Cost: B picks of 5 M D operations each for M images, and distances to all L bought images, M L D operations.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.acquisition.design import LEAST_RIDGE
from hetal.acquisition.triple import triple
from hetal.algs.base import QueryStrategy, fill_up
from hetal.errors import BadInput
from hetal.pool import Pool
from hetal.train.fitted import Fitted


class Triple(QueryStrategy):
    """Buys by the product of what a label tells, the distance to all bought, and indecision.

    Args:
        ridge: prior information on every direction, in labels of weight 1 of a feature vector of mean norm.
        max_candidates: choose among so many random images (n, if that is more), for what all of the pool leave
            uncertain; None among all. A query takes time in proportion to them.

    Raises:
        BadInput: `ridge` is below `LEAST_RIDGE` or not finite, or `max_candidates` is below 1.
    """

    def __init__(self, ridge: float, max_candidates: int | None) -> None:
        if not LEAST_RIDGE <= ridge < float("inf"):
            raise BadInput(f"alg.ridge={ridge}: must be at least {LEAST_RIDGE:g}, and finite")
        if max_candidates is not None and max_candidates < 1:
            raise BadInput(f"alg.max_candidates={max_candidates}: must be at least 1, or null")
        self.ridge = ridge
        self.max_candidates = max_candidates

    def query(self, fitted: Fitted, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
        """Return n ids, the largest product first; once every image is bought, random ids of the others."""
        bought = pool.source_N[pool.bought_ids()].unique()
        images, _ = pool.distinct()
        new = images[~torch.isin(images, bought)]
        # Shuffled, since ties go to the first candidate.
        new = new[torch.randperm(len(new), generator=rng).to(new.device)]
        if self.max_candidates is not None:
            new = new[: max(self.max_candidates, n)]
        picks = triple(
            fitted.features_MD,
            fitted.probs_MC,
            min(n, len(new)),
            known=pool.source_N[pool.labelled_ids()].unique(),
            candidates=new,
            ridge=self.ridge,
            copies=torch.bincount(pool.source_N, minlength=len(pool.images_M)).clamp(max=1),
            bought=bought,
        )
        return fill_up(pool.rows_showing(picks, rng), pool, n, rng)
