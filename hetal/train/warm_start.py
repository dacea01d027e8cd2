"""Starting points of a round's training that depend on the round before (warm starts).

Ash & Adams, "On Warm-Starting Neural Network Training", NeurIPS 2020. Instead of a fresh network, round t starts from

    theta_t <- lambda theta_{t-1} + p_t

for each learnable parameter. lambda = 1 without noise, plain warm starting, gives networks that generalise worse than
fresh ones; shrinking towards zero and noise mend that. In the paper p_t ~ N(0, sigma^2). In the authors' code, and
here, p_t is sigma times the parameters of a freshly initialised network, which respects that layers differ in scale;
lambda = 0 with sigma = 1 is a fresh network. As in their code, buffers (the statistics of batch norm) are those of the
fresh network. Departure: plain warm starting keeps the buffers too, so that the network is the one that was trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hetal.errors import BadInput

Weights = Mapping[str, Tensor]
"""Parameters and buffers of a network by name, as its state_dict."""

WarmStart = Callable[[nn.Module, Weights], None]
"""Called with a freshly initialised network, which it writes to, and the weights that the last round ended with."""


class LastWeights:
    """Start from the weights and buffers that the last round's training ended with."""

    def __call__(self, fresh: nn.Module, previous: Weights) -> None:
        """Write `previous` to the network `fresh`."""
        fresh.load_state_dict(previous)


@dataclass(frozen=True)
class ShrinkPerturb:
    """Start from the last round's parameters, shrunk, plus those of a fresh network as noise (Ash & Adams 2020).

    Args:
        shrink: lambda, the factor of the last round's parameters, in [0, 1].
        perturb: sigma, the factor of the fresh network's parameters, 0 or more.

    Raises:
        BadInput: a factor is out of range, or both are 0.
    """

    shrink: float
    perturb: float

    def __post_init__(self) -> None:
        if not 0 <= self.shrink <= 1:
            raise BadInput(f"train.warm_start.shrink={self.shrink}: must be in [0, 1]")
        if not self.perturb >= 0:
            raise BadInput(f"train.warm_start.perturb={self.perturb}: must be at least 0")
        if self.shrink == 0 == self.perturb:
            raise BadInput(
                "train.warm_start.perturb=0: must be positive where shrink is 0, else all weights are 0"
            )

    @torch.no_grad()
    def __call__(self, fresh: nn.Module, previous: Weights) -> None:
        """Replace each trained parameter p of `fresh` by shrink * previous + perturb * p; buffers stay."""
        for name, p in fresh.named_parameters():
            if p.requires_grad:
                # Product and sum are rounded apart, whatever the memory layout: the same bits from memory and disk.
                p.mul_(self.perturb).add_(previous[name].to(p.device) * self.shrink)
