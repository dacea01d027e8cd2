"""VGG with batch norm for small images (Simonyan & Zisserman, ICLR 2015, arXiv 1409.1556, configuration D).

Departs from the paper as usual for small images: global average pooling, then one linear layer. Max pooling rounds up,
so that 28x28 images pass all five stages; for 32x32 that makes no difference.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from hetal.errors import BadInput


class VGG(nn.Module):
    """Stages of 3x3 convolutions, each ending in 2x2 pooling.

    Args:
        image_shape: (C, H, W) with H, W >= 16.
        n_classes: number of logits.
        widths: channels per stage; the last is D, the number of features.
        convolutions: convolutions per stage.

    Raises:
        BadInput: the data are not images of at least 16x16, or widths and convolutions do not match.
    """

    def __init__(
        self, image_shape: Sequence[int], n_classes: int, widths: Sequence[int], convolutions: Sequence[int]
    ) -> None:
        super().__init__()
        if len(image_shape) != 3 or min(image_shape[1:]) < 16:
            raise BadInput(f"model=vgg takes images (C, H, W) of at least 16x16, not {tuple(image_shape)}")
        if len(widths) != len(convolutions) or min(*widths, *convolutions) < 1:
            raise BadInput(
                f"model.widths={list(widths)}, model.convolutions={list(convolutions)}: one of each a stage, all >= 1"
            )
        layers: list[nn.Module] = []
        c_in = image_shape[0]
        for c_out, n in zip(widths, convolutions, strict=True):
            for _ in range(n):
                layers += [nn.Conv2d(c_in, c_out, 3, padding=1), nn.BatchNorm2d(c_out), nn.ReLU(inplace=True)]
                c_in = c_out
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(c_in, n_classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, C, H, W) to logits (B, C) and features (B, D)."""
        h = self.body(x)
        return self.head(h), h
