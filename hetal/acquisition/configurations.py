"""Configurations of the labels of several points, and the posterior over networks that each leaves.

Kirsch, van Amersfoort & Gal (NeurIPS 2019, arXiv 1906.08158), whose batchbald_redux keeps what every network gives to a
configuration. Here each has its share p(c) and a posterior p(k | c), which stay in range however many labels there are.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.acquisition.shares import place_in, whole_shares
from hetal.machine.transfer import to_device

# Probabilities of labels of points under configurations, computed at once: of few, so that they stay in cache.
TILE = 2**18


class Configurations:
    """Configurations of the labels of the points picked, and what each leaves of the weights.

    Args:
        probs_KMC: class probabilities by the K networks.
        most: configurations that are kept; more are drawn from.
        rng: where they are drawn.

    Attributes:
        share_R: (R,) probability of each configuration, summing to 1.
        posterior_RK: (R, K) probability of each network given a configuration, float64.
        n_labels: number of points picked.
    """

    def __init__(self, probs_KMC: Tensor, most: int, rng: torch.Generator) -> None:
        self._probs_KMC = probs_KMC
        self._most = most
        self._rng = rng
        self._drawn_by_R: Tensor | None = None  # the network that each was drawn from; None: all there are
        K = len(probs_KMC)
        self.share_R = torch.ones(1, dtype=torch.float64, device=probs_KMC.device)
        self.posterior_RK = torch.full((1, K), 1 / K, dtype=torch.float64, device=probs_KMC.device)
        self.n_labels = 0

    def add(self, point: int) -> None:
        """Add the label of a point to every configuration."""
        probs_KC = self._probs_KMC[:, point].double()
        self.n_labels += 1
        if self._drawn_by_R is None and len(self.share_R) * probs_KC.shape[1] <= self._most:
            joint_RCK = self.posterior_RK[:, None] * probs_KC.T
            share_RC = joint_RCK.sum(2)
            possible = torch.nonzero(share_RC > 0, as_tuple=True)
            share = (self.share_R[:, None] * share_RC)[possible]
            self.share_R = share / share.sum()
            self.posterior_RK = joint_RCK[possible] / share_RC[possible][:, None]
            return
        if self._drawn_by_R is None:
            self._draw()
        drawn_from_RC = probs_KC[self._drawn_by_R]
        labels_R = self._choose(drawn_from_RC)
        posterior_RK = self.posterior_RK * probs_KC[:, labels_R].T
        self.posterior_RK = posterior_RK / posterior_RK.sum(1, keepdim=True)

    def _draw(self) -> None:
        """Draw as many configurations of each network, in place of all there are."""
        K = self.posterior_RK.shape[1]
        each = -(-self._most // K)
        given_KR = (self.share_R[:, None] * self.posterior_RK).T
        rows = self._choose(given_KR.repeat_interleave(each, 0))
        self._drawn_by_R = torch.arange(K, device=rows.device).repeat_interleave(each)
        self.posterior_RK = self.posterior_RK[rows]
        self.share_R = torch.full_like(rows, 1, dtype=torch.float64) / len(rows)

    def _choose(self, mass_RC: Tensor) -> Tensor:
        """Draw a column for each row, with probability proportional to its mass."""
        ends_RC = whole_shares(mass_RC)[0].cumsum(1)
        place_R = torch.rand(len(mass_RC), dtype=torch.float64, generator=self._rng, device=self._rng.device)
        place_R = place_in(ends_RC[:, -1], *to_device(mass_RC.device, place_R))
        return (ends_RC <= place_R[:, None]).sum(1)

    def information(self, points: Tensor) -> Tensor:
        """Return the mutual information of each point's label and the weights, given the labels: (n,) float64."""
        return torch.cat([self.share_R @ self.each(some).double() for some in points.split(self.tile)])

    @property
    def tile(self) -> int:
        """Points that are evaluated together."""
        return max(TILE // (len(self.share_R) * self._probs_KMC.shape[2]), 1)

    def each(self, points: Tensor) -> Tensor:
        """Return the same given each configuration: (R, n), 0 or more.

        Of configurations that are drawn in float32, whose rounding is far below the noise of the draws.
        """
        dtype = torch.float64 if self._drawn_by_R is None else torch.float32
        probs_KnC, posterior_RK = self._probs_KMC[:, points].to(dtype), self.posterior_RK.to(dtype)
        mean_RnC = (posterior_RK @ probs_KnC.flatten(1)).view(-1, *probs_KnC.shape[1:])
        explained_Rn = posterior_RK @ _negative_entropy(probs_KnC)
        return (explained_Rn - _negative_entropy(mean_RnC)).clamp_(min=0)


def _negative_entropy(probs: Tensor) -> Tensor:
    """Return sum_c p_c log p_c with 0 log 0 = 0: faster than `torch.xlogy`."""
    return (probs.clamp(min=torch.finfo(probs.dtype).tiny).log_().mul_(probs)).sum(-1)
