"""ResNet for small images (He et al., CVPR 2016, arXiv 1512.03385, section 4.2).

A 3x3 stem without pooling, four stages of basic blocks, of which the last three halve the image, then global average
pooling. The LHD paper's code is narrow (widths 16-32-64-128, D=128); `resnet18` is the usual 64-128-256-512.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from hetal.errors import BadInput


class ResNet(nn.Module):
    """Residual network of basic blocks.

    Args:
        image_shape: (C, H, W) with H, W >= 8.
        n_classes: number of logits.
        widths: channels per stage; the last is D, the number of features.
        blocks: basic blocks per stage.

    Raises:
        BadInput: the data are not images of at least 8x8, or widths and blocks do not match.
    """

    def __init__(
        self, image_shape: Sequence[int], n_classes: int, widths: Sequence[int], blocks: Sequence[int]
    ) -> None:
        super().__init__()
        if len(image_shape) != 3 or min(image_shape[1:]) < 8:
            raise BadInput(f"model=resnet takes images (C, H, W) of at least 8x8, not {tuple(image_shape)}")
        if len(widths) != len(blocks) or min(*widths, *blocks) < 1:
            raise BadInput(
                f"model.widths={list(widths)}, model.blocks={list(blocks)}: one of each a stage, all >= 1"
            )
        stem = nn.Conv2d(image_shape[0], widths[0], 3, padding=1, bias=False)
        layers: list[nn.Module] = [stem, nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True)]
        c_in = widths[0]
        for stage, (c_out, n) in enumerate(zip(widths, blocks, strict=True)):
            for i in range(n):
                stride = 2 if stage and i == 0 else 1
                layers.append(_block(c_in, c_out, stride))
                c_in = c_out
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(c_in, n_classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, C, H, W) to logits (B, C) and features (B, D)."""
        h = self.body(x)
        return self.head(h), h


def _block(c_in: int, c_out: int, stride: int) -> nn.Module:
    # Imported here: it takes half a second, which runs of other networks need not pay.
    from torchvision.models.resnet import BasicBlock

    shortcut = None
    if stride != 1 or c_in != c_out:
        shortcut = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))
    block: nn.Module = BasicBlock(c_in, c_out, stride, shortcut)
    return block
