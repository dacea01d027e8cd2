"""Exponential moving average (EMA) of a network's weights.

After step k = 1, 2, ...:  w_ema <- a * w_ema + (1 - a) * w,  a = min(1 - 1/(k+1), decay).

Started from a copy of the network, it is the plain mean of all weights so far until a reaches `decay`, and an
exponentially weighted mean from then on. Floating-point buffers (batch-norm statistics) are averaged like weights.

The LHD paper's code starts the average from *separate* random weights and never resets k, so from the second round on
it begins, at a = decay, at an unrelated network. `Learner(own_ema=True)` reproduces that.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from hetal.record.checkpoint import State


class EMA:
    """The moving average of a network's weights, as a network.

    Args:
        network: the network whose weights are averaged, already on its device.
        decay: the largest a.
        start: network of the same architecture to start from, instead of a copy of `network`.
        past_steps: k before the first update.
    """

    def __init__(
        self, network: nn.Module, decay: float, start: nn.Module | None = None, past_steps: int = 0
    ) -> None:
        self.network = copy.deepcopy(network) if start is None else start
        self.network.requires_grad_(False)
        self._decay = decay
        self._k = past_steps
        self._of = _floats(network)
        self._averaged = _floats(self.network)

    def state_dict(self) -> State:
        """Return the averaged weights and the number of updates."""
        return {"network": self.network.state_dict(), "k": self._k}

    def load_state_dict(self, state: State) -> None:
        """Restore what `state_dict` returned."""
        self.network.load_state_dict(state["network"])
        self._k = state["k"]

    @torch.no_grad()
    def update(self) -> None:
        """Average in the current weights of the network."""
        self._k += 1
        a = min(1 - 1 / (self._k + 1), self._decay)
        torch._foreach_lerp_(self._averaged, self._of, 1 - a)


def _floats(network: nn.Module) -> list[torch.Tensor]:
    tensors = [*network.parameters(), *network.buffers()]
    return [t.data for t in tensors if t.is_floating_point()]
