"""Generalised cross entropy, between cross entropy and mean absolute error.

Zhang, Sabuncu (NeurIPS 2018), arXiv:1805.07836; p_y is the probability of the given label:

    L = (1 - p_y^q) / q,   0 < q <= 1

Cross entropy as q goes to 0; at q = 1 half the absolute error. The paper has q = 0.7 throughout. Departure: the paper's
truncated form, which drops rows with p_y at most k, is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from hetal.errors import BadInput


@dataclass(frozen=True)
class GCE:
    """Generalised cross entropy.

    Attributes:
        q: in 0.001..1; the larger, the less do rows count whose label is improbable.

    Raises:
        BadInput: q is out of its range.
    """

    q: float

    def __post_init__(self) -> None:
        if not 0.001 <= self.q <= 1:
            raise BadInput(
                f"train.loss.q={self.q}: must be in 0.001..1; train.loss=cross_entropy is its limit at 0"
            )

    def __call__(self, logits_BC: Tensor, labels_B: Tensor) -> Tensor:
        """Return the mean loss, a scalar.

        Args:
            logits_BC: (B, C) float.
            labels_B: (B,) int64 in 0..C-1.
        """
        # p^q = exp(q log p), whose gradient is finite where p itself would underflow to 0.
        log_p_B = -cross_entropy(logits_BC, labels_B, reduction="none")
        return -torch.expm1(self.q * log_p_B).mean() / self.q
