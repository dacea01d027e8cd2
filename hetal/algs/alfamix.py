"""ALFA-Mix: buy a diverse batch of rows whose prediction flips when features are mixed with class means.

Parvaneh, Abbasnejad, Teney, Haffari, van den Hengel & Shi: Active Learning by Feature Mixing (CVPR 2022, arXiv
2203.07034), in its closed form, see `hetal.acquisition.mixing`. With features z, the means z* of the labelled rows of
each class and g the gradient of the cross entropy at the predicted class, x is a candidate if for some class

    argmax f(a z* + (1 - a) z) != argmax f(z),   a = e / sqrt(D) |z* - z| / |g| g / (z* - z)

Candidates are clustered by k-means on z / |z| into as many clusters as there are rows to buy; bought is the one
nearest each centre. As in the authors' code, e starts at 0.2, the paper's, and grows by 0.2 up to 1 until there are
more candidates than rows to buy; if there are still too few, random rows fill up. Cost: for each value of e, a head for
every class over the images that are no candidates yet, M C^2 D, and k-means on the candidates.

It departs from the authors' code in this. A class without labels has no mean and is left out; there, its mean is that
of all labelled rows. A feature that is the same in z and z* is left as it is, as there; in other code it is 0/0, and
NaN then counts as a flip. The direction of g is computed so that it exists where probabilities round to 1. Candidates
are counted as images, since each is bought once. Random rows are distinct. An ensemble is mixed in the features of all
members at once.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hetal.acquisition import class_means, mixing_flips
from hetal.algs.clustered import Clustered
from hetal.errors import BadInput
from hetal.pool import Pool
from hetal.train.fitted import Fitted

# Of e, at most: each is a pass over the images.
MOST_STEPS = 1000


class AlfaMix(Clustered):
    """Buys by k-means among images whose prediction flips when their features are mixed with a class mean.

    Args:
        eps: e above, by how much features move at first, and by how much that grows.
        most_eps: up to where it grows; `eps` for the paper's algorithm, in which it does not.
        max_iterations: of k-means, at most.

    Raises:
        BadInput: a setting is out of range.
    """

    reads_head = True

    def __init__(self, eps: float, most_eps: float, max_iterations: int) -> None:
        super().__init__(max_iterations)
        if not 0 < eps < math.inf:
            raise BadInput(f"alg.eps={eps}: must be above 0, and finite")
        if not eps <= most_eps <= MOST_STEPS * eps:
            raise BadInput(
                f"alg.most_eps={most_eps}: must be at least alg.eps={eps}, and at most {MOST_STEPS} times as much"
            )
        self.eps = eps
        self.most_eps = most_eps

    def candidates(self, fitted: Fitted, pool: Pool, images: Tensor, n: int, rng: torch.Generator) -> Tensor:
        """Return which images flip, by the least e for which more than n do."""
        labelled = pool.labelled_ids()
        anchors = class_means(fitted.features_MD[pool.source_N[labelled]], pool.labels(labelled))
        flips = torch.zeros_like(images, dtype=torch.bool)
        for step in range(1, math.ceil(self.most_eps / self.eps - 1e-9) + 1):
            left = (~flips).nonzero().squeeze(1)
            eps = min(step * self.eps, self.most_eps)
            flips[left] = mixing_flips(fitted.features_MD, anchors, fitted.head, eps=eps, rows=images[left])
            if int(flips.sum()) > n:
                break
        return flips
