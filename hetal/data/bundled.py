"""Data sets that scikit-learn brings, as vectors with named classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch

from hetal.data.split import test_rows
from hetal.data.standardise import statistics
from hetal.task import Examples, Task, stratified


def load_bundled(
    source: Callable[..., Any],
    test_share: float,
    standardise: Literal["feature", "all", "none"],
    n_train: int | None,
    rng: torch.Generator,
) -> Task:
    """Load (n, D) float32 vectors.

    Args:
        source: a function such as `sklearn.datasets.load_wine`.
        test_share: of each class, drawn as test set; the same rows at every seed.
        standardise: by the mean and deviation of each "feature", of "all", or "none".
        n_train: size of the class-stratified training subset; None takes all.
        rng: draws the subset.

    Raises:
        BadInput: `test_share` or `n_train` is out of range.
    """
    found = source()
    everything = Examples(torch.from_numpy(found.data).float(), torch.from_numpy(found.target).long())
    is_test = test_rows(everything.labels, test_share)
    train = everything[~is_test]
    mean, std = statistics(train.images, standardise)
    return Task(
        train=train[stratified(train.labels, n_train, rng)],
        test=everything[is_test],
        n_classes=len(found.target_names),
        mean=mean,
        std=std,
        class_names=tuple(map(str, found.target_names)),
    )
