"""Diverse noise: images of solid colours, each colour with a few classes among which its labels are random.

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
from hetal.noise.pool import NoisyPool
from hetal.noise.rows import check_integer, extend, n_noisy_rows
from hetal.task import Examples, extremes

# Each colour takes a row of memory for its classes.
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
    """Add `factor * len(train)` rows, each showing a random one of `n_colors` solid colours.

    Each colour has `labels_per_color` distinct random classes; a row's label is one of these at random.

    Args:
        train: the clean rows; their labels are kept.
        n_classes: classes of colours are drawn from 0..n_classes-1.
        rng: CPU generator.
        factor: noisy rows per clean row, 0 or more, not necessarily whole; with 0 the pool is clean.
        n_colors: number of distinct colours, see `draw_colors`.
        labels_per_color: number of classes per colour.

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
    # The first of a random permutation of the classes: distinct, and every subset equally likely.
    classes_of_color = torch.rand(n_colors, n_classes, generator=rng).argsort(dim=1)[:, :labels_per_color]
    color_of_row = torch.randint(n_colors, (k,), generator=rng)
    which_label = torch.randint(labels_per_color, (k,), generator=rng)
    # Images that no row shows are left out: strategies that work on images would count them.
    used, image_of_row = color_of_row.unique(return_inverse=True)

    def draw(rows: Tensor, rng: torch.Generator) -> Tensor:
        which = torch.randint(labels_per_color, (len(rows),), generator=rng)
        return classes_of_color[color_of_row[rows - len(train)], which]

    return extend(
        train,
        images=colors[used],
        source=len(train) + image_of_row,
        labels=classes_of_color[color_of_row, which_label],
        draw=draw,
    )


def draw_colors(like: Tensor, n: int, rng: torch.Generator) -> Tensor:
    """Draw `n` images of solid colours, or vectors, of the shape and dtype of those in `like`.

    An image has one random value per channel. In a (D,) vector, features may differ in scale, so each has its own
    random value, uniform between its smallest and largest value in `like`: no feature identifies noise by its size.

    Args:
        like: (m, C, H, W) or (m, D). uint8 colours are distinct, and for images uniform over 0..255 per channel; float
            colours of images are uniform between the smallest and largest value in `like`.
        n: number of colours.
        rng: CPU generator.

    Returns:
        (n, C, H, W) or (n, D), of the dtype of `like`.

    Raises:
        BadInput: there are fewer than `n` distinct uint8 colours.
    """
    n_channels = like.shape[1]
    if like.is_floating_point():
        low, high = extremes(like)
        if like.dim() == 4:
            low, high = low.min(), high.max()
        # Interpolated, since high - low may overflow. Equal draws are not excluded, since they are very unlikely.
        share = torch.rand(n, n_channels, generator=rng)
        colors = (low * (1 - share) + high * share).clamp(low, high)
    elif like.dim() == 4:
        if n > 256**n_channels:
            raise BadInput(f"noise.n_colors={n}: {n_channels}-channel images have {256**n_channels} colours")
        colors = _distinct(lambda k: torch.randint(256, (k, n_channels), generator=rng), n)
    else:
        low, high = (bound.long() for bound in extremes(like))
        levels = high - low + 1
        if n > (n_vectors := math.prod(levels.tolist())):
            raise BadInput(
                f"noise.n_colors={n}: between the extremes of these features are {n_vectors} vectors"
            )
        draw = partial(torch.rand, generator=rng, dtype=torch.float64)
        colors = _distinct(lambda k: low + (draw(k, n_channels) * levels).long(), n)
    solid = colors.to(like.dtype).reshape(n, n_channels, *[1] * (like.dim() - 2))
    return solid.expand(n, *like.shape[1:])


def _distinct(draw: Callable[[int], Tensor], n: int) -> Tensor:
    """Draw `n` distinct rows: rows that equal an earlier one are drawn again."""
    rows = draw(n)
    while bool((is_repeat := _is_repeat(rows)).any()):
        rows[is_repeat] = draw(int(is_repeat.sum()))
    return rows


def _is_repeat(rows: Tensor) -> Tensor:
    """Return (n,) bool: whether each row equals an earlier one."""
    distinct, group = torch.unique(rows, dim=0, return_inverse=True)
    position = torch.arange(len(rows))
    first = torch.full((len(distinct),), len(rows)).scatter_reduce(0, group, position, "amin")
    return first[group] != position
