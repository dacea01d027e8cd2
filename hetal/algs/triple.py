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

from torch import Tensor

from hetal.acquisition.triple import triple
from hetal.algs.designed import Designed
from hetal.pool import Pool
from hetal.train.fitted import Fitted


class Triple(Designed):
    """Buys by the product of what a label tells, the distance to all bought, and indecision; settings of `Designed`."""

    def pick(self, fitted: Fitted, pool: Pool, candidates: Tensor, n: int) -> Tensor:
        """Return n images, the largest product first; see `Designed`."""
        return triple(
            fitted.features_MD,
            fitted.probs_MC,
            n,
            known=pool.source_N[pool.labelled_ids()].unique(),
            candidates=candidates,
            ridge=self.ridge,
            copies=pool.copies().clamp(max=1),
            bought=pool.source_N[pool.bought_ids()].unique(),
        )
