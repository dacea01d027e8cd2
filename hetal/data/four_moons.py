"""Four-Moons: points of four half-moons in the plane, small enough for a CPU.

Source: Figure 1 of Khosla et al., "Understanding and Improving Neural Active Learning on Heteroskedastic
Distributions", ECAI 2023. Its noise is `noise=copies mult=x1.5`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.datasets import make_moons

from hetal.errors import BadInput
from hetal.task import Examples, Task, per_channel, stratified

MAX_POINTS = 10**7


def load_four_moons(
    n_per_pair: int,
    jitter: float,
    point_seed: int,
    n_train: int | None,
    mean: Sequence[float],
    std: Sequence[float],
    rng: torch.Generator,
) -> Task:
    """Draw two pairs of half-moons, (2 * n_per_pair, 2) float32; the second pair is 4 to the right, with labels + 2.

    As in the published script, the second pair is the first one shifted, the points do not depend on the seed of the
    run, and the test set is the clean training set.

    Args:
        n_per_pair: points of one pair, half of them in each moon.
        jitter: standard deviation of the Gaussian added to each coordinate.
        point_seed: numpy seed of the points.
        n_train: size of the class-stratified training subset; None takes all. The test set has all points.
        mean, std: of each coordinate.
        rng: draws the subset.

    Raises:
        BadInput: `n_per_pair`, `jitter`, `point_seed` or `n_train` is out of range.
    """
    try:
        if not 2 <= n_per_pair <= MAX_POINTS:
            raise ValueError("too few points for two moons, or more than memory holds")
        points, labels = make_moons(n_per_pair, noise=jitter, random_state=point_seed)
    except (TypeError, ValueError) as error:
        raise BadInput(
            f"data.n_per_pair={n_per_pair}, data.jitter={jitter}, data.point_seed={point_seed}: must be "
            f"a whole number in 2..{MAX_POINTS}, a number >= 0 and a whole number in 0..{2**32 - 1}"
        ) from error
    both = np.concatenate([points, points + np.array([4.0, 0.0])])
    test = Examples(
        torch.from_numpy(both).float(), torch.from_numpy(np.concatenate([labels, labels + 2])).long()
    )
    train = test[stratified(test.labels, n_train, rng)]
    return Task(
        train, test, n_classes=4, mean=per_channel("data.mean", mean), std=per_channel("data.std", std)
    )
