"""Symmetric label noise: labels are replaced by uniform ones, whatever the class.

Source: Patrini et al., "Making Deep Neural Networks Robust to Label Noise", CVPR 2017 (arXiv 1609.03683). With a rate
e and C classes, the probability of the label j of a row of class i is

    exclusive: e / (C - 1) for j != i, and 1 - e for j = i;
    inclusive: e / C for j != i, and 1 - e + e / C for j = i, so that e (C - 1) / C of the labels are wrong.

Papers call either of them symmetric noise of rate e.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.noise.pool import NoisyPool
from hetal.noise.rows import check_share, in_place
from hetal.task import Examples


def symmetric_noise(
    train: Examples, n_classes: int, rng: torch.Generator, *, rate: float, inclusive: bool
) -> NoisyPool:
    """Give a random share of the rows a uniform label.

    Rows with a drawn label are noisy; with `inclusive`, one in C of these is right.

    Args:
        train: the clean rows.
        n_classes: number of classes, C.
        rng: CPU generator.
        rate: e, the probability that the label of a row is drawn, in [0, 1].
        inclusive: whether it is drawn among all classes, or else among the others.

    Raises:
        BadInput: `rate` is out of range.
    """
    check_share("noise.rate", rate)

    def draw(rows: Tensor, rng: torch.Generator) -> Tensor:
        return _drawn(train.labels[rows], n_classes, rng, rate, inclusive)[0]

    labels, is_noisy = _drawn(train.labels, n_classes, rng, rate, inclusive)
    return in_place(train, labels, is_noisy, draw)


def _drawn(
    labels: Tensor, n_classes: int, rng: torch.Generator, rate: float, inclusive: bool
) -> tuple[Tensor, Tensor]:
    """Return labels, and which of them were drawn."""
    is_drawn = torch.rand(len(labels), generator=rng, dtype=torch.float64) < rate
    if inclusive:
        other = torch.randint(n_classes, labels.shape, generator=rng)
    else:
        other = (labels + torch.randint(1, n_classes, labels.shape, generator=rng)) % n_classes
    return torch.where(is_drawn, other, labels), is_drawn
