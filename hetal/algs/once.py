"""Once: any strategy, on a pool that shows every distinct image once, and no image of which a row is labelled.

hetal's own, to measure how much of a strategy's immunity to noise comes of copies: the labels of copies of one image
contradict each other, and a strategy that buys each image once buys few of them. What is wrapped sees one random row of
every image that is not labelled, and one labelled row of every image that is. With `near`, of images closer to each
other than that a random one is shown, and none that is so close to a labelled one: copies need not be exact.

Cost: none to speak of; with `near`, the distances of the K images that are left to all M, K M D operations.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.acquisition.separation import separated
from hetal.algs.base import Features, QueryStrategy, check_features, features_of, fill_up
from hetal.algs.wrapper import Wrapper
from hetal.errors import BadInput
from hetal.pool import Pool
from hetal.rng import permutation
from hetal.train.fitted import Fitted


class Once(Wrapper):
    """Buys what another strategy buys of a pool without copies.

    Args:
        of: the strategy.
        near: images closer than this count as copies too: a distance of features, in units of their spread, the root
            mean squared distance of the pool's distinct images to their mean. 0 merges equal images only.
        features: of that distance: "given", "trained" or "both".

    Raises:
        BadInput: `near` is negative, or `features` is none of the three.
    """

    def __init__(self, of: QueryStrategy, near: float, features: Features) -> None:
        super().__init__(of)
        check_features(features)
        if not 0 <= near < float("inf"):
            raise BadInput(f"alg.near={near}: must be 0 or more, and finite")
        self.near = near
        self.features = features
        self.needs_network = of.needs_network or (near > 0 and features != "given")

    def query(self, fitted: Fitted, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
        """Return n ids; once no image is left of which no row is labelled, random others."""
        bought = torch.cat([pool.labelled_ids(), pool.rejected_ids()])
        seen = _first_of_each(bought, pool)
        new = pool.unlabelled_ids()
        new = new[~torch.isin(pool.source_N[new], pool.source_N[bought])]
        new = _first_of_each(new[permutation(len(new), rng, new.device)], pool)
        if self.near > 0 and len(new):
            new = new[self._apart(fitted, pool.source_N[new], pool.source_N[seen])]
        n_new = min(n, len(new))
        ids = torch.cat([seen, new]).sort().values
        picks = self.ask(fitted, pool, ids, n_new, rng) if n_new else new
        return picks if len(picks) < n_new else fill_up(picks, pool, n, rng)

    def _apart(self, fitted: Fitted, new: Tensor, bought: Tensor) -> Tensor:
        """Return which of the images `new` are not near an earlier one of them, nor near one of `bought`."""
        features_MD = features_of(fitted, self.features)
        spread = (features_MD - features_MD.mean(0)).square().sum(1).mean().sqrt()
        radius = self.near * float(spread.clamp(min=torch.finfo(torch.float32).tiny))
        return separated(features_MD[new], radius, centers=features_MD[bought])


def _first_of_each(ids: Tensor, pool: Pool) -> Tensor:
    """Return the first of `ids` of each image: (K,), in the order of `ids`."""
    images = pool.source_N[ids]
    first_M = torch.full((len(pool.images_M),), len(ids), device=pool.device)
    first_M.scatter_reduce_(0, images, torch.arange(len(ids), device=pool.device), "amin")
    return ids[first_M[first_M < len(ids)].sort().values]
