"""UnCover: buy what the network doubts, as far as can be from anything labelled.

hetal's own. With p the class probabilities and h the features,

    g(x) = (1 - max p(x)) h(x),

and greedy k-centre (Gonzalez 1985) on g, with the g of everything labelled as centres from the start. Where a label
is learnt, 1 - max p shrinks g to the origin, which labelled rows have covered. Where labels contradict each other, p
stays undecided and g long however many are bought; but the first of them is a centre, and what lies on it or beside it
is covered. So noise is bought once, not again and again, and no estimate of noise is needed. Compare BADGE, whose
k-means++ seeding starts from nothing in every round, and core-set, which covers what the network knows as eagerly as
what it doubts.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.algs.base import QueryStrategy
from hetal.algs.coreset import farthest_rows
from hetal.fitted import Fitted
from hetal.pool import Pool


class UnCover(QueryStrategy):
    """Buys by greedy k-centre on features scaled by doubt."""

    def query(self, fitted: Fitted, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
        """Return n ids, farthest first; once every row lies on a centre, ids at random from what is left."""
        doubt_M = 1 - fitted.probs_MC.amax(1)
        return farthest_rows(doubt_M[:, None] * fitted.features_MD, pool, n, rng)
