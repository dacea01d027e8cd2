"""BALD: buy the rows on which networks disagree most (Houlsby et al. 2011, arXiv 1112.5745; Gal et al. 2017).

The score is the mutual information of label and weights, H(mean_k p_k) - mean_k H(p_k), over the K members of an
ensemble (Beluch et al., CVPR 2018) or, of a single network, K dropout passes. The LHD paper's code has no dropout in
any model, so its BALD is always 0; here such a model is refused.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hetal.acquisition.scores import mutual_information
from hetal.algs.posterior import check_passes, check_posterior
from hetal.algs.scored import Scored
from hetal.pool import Pool
from hetal.train.fitted import Fitted


class BALD(Scored):
    """Buys the rows with the highest mutual information.

    Args:
        n_passes: K of a single network, stochastic forward passes per image, at least 2. An ensemble's members are run
            without dropout, once each.

    Raises:
        BadInput: `n_passes` is not in 2..1,000,000.
    """

    def __init__(self, n_passes: int) -> None:
        check_passes(n_passes)
        self.n_passes = n_passes

    def check(self, network: nn.Module) -> None:
        """Refuse a single network without dropout, whose passes would all be equal."""
        check_posterior(network, "bald")

    def scores(self, fitted: Fitted, pool: Pool, rng: torch.Generator) -> Tensor:
        """Return the mutual information of every image that an unlabelled row shows, (M,)."""
        images, _ = pool.distinct()
        if fitted.n_members > 1:
            passes = fitted.members(fitted.images(images))
        else:
            passes = fitted.passes(self.n_passes, fitted.images(images), rng)
        score_M = torch.zeros(len(pool.images_M), device=pool.device)
        score_M[images] = torch.cat([mutual_information(probs_KMC) for probs_KMC in passes])
        return score_M
