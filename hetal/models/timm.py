"""Classifiers of the package timm, by name."""

from __future__ import annotations

from torch import nn

from hetal.errors import BadInput
from hetal.models.by_name import ByName


class Timm(ByName):
    """Makes a classifier of timm; settings as of `hetal.models.by_name.ByName`.

    Raises:
        BadInput: timm is not installed; or as `ByName`.
    """

    library = "timm"

    def names(self) -> list[str]:
        """Return the names of all architectures."""
        try:
            import timm
        except ImportError:
            raise BadInput("model=timm needs the package timm: pip install 'hetal[timm]'") from None
        names: list[str] = timm.list_models()
        return names

    def make(self, name: str, n_classes: int) -> nn.Module:
        """Return a network with random weights."""
        import timm

        network: nn.Module = timm.create_model(name, pretrained=False, num_classes=n_classes)
        return network
