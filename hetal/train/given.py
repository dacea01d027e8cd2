"""Features that the data bring along, beside those that a network learns: readable before any training."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from hetal.machine.scratch import at_once, stacked


def given_features(images_M: Tensor, prepare: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the given features of stored images: standardised as networks get them, and flattened.

    Args:
        images_M: (M, *image_shape) as stored.
        prepare: standardises them.

    Returns:
        (M, D) float32, where D is the number of values of an image.
    """
    parts = images_M.split(at_once(images_M))
    return stacked((prepare(part).flatten(1) for part in parts), len(images_M))
