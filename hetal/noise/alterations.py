"""Altered copies of images: pixel noise, and shifts by a few pixels; what near copies and redundant rows show.

In uint8 images sigma is in grey levels of 0..255. In float images, and in vectors of any type, a unit of it is 1/255 of
the range of values that a channel or feature has in the data. Values are rounded to whole ones in uint8, and clipped to
that range (0..255 in uint8 images), so that no value alone tells a copy from the data. Noise is drawn in float32.

A shift moves the whole image by whole pixels, those at the border being repeated into what it leaves free.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from hetal.errors import BadInput
from hetal.machine.scratch import at_once
from hetal.noise.rows import check_integer
from hetal.rng import draw_seed
from hetal.task import Examples, extremes

#: With a larger sigma, as from 10^4 on, pixels are black or white at random; it is most likely a typing mistake.
MAX_SIGMA = 10**6


def check_sigma(sigma: float) -> None:
    """Refuse a sigma that is not a number in 0..`MAX_SIGMA`.

    Raises:
        BadInput: naming the setting, its value and what is allowed.
    """
    is_number = isinstance(sigma, (int, float)) and not isinstance(sigma, bool)
    if not (is_number and 0 <= sigma <= MAX_SIGMA):
        raise BadInput(f"noise.sigma={sigma}: must be a number in 0..{MAX_SIGMA}, in grey levels of 0..255")


def check_shift(shift: int, train: Examples) -> None:
    """Refuse a shift that moves an image out of its frame, and any of vectors.

    Raises:
        BadInput: naming the setting, its value and what is allowed.
    """
    if train.images.dim() == 2:
        check_integer("noise.shift", shift, low=0, high=0, why="as vectors have no pixels to shift")
        return
    height, width = train.images.shape[2:]
    why = f"as images have {height} x {width} pixels"
    check_integer("noise.shift", shift, low=0, high=min(height, width) - 1, why=why)


def altered(
    images: Tensor, shown: Tensor, rng: torch.Generator, *, sigma: float, shift: int = 0
) -> Iterator[Tensor]:
    """Yield an altered copy of each of `images[shown]`, many at once.

    With one seed the noise of a copy is proportional to sigma, whatever the shift.

    Args:
        images: (m, C, H, W) or (m, D), perhaps mapped from disk.
        shown: (k,) int64, the image that each copy shows.
        rng: CPU generator.
        sigma: standard deviation of the noise of each pixel, see above; 0: none.
        shift: largest shift along each axis, in pixels; each copy has its own, uniform in -shift..shift; 0: none.
    """
    # By numpy, whose normal numbers are the same on every processor, and do not depend on how many are drawn at once.
    pixels = np.random.Generator(np.random.PCG64(draw_seed(rng)))
    moves = (
        torch.randint(-shift, shift + 1, (len(shown), 2), generator=rng, dtype=torch.int16) if shift else None
    )
    low, high, unit = _scale(images) if sigma else (torch.empty(0),) * 3
    at, done = at_once(images), 0
    for ids in shown.split(at):
        copies = images.index_select(0, ids)
        if moves is not None:
            copies = _shifted(copies, moves[done : done + len(ids)].long())
        if sigma:
            noise = torch.from_numpy(pixels.standard_normal(tuple(copies.shape), dtype=np.float32))
            # Where the range is close to the largest float32, a sum may be infinite, and is clipped like others.
            values = noise.mul_((unit * sigma).clamp(max=torch.finfo(torch.float32).max)).add_(copies)
            if images.dtype == torch.uint8:
                values.round_()
            copies = values.clamp_(low, high).to(images.dtype)
        done += len(ids)
        yield copies


def _scale(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the lowest and the highest value, and what is one grey level, all float32 that broadcast to images."""
    if images.dtype == torch.uint8 and images.dim() == 4:
        return torch.tensor(0.0), torch.tensor(255.0), torch.tensor(1.0)
    shape = (1, -1, *[1] * (images.dim() - 2))
    low, high = (bound.double().view(shape) for bound in extremes(images))
    return low.float(), high.float(), ((high - low) / 255).float()


def _shifted(images: Tensor, moves: Tensor) -> Tensor:
    """Return images (k, C, H, W) moved down and right by `moves` (k, 2) int64 pixels."""
    height, width = images.shape[2:]
    rows = (torch.arange(height) - moves[:, :1]).clamp(0, height - 1)
    columns = (torch.arange(width) - moves[:, 1:]).clamp(0, width - 1)
    down = images.gather(2, rows[:, None, :, None].expand_as(images))
    return down.gather(3, columns[:, None, None, :].expand_as(images))
