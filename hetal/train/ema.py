"""The exponential moving average of a network's weights.

After step k = 1, 2, ...:  w_ema <- a * w_ema + (1 - a) * w,  a = min(1 - 1/(k+1), decay).

From a copy of the network this is the plain mean of all weights so far until a reaches `decay`, and a fading
mean from then on. Floating buffers (batch-norm statistics) are averaged like weights.

The LHD paper's code starts the average from *its own* random weights and never resets k, so that after the
first round it fades, at a = decay, from an unrelated network. `Learner(own_ema=True)` reproduces that.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from hetal.record.checkpoint import State


class EMA:
    """A network that follows another.

    Args:
        network: the network to follow, already on its device.
        decay: the largest a.
        start: network of the same shape to start from instead of a copy of `network`.
        past_steps: value of k before the first update.
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
        """Return the weights and the count of updates."""
        return {"network": self.network.state_dict(), "k": self._k}

    def load_state_dict(self, state: State) -> None:
        """Go on from where `state_dict` was taken."""
        self.network.load_state_dict(state["network"])
        self._k = state["k"]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights that the followed network has now."""
        self._k += 1
        a = min(1 - 1 / (self._k + 1), self._decay)
        torch._foreach_lerp_(self._averaged, self._of, 1 - a)


def _floats(network: nn.Module) -> list[torch.Tensor]:
    tensors = [*network.parameters(), *network.buffers()]
    return [t.data for t in tensors if t.is_floating_point()]
