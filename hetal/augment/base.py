"""Base class of augmentations: a random change of stored images and, optionally, of the standardised ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from hetal.errors import BadInput

# Far more operations than leave anything of an image.
MOST_OPS = 100


class Augmentation(ABC):
    """Random changes of a batch of training images, with separate draws for each image.

    Training computes `after(standardise(augment(images_B, rng)), rng)`. The constructor of a subclass takes
    hyperparameters only; `check` refuses those out of range, since it knows the name of the setting.
    """

    @abstractmethod
    def __call__(self, images_B: Tensor, rng: torch.Generator) -> Tensor:
        """Return augmented copies of stored images: (B, C, H, W) uint8, on the images' device.

        Args:
            images_B: (B, C, H, W) uint8, on any device; not changed.
            rng: CPU generator, the only source of randomness, so that the result does not depend on the device.
        """

    def after(self, x_B: Tensor, rng: torch.Generator) -> Tensor:
        """Return what the network is trained on; here, `x_B` itself.

        Args:
            x_B: (B, C, H, W) float32, the augmented images, standardised; may be changed in place.
            rng: as above.
        """
        return x_B

    def check(self, image_shape: tuple[int, ...], dtype: torch.dtype, setting: str) -> None:
        """Refuse, before any training, images that cannot be augmented and hyperparameters out of range.

        Args:
            image_shape: shape of one image, such as (3, 32, 32).
            dtype: of the stored images.
            setting: that chose this augmentation, such as "train.augment", for messages.

        Raises:
            BadInput: names the setting; images must be uint8 of shape (1, H, W) or (3, H, W).
        """
        if dtype != torch.uint8 or len(image_shape) != 3 or image_shape[0] not in (1, 3) or 0 in image_shape:
            raise BadInput(
                f"{setting}: augmentation takes uint8 images of shape (1, H, W) or (3, H, W), "
                f"not {dtype} of shape {image_shape}; set {setting}=null to train without it"
            )

    def _check_numbers(self, setting: str, shares: Mapping[str, float]) -> None:
        """Check `n_ops`, where there is one, and the shares named, each against its largest value."""
        n_ops = getattr(self, "n_ops", 0)
        if not isinstance(n_ops, int) or not 0 <= n_ops <= MOST_OPS:
            raise BadInput(f"{setting}.n_ops={n_ops}: must be a whole number in 0..{MOST_OPS}")
        for name, most in shares.items():
            if not 0 <= getattr(self, name) <= most:
                raise BadInput(f"{setting}.{name}={getattr(self, name)}: must be in 0..{most:g}")
