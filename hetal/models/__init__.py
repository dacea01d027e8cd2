"""Networks, one a file. Each is called as `Network(image_shape, n_classes)` and maps images to (logits, features).

    forward(x: (B, *image_shape) float) -> logits (B, C), features (B, D)

Both are float32; `hetal.guard.network` checks every network before any training. `features` are the input of the last
linear layer, h in the papers.
"""

from hetal.models.ensemble import Ensemble, ensemble_of
from hetal.models.mlp import MLP
from hetal.models.resnet import ResNet
from hetal.models.vgg import VGG

__all__ = ["MLP", "VGG", "Ensemble", "ResNet", "ensemble_of"]
