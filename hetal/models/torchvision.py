"""Classifiers of torchvision, by name."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn

from hetal.models.by_name import ByName

# Networks that have auxiliary classifiers unless told otherwise.
WITH_AUXILIARY = ("googlenet", "inception_v3")


class TorchVision(ByName):
    """Makes a classifier of torchvision; settings as of `hetal.models.by_name.ByName`."""

    library = "torchvision"
    ignored = ("AuxLogits.", "aux1.", "aux2.")

    def names(self) -> list[str]:
        """Return the names of all architectures for classification of images."""
        import torchvision

        names: list[str] = torchvision.models.list_models(module=torchvision.models)
        return names

    def make(self, name: str, n_classes: int) -> nn.Module:
        """Return a network with random weights, without auxiliary classifiers."""
        import torchvision

        off = {"aux_logits": False, "init_weights": True} if name in WITH_AUXILIARY else {}
        network: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=n_classes, **off)
        return network

    def renamed(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return the weights of a file under today's names: published DenseNets have `norm.1` for `norm1`."""
        return {
            re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", k): v for k, v in weights.items()
        }
