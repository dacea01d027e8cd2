"""Classifiers of a library of networks, by name: adapted to the images and classes of a task."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn.functional import interpolate

from hetal.errors import BadInput, describe_error
from hetal.models.features import WithFeatures, head_of, split_at
from hetal.models.weights import load_body, read_weights

CHANNELS = 3


class ByName(ABC):
    """Makes classifiers of one architecture for colour images; called as a network is, (image_shape, n_classes).

    A grey image is repeated to three equal channels, which is the same as to sum the first convolution over its
    channels. Images are standardised by their own data set, whatever `weights` were trained on. Nothing is downloaded.

    Args:
        name: of the architecture, as the library calls it.
        weights: a file that `hetal.models.weights` reads once; null draws random weights. The head is always random.
        resize: images are resized to this many pixels a side, bilinearly; null leaves them as they are.
        batch_norm_momentum: weight of a batch in the statistics of batch norm, in (0, 1]; null: the architecture's own,
            which some (0.01 in MobileNetV3, 0.0003 in MNASNet) have for trainings longer than a round of active
            learning: tested with statistics that are still near their start, they predict one class.

    Raises:
        BadInput: there is no such architecture, the file cannot be used, or a number is out of range.
    """

    library: str
    ignored: tuple[str, ...] = ()  # beginnings of names of weights that a file may hold in addition

    def __init__(
        self, name: str, weights: str | None, resize: int | None, batch_norm_momentum: float | None
    ) -> None:
        names = self.names()
        if name not in names:
            near = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
            mean = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names[:5])}, ..."
            raise BadInput(f"model.name={name}: {self.library} has no such classifier; {mean}")
        if resize is not None and resize < 1:
            raise BadInput(f"model.resize={resize}: must be at least 1, or null")
        if batch_norm_momentum is not None and not 0 < batch_norm_momentum <= 1:
            raise BadInput(f"model.batch_norm_momentum={batch_norm_momentum}: must be in (0, 1], or null")
        self._name = name
        self._momentum = batch_norm_momentum
        self._resize = resize
        self._file = weights
        self._weights = None if weights is None else self.renamed(read_weights(weights))

    @abstractmethod
    def names(self) -> list[str]:
        """Return the names of all architectures."""

    @abstractmethod
    def make(self, name: str, n_classes: int) -> nn.Module:
        """Return a network with random weights that maps (B, 3, H, W) to logits (B, C)."""

    def renamed(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return the weights of a file under the names that the library uses now."""
        return weights

    def __call__(self, image_shape: Sequence[int], n_classes: int) -> WithFeatures:
        """Return a fresh network.

        Raises:
            BadInput: the data are not grey or colour images, it cannot take their size, it has no linear head, or the
                weights are another architecture's.
        """
        setting = f"model.name={self._name}"
        if len(image_shape) != 3 or image_shape[0] not in (1, CHANNELS):
            raise BadInput(f"{setting}: takes images of 1 or 3 channels, (C, H, W), not {tuple(image_shape)}")
        shape = (CHANNELS, *(image_shape[1:] if self._resize is None else [self._resize] * 2))
        network = self.make(self._name, n_classes)
        if self._momentum is not None:
            for module in network.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.momentum = self._momentum
        try:
            head = head_of(network, shape)
        except BadInput as error:
            reason = str(error).removeprefix("model: ").partition(";")[0]
            raise BadInput(f"{setting}: {reason}; choose another") from None
        except Exception as error:
            raise BadInput(
                f"{setting}: fails on images of {shape[1]}x{shape[2]} ({describe_error(error)}); "
                "model.resize=SIDE resizes them, most classifiers take 224"
            ) from None
        if self._weights is not None:
            load_body(network, self._weights, head, f"model.weights={self._file}", self.ignored)
        whole = split_at(head, network)
        return WithFeatures(nn.Sequential(AsColour(self._resize), whole.body), whole.head, whole.name)


class AsColour(nn.Module):
    """Resize images, and repeat one channel to three.

    Args:
        side: pixels a side, or None.
    """

    def __init__(self, side: int | None) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 1 or 3, H, W) to (B, 3, H or side, W or side)."""
        if self.side is not None:
            shrinks = self.side < max(x.shape[-2:])
            x = interpolate(x, size=(self.side, self.side), mode="bilinear", antialias=shrinks)
        return x if x.shape[1] == CHANNELS else x.expand(-1, CHANNELS, -1, -1)
