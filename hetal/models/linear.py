"""Linear classifier (multinomial logistic regression) on vectors or flattened images."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn


class Linear(nn.Module):
    """One linear layer; its features are its input, such as embeddings of a frozen encoder.

    Args:
        image_shape: (C, H, W) or (D,).
        n_classes: number of logits.
    """

    def __init__(self, image_shape: Sequence[int], n_classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(math.prod(image_shape), n_classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, *image_shape) to logits (B, C) and features (B, D), the flattened input."""
        h = x.flatten(1)
        return self.head(h), h
