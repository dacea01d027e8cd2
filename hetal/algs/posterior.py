"""Networks that training leaves possible: members of an ensemble, or dropout passes, for Bayesian strategies.

Lakshminarayanan et al. (NeurIPS 2017, arXiv 1612.01474); Gal & Ghahramani (ICML 2016, arXiv 1506.02142).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hetal.algs.base import check_draws
from hetal.errors import BadInput
from hetal.train.fitted import Fitted, has_dropout
from hetal.train.members import ensemble_in


def check_posterior(network: nn.Module, name: str) -> None:
    """Refuse a single network without dropout, whose passes would all be equal.

    Args:
        network: of a round.
        name: of the strategy, as it is chosen.

    Raises:
        BadInput: it is neither an ensemble nor has dropout.
    """
    if ensemble_in(network) is None and not has_dropout(network):
        raise BadInput(
            f"alg={name} needs a model with dropout, such as model=mlp_dropout, or an ensemble, such as "
            "model.members=5; this one is neither"
        )


def check_passes(n_passes: int) -> None:
    """Refuse fewer than two passes, of which one disagrees with nothing, and too many."""
    check_draws("n_passes", n_passes, 2)


def drawn_probs(fitted: Fitted, images: Tensor, n_passes: int, rng: torch.Generator) -> Tensor:
    """Return class probabilities by K networks, each of which sees all images: (K, n, C).

    Args:
        fitted: an ensemble, whose members are run without dropout; or a network with dropout.
        images: (n, *image_shape) as stored.
        n_passes: K of a single network. A pass drops the same units for all images, and for the images of another call
            with a generator in the same state.
        rng: seeds the passes; untouched of an ensemble.
    """
    if fitted.n_members > 1:
        return torch.cat([*fitted.members(images)], 1)
    return torch.cat([*fitted.passes(n_passes, images, rng, same_masks=True)], 1)
