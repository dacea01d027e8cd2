"""Multi-layer perceptron (MLP) with ReLU and optional dropout after each hidden layer."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from torch import Tensor, nn

from hetal.errors import BadInput


class MLP(nn.Module):
    """Multi-layer perceptron on flattened images or vectors.

    Args:
        image_shape: (C, H, W) or (D,).
        n_classes: number of logits.
        widths: units per hidden layer; the last is D, the number of features.
        dropout: probability of dropping a hidden unit in training, in [0, 1).

    Raises:
        BadInput: there is no hidden layer, a width is below 1, or `dropout` is out of range.
    """

    def __init__(
        self, image_shape: Sequence[int], n_classes: int, widths: Sequence[int], dropout: float
    ) -> None:
        super().__init__()
        if len(widths) == 0 or min(widths) < 1:
            raise BadInput(f"model.widths={list(widths)}: needs one or more widths, each at least 1")
        if not 0 <= dropout < 1:
            raise BadInput(f"model.dropout={dropout}: must be in [0, 1)")
        sizes = [math.prod(image_shape), *widths]
        layers: list[nn.Module] = [nn.Flatten()]
        for fan_in, fan_out in itertools.pairwise(sizes):
            layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
            if dropout:
                layers.append(nn.Dropout(dropout))
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(sizes[-1], n_classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, *image_shape) to logits (B, C) and features (B, D)."""
        h = self.body(x)
        return self.head(h), h
