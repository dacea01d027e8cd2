"""Features that the data bring along, beside those that a network learns: readable before any training."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hetal.machine.scratch import at_once, stacked


def given_features(
    images_M: Tensor, prepare: Callable[[Tensor], Tensor], given_M: Tensor | None = None
) -> Tensor:
    """Return the given features of stored images: those by an encoder, else the images, standardised and flattened.

    Args:
        images_M: (M, *image_shape) as stored.
        prepare: standardises them.
        given_M: (M, D) features that came with the data; None where none did.

    Returns:
        (M, D) float32, where D is the number of values of an image if none came with the data.
    """
    if given_M is not None:
        return stacked((part.to(torch.float32) for part in given_M.split(at_once(given_M))), len(given_M))
    parts = images_M.split(at_once(images_M))
    return stacked((prepare(part).flatten(1) for part in parts), len(images_M))
