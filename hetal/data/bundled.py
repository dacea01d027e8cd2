"""Data sets that scikit-learn brings, as vectors with named classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch

from hetal.data.sets import task_of
from hetal.data.split import test_rows
from hetal.task import Task


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
    labels = torch.from_numpy(found.target).long()
    return task_of(
        torch.from_numpy(found.data).float(),
        labels,
        test_rows(labels, test_share),
        n_train=n_train,
        rng=rng,
        standardise=standardise,
        class_names=tuple(map(str, found.target_names)),
    )
