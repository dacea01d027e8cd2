"""Wide residual network for small images (Zagoruyko & Komodakis, BMVC 2016, arXiv 1605.07146).

A 3x3 stem of 16 channels, then three stages of n = (depth - 4) / 6 blocks at 16k, 32k and 64k channels, of which the
last two halve the image. A block is

    x + conv(dropout(relu(norm(conv(relu(norm(x)))))))

where x stands for a 1x1 convolution of relu(norm(x)) if the shape changes. Then norm, relu, average pooling and a
linear layer. Weights are drawn as in the authors' code: convolutions normal with variance 2 / fan-out, a bias of 0.
Departs from it in pooling over all that is left, so that images other than 32x32 are taken.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import relu

from hetal.errors import BadInput

STEM = 16


class WideResNet(nn.Module):
    """Wide residual network; WRN-28-10 has depth 28, width 10.

    Args:
        image_shape: (C, H, W) with H, W >= 4.
        n_classes: number of logits.
        depth: number of convolutions on the longest path, 6n + 4.
        width: factor k of the channels; D = 64k.
        dropout: probability of dropping an activation between the convolutions of a block, in [0, 1).

    Raises:
        BadInput: the data are not images of at least 4x4, or a setting is out of range.
    """

    def __init__(
        self, image_shape: Sequence[int], n_classes: int, depth: int, width: int, dropout: float
    ) -> None:
        super().__init__()
        if len(image_shape) != 3 or min(image_shape[1:]) < 4:
            raise BadInput(
                f"model=wide_resnet takes images (C, H, W) of at least 4x4, not {tuple(image_shape)}"
            )
        if depth < 10 or depth % 6 != 4:
            raise BadInput(f"model.depth={depth}: must be 6n + 4: 10, 16, 22, 28, 34, 40, ...")
        if width < 1:
            raise BadInput(f"model.width={width}: must be at least 1")
        if not 0 <= dropout < 1:
            raise BadInput(f"model.dropout={dropout}: must be in [0, 1)")
        layers: list[nn.Module] = [_convolution(image_shape[0], STEM, 3)]
        c_in = STEM
        for stage in range(3):
            c_out = STEM * width * 2**stage
            for i in range((depth - 4) // 6):
                layers.append(_Block(c_in, c_out, 2 if stage and i == 0 else 1, dropout))
                c_in = c_out
        layers += [nn.BatchNorm2d(c_in), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(c_in, n_classes)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, C, H, W) to logits (B, C) and features (B, D)."""
        h = self.body(x)
        return self.head(h), h


class _Block(nn.Module):
    """Residual block with normalisation before each convolution."""

    def __init__(self, c_in: int, c_out: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(c_in)
        layers = [_convolution(c_in, c_out, 3, stride), nn.BatchNorm2d(c_out), nn.ReLU(inplace=True)]
        if dropout:
            layers.append(nn.Dropout(dropout))
        self.residual = nn.Sequential(*layers, _convolution(c_out, c_out, 3))
        changes_shape = c_in != c_out or stride != 1
        self.shortcut = _convolution(c_in, c_out, 1, stride) if changes_shape else None

    def forward(self, x: Tensor) -> Tensor:
        activated = relu(self.norm(x))
        residual: Tensor = self.residual(activated)
        return residual + (x if self.shortcut is None else self.shortcut(activated))


def _convolution(c_in: int, c_out: int, size: int, stride: int = 1) -> nn.Conv2d:
    convolution = nn.Conv2d(c_in, c_out, size, stride, padding=size // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return convolution
