"""Exponential moving average (EMA) of a network's weights.

After step k = 1, 2, ...:  w_ema <- a * w_ema + (1 - a) * w,  a = min(1 - 1/(k+1), decay).

Started from a copy of the network, it is the plain mean of all weights so far until a reaches `decay`, and an
exponentially weighted mean from then on. Floating-point buffers (batch-norm statistics) are averaged like weights.

The LHD paper's code starts the average from *separate* random weights and never resets k, so from the second round on
it begins, at a = decay, at an unrelated network. `Learner(own_ema=True)` reproduces that. It also runs the average on
every batch of training, in train mode and before its update: its batch-norm statistics are then those of its own
passes, not averages, and its train accuracy is the mean over these outputs. `Learner(ema_on_batches=True)` does so.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from hetal.record.checkpoint import State


class EMA:
    """The moving average of a network's weights, as a network.

    Args:
        network: the network whose weights are averaged, already on its device.
        decay: the largest a.
        start: network of the same architecture to start from, instead of a copy of `network`.
        past_steps: k before the first update.
        on_batches: run the average on every batch, see `see`; only weights are averaged then, and no statistics.
    """

    def __init__(
        self,
        network: nn.Module,
        decay: float,
        start: nn.Module | None = None,
        past_steps: int = 0,
        on_batches: bool = False,
    ) -> None:
        self.network = copy.deepcopy(network) if start is None else start
        self.network.requires_grad_(False)
        self._decay = decay
        self._k = past_steps
        self._on_batches = on_batches
        self._seen: list[Tensor] = []
        self._share = 1.0  # 1 - a of the next update
        self._share_1: Tensor | None = None  # the same on a GPU
        self._of = _floats(network, buffers=not on_batches)
        self._averaged = _floats(self.network, buffers=not on_batches)

    def state_dict(self) -> State:
        """Return the averaged weights and the number of updates."""
        return {"network": self.network.state_dict(), "k": self._k}

    def load_state_dict(self, state: State) -> None:
        """Restore what `state_dict` returned."""
        self.network.load_state_dict(state["network"])
        self._k = state["k"]

    @torch.no_grad()
    def see(self, x_B: Tensor, y_B: Tensor) -> list[Tensor]:
        """Run the average on a batch in train mode, where `on_batches` asks for it; to be called before `update`.

        Returns:
            The number of rows that it is right on, a scalar in a list; an empty list if it does not run on batches.
        """
        return [(self.network.train()(x_B)[0].argmax(1) == y_B).sum()] if self._on_batches else []

    def in_graph(self) -> None:
        """Read what changes from step to step from memory of the GPU from now on, for a CUDA graph."""
        if self._share_1 is None:
            self._share_1 = torch.zeros((), device=self._averaged[0].device)

    def count(self) -> None:
        """Count an update, which is to follow: k becomes k + 1."""
        self._k += 1
        self._share = 1 - min(1 - 1 / (self._k + 1), self._decay)
        if self._share_1 is not None:
            self._share_1.fill_(self._share)

    @torch.no_grad()
    def average(self) -> None:
        """Average in the current weights of the network, as the k-th update."""
        if self._share_1 is None:
            torch._foreach_lerp_(self._averaged, self._of, self._share)
        else:
            ahead = torch._foreach_sub(self._of, self._averaged)
            torch._foreach_mul_(ahead, self._share_1)
            torch._foreach_add_(self._averaged, ahead)

    def update(self) -> None:
        """Count and average in the current weights of the network."""
        self.count()
        self.average()


def _floats(network: nn.Module, buffers: bool) -> list[Tensor]:
    tensors = [*network.parameters(), *(network.buffers() if buffers else ())]
    return [t.data for t in tensors if t.is_floating_point()]
