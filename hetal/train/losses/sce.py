"""Symmetric cross entropy: cross entropy, and the same with label and prediction exchanged.

Wang, Ma, Chen, Luo, Yi, Bailey (ICCV 2019), arXiv:1908.06112; p are the predicted probabilities, q the given label as a
one-hot vector, with log 0 := A:

    L = alpha CE + beta RCE,   CE = -log p_y,   RCE = -sum_c p_c log q_c = -A (1 - p_y)

The paper has A = -4 and alpha, beta = 0.01, 1 on MNIST, 0.1, 1 on CIFAR-10, 6, 0.1 on CIFAR-100. Its code clips q at
1e-4 instead, which is A = -9.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from hetal.errors import BadInput


@dataclass(frozen=True)
class SCE:
    """Symmetric cross entropy.

    Attributes:
        alpha: weight of cross entropy, at least 0.
        beta: weight of reverse cross entropy, at least 0; not both are 0.
        log_zero: what stands for log 0, under 0.

    Raises:
        BadInput: a hyperparameter is out of its range.
    """

    alpha: float
    beta: float
    log_zero: float

    def __post_init__(self) -> None:
        for name in ("alpha", "beta"):
            if not getattr(self, name) >= 0:
                raise BadInput(f"train.loss.{name}={getattr(self, name)}: must be at least 0")
        if self.alpha == self.beta == 0:
            raise BadInput("train.loss.alpha=0 train.loss.beta=0: one of them must be positive")
        if not self.log_zero < 0:
            raise BadInput(f"train.loss.log_zero={self.log_zero}: must be under 0")

    def __call__(self, logits_BC: Tensor, labels_B: Tensor) -> Tensor:
        """Return the mean loss, a scalar.

        Args:
            logits_BC: (B, C) float.
            labels_B: (B,) int64 in 0..C-1.
        """
        loss_B = cross_entropy(logits_BC, labels_B, reduction="none")
        reverse_B = self.log_zero * torch.expm1(-loss_B)  # -A (1 - p_y)
        return (self.alpha * loss_B + self.beta * reverse_B).mean()
