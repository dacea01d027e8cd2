"""Mean and standard deviation by which networks get their inputs standardised: per feature, for all alike, or none."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from hetal.errors import BadInput

CHOICES = ("feature", "all", "none")

# Numbers in float64 at a time, of large images.
NUMBERS_AT_ONCE = 2**24

Statistics = tuple[tuple[float, ...], tuple[float, ...]]


def statistics(images: Tensor, how: str) -> Statistics:
    """Return the mean and the standard deviation to standardise with.

    Args:
        images: (n, C, H, W) images or (n, D) vectors, of any number type; read in slices, so they may be
            mapped from disk.
        how: "feature": one mean and deviation per feature of vectors, or per channel of images, as for tables, whose
            columns have units of their own. "all": one of each for all values, as for features of an encoder or a
            PCA, whose scales tell how much they matter. "none": 0 and 1.

    Returns:
        The means and the deviations, of one value or one per feature or channel; a deviation of 0, or too small to
        divide by in float32, is 1.

    Raises:
        BadInput: `how` is none of these.
    """
    if how not in CHOICES:
        raise BadInput(f"data.standardise={how}: must be {', '.join(CHOICES[:-1])} or {CHOICES[-1]}")
    if how == "none":
        return (0.0,), (1.0,)
    mean_D, square_D = _moments(images)
    if how == "all":
        # The variance of all values: within features, and of the features' means.
        mean = mean_D.mean()
        square_D, mean_D = (square_D + (mean_D - mean).square()).mean(0, keepdim=True), mean.reshape(1)
    std_D = square_D.sqrt()
    std_D = torch.where(std_D > 1e-30, std_D, 1.0)
    return tuple(mean_D.tolist()), tuple(std_D.tolist())


def _moments(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the variance per feature or channel, float64, in two passes over slices."""
    others = [axis for axis in range(images.dim()) if axis != 1]
    count = images.numel() // images.shape[1]
    mean_D = sum(part.sum(others) for part in _slices(images)) / torch.tensor(count).double()
    centred = mean_D.reshape(-1, *[1] * (images.dim() - 2))
    squares_D = sum((part - centred).square().sum(others) for part in _slices(images))
    return mean_D, squares_D / torch.tensor(count).double()


def _slices(images: Tensor) -> Iterator[Tensor]:
    """Yield the images in float64, slice by slice: all at once would take eight times the memory of uint8."""
    rows = min(4096, max(1, NUMBERS_AT_ONCE // max(1, images[0].numel())))
    for part in torch.split(images, rows):
        yield part.double()
