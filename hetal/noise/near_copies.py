"""Near copies: class noise in which every copy is an image of its own, altered by pixel noise and a shift.

Exact copies are one point in every feature space, to which some strategies owe their immunity to class noise. With
images x of the rows of one class, drawn with replacement from its first T, and labels y uniform over the C classes, the
rows added are

    (clip(shift(x) + n), y), n ~ N(0, sigma^2) for each pixel, the shift uniform in -k..k along each axis.

With sigma = 0 and k = 0 these are the rows of `hetal.noise.class_noise`, to the bit.

Sources: class noise as in Khosla et al., "Understanding and Improving Neural Active Learning on Heteroskedastic
Distributions", ECAI 2023; copies with pixel noise after Repeated MNIST in Kirsch et al., "BatchBALD: Efficient and
Diverse Batch Acquisition for Deep Bayesian Active Learning", NeurIPS 2019 (arXiv 1906.08158), whose deviation of 0.1
after standardising is sigma = 7.9 of 255 grey levels. Departures from the latter: copies have random labels, and values
are clipped. Shifts are ours.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from hetal.noise.alterations import altered, check_shift, check_sigma
from hetal.noise.class_ import class_noise
from hetal.noise.pool import NoisyPool
from hetal.noise.rows import appended
from hetal.task import Examples


def near_copies_noise(
    train: Examples,
    n_classes: int,
    rng: torch.Generator,
    *,
    factor: float,
    noisy_class: int,
    n_templates: int,
    sigma: float,
    shift: int,
) -> NoisyPool:
    """Relabel one class uniformly at random, and add altered copies of its first images, with uniform random labels.

    All rows and labels are those of `hetal.noise.class_noise`; images of the class itself stay as they are. The right
    label of a copy is the class. In uint8, a small sigma leaves some copies equal to their template after rounding;
    they are images of their own all the same.

    Args:
        train: the clean rows.
        n_classes: labels are drawn from 0..n_classes-1.
        rng: CPU generator.
        factor: added rows per row of `train`, 0 or more, not necessarily whole.
        noisy_class: the class that is relabelled.
        n_templates: number of its rows that are copied; all if it has fewer.
        sigma: deviation of the pixel noise, in grey levels of 0..255; see `hetal.noise.alterations` for other data.
        shift: k, the largest shift in pixels; 0 for vectors.

    Raises:
        BadInput: a setting is out of range.
    """
    check_sigma(sigma)
    check_shift(shift, train)
    pool = class_noise(train, n_classes, rng, factor=factor, noisy_class=noisy_class, n_templates=n_templates)
    n, k = len(train), len(pool) - len(train)
    if k == 0 or (sigma == 0 and shift == 0):
        return pool
    copies = altered(train.images, pool.source_N[n:], rng, sigma=sigma, shift=shift)
    return replace(
        pool,
        images_M=appended(train.images, copies, k),
        source_N=torch.arange(n + k),
        true_N=torch.cat([train.labels, torch.full((k,), noisy_class)]),
    )
