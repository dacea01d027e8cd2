"""Small-loss selection: cross entropy of the rows of a batch whose loss is smallest, which are likelier right.

The rule of co-teaching, Han, Yao, Yu, Niu, Xu, Hu, Tsang, Sugiyama (NeurIPS 2018), arXiv:1804.06872, algorithm 1, for
one network that selects for itself. In epoch T the share kept of each batch is

    R(T) = 1 - min(T / T_k tau, tau)

In the paper tau is the share of noisy labels, and T_k = 10. Departures: there, each of two networks selects the rows of
the other; and R falls after an epoch, so that the first has R = 1, where here it is R(1).
"""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn.functional import cross_entropy

from hetal.errors import BadInput


class SmallLoss:
    """Cross entropy of the rows of a batch with the smallest losses.

    Args:
        forget_rate: tau, the share of each batch left out in the end, in [0, 1).
        n_gradual: T_k, the epochs until then, at least 1.

    Raises:
        BadInput: a hyperparameter is out of its range.
    """

    def __init__(self, forget_rate: float, n_gradual: int) -> None:
        if not 0 <= forget_rate < 1:
            raise BadInput(f"train.loss.forget_rate={forget_rate}: must be in [0, 1)")
        if n_gradual < 1:
            raise BadInput(f"train.loss.n_gradual={n_gradual}: must be at least 1")
        self.forget_rate = forget_rate
        self.n_gradual = n_gradual
        self._kept = 1.0

    def begin_epoch(self, epoch: int) -> None:
        """Set the share kept; epochs are counted from 1."""
        self._kept = 1 - self.forget_rate * min(epoch / self.n_gradual, 1)

    def __call__(self, logits_BC: Tensor, labels_B: Tensor) -> Tensor:
        """Return the mean loss of the rows kept, a scalar; all before the first `begin_epoch`.

        Args:
            logits_BC: (B, C) float.
            labels_B: (B,) int64 in 0..C-1.
        """
        loss_B = cross_entropy(logits_BC, labels_B, reduction="none")
        n = max(math.ceil(self._kept * len(loss_B) - 1e-9), 1)
        # Sorted, since of equal losses topk may take others on other devices.
        return loss_B.sort(stable=True).values[:n].mean()
