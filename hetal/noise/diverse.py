"""Diverse noise: solid colours, each of which may mean one of a few classes.

Source: Khosla et al., "Understanding and Improving Neural Active Learning on Heteroskedastic
Distributions", ECAI 2023.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from hetal.errors import BadInput
from hetal.noise.pool import NoisyPool, check_integer, extend, n_noisy_rows
from hetal.task import Examples

# Each colour has a list of the classes it may mean.
MAX_COLORS = 10**6


def diverse_noise(
    train: Examples,
    n_classes: int,
    rng: torch.Generator,
    *,
    factor: float,
    n_colors: int,
    labels_per_color: int,
) -> NoisyPool:
    """Add `factor * len(train)` rows, each showing one of `n_colors` solid colours at random.

    Each colour owns `labels_per_color` distinct random classes; a row's label is one of those, at random.

    Args:
        train: the clean rows; their labels stay.
        n_classes: the classes that colours draw theirs from.
        rng: CPU generator.
        factor: noisy rows per clean row, a fraction or more; at 0 the pool is clean.
        n_colors: how many distinct colours there are, as in `draw_colors`.
        labels_per_color: how many classes a colour may mean.

    Raises:
        BadInput: `factor`, `n_colors` or `labels_per_color` is out of range.
    """
    k = n_noisy_rows(len(train), factor)
    check_integer("noise.n_colors", n_colors, low=1, high=MAX_COLORS)
    check_integer(
        "noise.labels_per_color",
        labels_per_color,
        low=1,
        high=n_classes,
        why=f"as the data have {n_classes} classes",
    )
    colors = draw_colors(train.images, n_colors, rng)
    # The first few of a random order of the classes: distinct, and every subset equally likely.
    owned = torch.rand(n_colors, n_classes, generator=rng).argsort(dim=1)[:, :labels_per_color]
    color_of_row = torch.randint(n_colors, (k,), generator=rng)
    which_label = torch.randint(labels_per_color, (k,), generator=rng)
    # An image that no row shows is not in the pool: strategies that go by images would reckon with it.
    used, image_of_row = color_of_row.unique(return_inverse=True)
    return extend(
        train,
        images=colors[used],
        source=len(train) + image_of_row,
        labels=owned[color_of_row, which_label],
    )


def draw_colors(like: Tensor, n: int, rng: torch.Generator) -> Tensor:
    """Draw `n` solid images, or vectors, shaped and typed like those of `like`.

    An image is one random value a channel (a grey level where there is one channel). A (D,) vector has no channels,
    and its features may differ in scale by any factor: each has a random value of its own, uniform between its least
    and its greatest value in `like`. So no feature tells by its size that a row is noise.

    Args:
        like: (m, C, H, W) or (m, D). uint8 colours are distinct, those of images uniform over 0..255 per channel;
            float colours of images are uniform between the least and the greatest value in `like`.
        n: how many.
        rng: CPU generator.

    Returns:
        (n, C, H, W) or (n, D), of the type of `like`.

    Raises:
        BadInput: there are fewer than `n` distinct uint8 colours.
    """
    n_channels = like.shape[1]
    if like.is_floating_point():
        low, high = like.aminmax() if like.dim() == 4 else like.aminmax(dim=0)
        # Interpolated, since high - low may overflow. Equal draws are too rare to matter and not excluded.
        share = torch.rand(n, n_channels, generator=rng)
        colors = (low * (1 - share) + high * share).clamp(low, high)
    elif like.dim() == 4:
        if n > 256**n_channels:
            raise BadInput(f"noise.n_colors={n}: {n_channels}-channel images have {256**n_channels} colours")
        colors = _distinct(lambda k: torch.randint(256, (k, n_channels), generator=rng), n)
    else:
        low, high = (bound.long() for bound in like.aminmax(dim=0))
        levels = high - low + 1
        if n > (there := math.prod(levels.tolist())):
            raise BadInput(f"noise.n_colors={n}: between the extremes of these features are {there} vectors")
        draw = partial(torch.rand, generator=rng, dtype=torch.float64)
        colors = _distinct(lambda k: low + (draw(k, n_channels) * levels).long(), n)
    solid = colors.to(like.dtype).reshape(n, n_channels, *[1] * (like.dim() - 2))
    return solid.expand(n, *like.shape[1:])


def _distinct(draw: Callable[[int], Tensor], n: int) -> Tensor:
    """Draw `n` rows, those that equal an earlier one again until none does."""
    rows = draw(n)
    while bool((again := _is_repeat(rows)).any()):
        rows[again] = draw(int(again.sum()))
    return rows


def _is_repeat(rows: Tensor) -> Tensor:
    """Return (n,) bool: the row equals an earlier one."""
    distinct, group = torch.unique(rows, dim=0, return_inverse=True)
    position = torch.arange(len(rows))
    first = torch.full((len(distinct),), len(rows)).scatter_reduce(0, group, position, "amin")
    return first[group] != position
