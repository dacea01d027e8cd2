"""Ambiguous images: mixtures of two images of different classes, labelled as either of them at random.

With a row (x, y) drawn uniformly, (x', y') uniformly among the rows of other classes, and a share a uniform in [l, h],
each row added shows

    a x + (1 - a) x', with the label y with probability a, else y'.

Such noise is in the image itself: no number of labels of such images tells which one the next has. The right label is
the more probable one, y for a >= 1/2.

Source: Ambiguous-MNIST in Mukhoti, Kirsch, van Amersfoort, Torr and Gal, "Deep Deterministic Uncertainty: A New Simple
Baseline", 2021 (arXiv 2102.11582). Departures: there, images are decoded between two points in the latent space of an
autoencoder and have labels drawn from the predictions of networks; here, they are mixed pixel by pixel, as in Zhang et
al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018 (arXiv 1710.09412), so that the probability of each label is
known for any data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from hetal.errors import BadInput
from hetal.machine.scratch import at_once
from hetal.noise.pool import NoisyPool
from hetal.noise.rows import appended, extend, n_noisy_rows
from hetal.task import Examples


def ambiguous_noise(
    train: Examples, n_classes: int, rng: torch.Generator, *, factor: float, mix: Sequence[float]
) -> NoisyPool:
    """Add `factor * len(train)` rows, each showing a mixture of two images of different classes.

    Args:
        train: the clean rows; their labels are kept.
        n_classes: number of classes.
        rng: CPU generator.
        factor: added rows per row of `train`, 0 or more, not necessarily whole.
        mix: [l, h], the bounds of a.

    Raises:
        BadInput: `factor` or `mix` is out of range, or all rows are of one class.
    """
    k = n_noisy_rows(len(train), factor)
    low, high = _bounds(mix)
    first, second = _pairs(train.labels, n_classes, k, rng)
    share = (low + (high - low) * torch.rand(k, generator=rng, dtype=torch.float64)).float()
    # Numbers of classes in 4 bytes, as they are kept for labels that are drawn anew.
    y, other = (train.labels[rows].int() for rows in (first, second))

    def drawn(which: Tensor | slice, rng: torch.Generator) -> Tensor:
        a = share[which]
        return torch.where(torch.rand(len(a), generator=rng) < a, y[which], other[which]).long()

    pool = extend(
        train,
        images=train.images[:0],
        source=torch.arange(len(train), len(train) + k),
        labels=drawn(slice(None), rng),
        draw=lambda rows, rng: drawn(rows - len(train), rng),
        true=torch.where(share >= 0.5, y, other),
    )
    if k == 0:
        return pool
    return replace(pool, images_M=appended(train.images, _mixed(train.images, first, second, share), k))


def _bounds(mix: Sequence[float]) -> tuple[float, float]:
    is_list = isinstance(mix, Sequence) and len(mix) == 2
    numbers = [a for a in mix if isinstance(a, (int, float)) and not isinstance(a, bool)] if is_list else []
    if not (len(numbers) == 2 and 0 <= numbers[0] <= numbers[1] <= 1):
        raise BadInput(
            f"noise.mix={mix}: must be two numbers in 0..1, the smaller one first, such as [0.3,0.7]"
        )
    return numbers[0], numbers[1]


def _pairs(labels: Tensor, n_classes: int, k: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw k rows, and for each of them a row of another class, both (k,) int64.

    Raises:
        BadInput: all rows are of one class.
    """
    count_C = torch.bincount(labels, minlength=n_classes)
    if k and int((count_C > 0).sum()) < 2:
        raise BadInput(
            f"noise: ambiguous images need rows of two classes, and all are of class {int(labels[0])}"
        )
    by_class, start_C = labels.argsort(stable=True), count_C.cumsum(0) - count_C
    first = torch.randint(len(labels), (k,), generator=rng)
    y = labels[first]
    n_others = len(labels) - count_C[y]
    # Of all rows in order of their classes, but for the class of the first.
    place = (torch.rand(k, generator=rng, dtype=torch.float64) * n_others).long()
    return first, by_class[torch.where(place >= start_C[y], place + count_C[y], place)]


def _mixed(images: Tensor, first: Tensor, second: Tensor, share: Tensor) -> Iterator[Tensor]:
    """Yield `share * images[first] + (1 - share) * images[second]`, many at once."""
    at = at_once(images)
    for i, j, a in zip(first.split(at), second.split(at), share.split(at), strict=True):
        x, other = images.index_select(0, i).float(), images.index_select(0, j).float()
        a = a.view(-1, *[1] * (images.dim() - 1))
        # Between the two, also where a sum is not exact.
        mixed = (a * x + (1 - a) * other).clamp(torch.minimum(x, other), torch.maximum(x, other))
        yield (mixed.round() if images.dtype == torch.uint8 else mixed).to(images.dtype)
