"""MaxHerding: buy the rows that raise most how well labelled rows cover the pool, by a Gaussian kernel on features.

Bae, Noh & Sutherland: Generalized Coverage for More Robust Low-Budget Active Learning (ECCV 2024, arXiv 2407.12212).
With k(x, y) = exp(-|h(x) - h(y)|^2 / s^2), S the labelled and picked rows and sums over all rows of the pool,

    argmax_x  sum_x' max(k(x, x') - max_{y in S} k(y, x'), 0),   B times.

Cost: M^2 D operations for M distinct images, twice to a few times, and memory for M D numbers; see
`hetal.acquisition.herding`, whose picks are those of plain evaluation.

The published code holds a kernel matrix of all pairs, for which it looks at 35,000 random rows at most; here every
distinct image is looked at (`max_images`) and counts as often as it has unlabelled rows. An image of which a row is
bought is covered, and is bought again only once nothing else is left. The published s is 1, on features of norm 1
(SimCLR's). Here s is in units of the root mean squared distance of two distinct images of the pool, which is 1 for
features of norm 1 whose mean cosine is 1/2; it follows the scale of any features, and copies neither lower it nor make
it 0, as they do where s is taken from least distances.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.acquisition.herding import max_herding, rms_distance
from hetal.algs.base import Features, QueryStrategy, check_features, features_of, fill_up, unit_length
from hetal.errors import BadInput
from hetal.pool import Pool
from hetal.rng import permutation
from hetal.train.fitted import Fitted

# No point covers another any more long before; squares of distances in units of it stay in range.
LEAST_BANDWIDTH = 1e-6


class MaxHerding(QueryStrategy):
    """Buys by greedy coverage of all rows, each image once while there are others.

    Args:
        features: "given", those of the data, so that it may choose the start set; "trained", the network's; or "both".
        unit_length: scale features to length 1, as published.
        bandwidth: s, in units of the root mean squared distance of two distinct images.
        max_images: look only at so many random images, as what is picked and as what is to be covered (at n, if that
            is more); None for all. A query takes time in proportion to its square.

    Raises:
        BadInput: `features` is none of the three, `bandwidth` is below `LEAST_BANDWIDTH` or not finite, or `max_images`
            is below 1.
    """

    def __init__(
        self, features: Features, unit_length: bool, bandwidth: float, max_images: int | None
    ) -> None:
        check_features(features)
        if not LEAST_BANDWIDTH <= bandwidth < float("inf"):
            raise BadInput(
                f"bandwidth={bandwidth} of herding: must be at least {LEAST_BANDWIDTH:g}, and finite"
            )
        if max_images is not None and max_images < 1:
            raise BadInput(f"max_images={max_images} of herding: must be at least 1, or null")
        self.features = features
        self.unit_length = unit_length
        self.bandwidth = bandwidth
        self.max_images = max_images
        self.needs_network = features != "given"

    def query(self, fitted: Fitted, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
        """Return n ids, what covers most first; once nothing covers more, random ids of the others."""
        images, copies = pool.distinct()
        is_bought_M = pool.copies(pool.bought_ids()) > 0
        bought, new = torch.nonzero(is_bought_M).flatten(), torch.nonzero(~is_bought_M[images]).flatten()
        images, copies = images[new], copies[new]
        # Shuffled, since ties go to the first.
        order = permutation(len(images), rng, images.device)
        if self.max_images is not None:
            order = order[: max(self.max_images, n)]
        images, copies = images[order], copies[order]
        h_MD = features_of(fitted, self.features)
        if self.unit_length:
            h_MD = unit_length(h_MD)
        picks = images[
            max_herding(
                h_MD[images],
                min(n, len(images)),
                bandwidth=self.bandwidth * self.scale(h_MD, pool),
                weights=copies * self.weights(fitted, pool, images),
                centers=h_MD[bought],
            )
        ]
        self.remember(fitted, picks)
        return fill_up(pool.rows_showing(picks, rng), pool, n, rng)

    def scale(self, h_MD: Tensor, pool: Pool) -> float:
        """Return the unit of `bandwidth`, from the features (M, D) of all images."""
        return rms_distance(h_MD[pool.source_N.unique()])

    def weights(self, fitted: Fitted, pool: Pool, images: Tensor) -> Tensor:
        """Return how much it counts to cover a row of each of P images, (P,)."""
        return torch.ones_like(images)

    def remember(self, fitted: Fitted, picks: Tensor) -> None:
        """Take note of the images picked."""
        return
