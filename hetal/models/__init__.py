"""Networks, one a file. Each is called as `Network(image_shape, n_classes)` and maps images to (logits, features).

    forward(x: (B, *image_shape) float) -> logits (B, C), features (B, D)

Both are float32; `hetal.guard.network` checks every network before any training. `features` are the input of the last
linear layer, h in the papers, and `network.head` is that layer. `with_features` makes a network that returns logits
return both.
"""

from hetal.models.ensemble import Ensemble, ensemble_of
from hetal.models.features import WithFeatures, with_features
from hetal.models.linear import Linear
from hetal.models.mlp import MLP
from hetal.models.resnet import ResNet
from hetal.models.timm import Timm
from hetal.models.torchvision import TorchVision
from hetal.models.vgg import VGG
from hetal.models.wide_resnet import WideResNet

__all__ = [
    "MLP",
    "VGG",
    "Ensemble",
    "Linear",
    "ResNet",
    "Timm",
    "TorchVision",
    "WideResNet",
    "WithFeatures",
    "ensemble_of",
    "with_features",
]
