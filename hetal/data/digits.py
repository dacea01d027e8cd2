"""Digits: the 1,797 handwritten digits of scikit-learn, 8x8, grey, ten classes; no download.

Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI repository, its test set.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from sklearn import datasets

from hetal.task import Examples, Task, per_channel, stratified

N_TEST = 500


def load_digits(
    n_train: int | None, mean: Sequence[float], std: Sequence[float], rng: torch.Generator
) -> Task:
    """Load 1,297 training and 500 test digits, (n, 1, 8, 8) uint8.

    The grey levels 0..16 are scaled to 0..255 and rounded. The split is the same for every seed: the digits are sorted
    by class and the test set is 500 of them at equal steps, so that it is stratified.

    Args:
        n_train: size of the class-stratified training subset; None takes all.
        mean, std: of the grey levels, in 0..255.
        rng: draws the subset.

    Raises:
        BadInput: `n_train` is out of range.
    """
    digits = datasets.load_digits()
    images = torch.from_numpy(digits.images).mul(255 / 16).round().to(torch.uint8).unsqueeze(1)
    everything = Examples(images, torch.from_numpy(digits.target).long())
    by_class = everything.labels.argsort(stable=True)
    in_test = torch.zeros(len(everything), dtype=torch.bool)
    in_test[by_class[(torch.arange(N_TEST) * 2 + 1) * len(everything) // (2 * N_TEST)]] = True
    train = everything[~in_test]
    return Task(
        train=train[stratified(train.labels, n_train, rng)],
        test=everything[in_test],
        n_classes=10,
        mean=per_channel("data.mean", mean),
        std=per_channel("data.std", std),
    )
