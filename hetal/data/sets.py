"""Rows with labels as a task: a test set given or drawn, and what networks standardise by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hetal.data.labels import encode_labels
from hetal.data.split import test_rows
from hetal.data.standardise import statistics
from hetal.errors import BadInput
from hetal.task import Examples, Task, per_channel, stratified


@dataclass(frozen=True)
class Split:
    """Labels of the rows of a training and a test set.

    Attributes:
        labels: (n,) int64 in 0..C-1.
        is_test: (n,) bool.
        names: of the C classes.
        notes: on how labels were mapped and rows split.
    """

    labels: Tensor
    is_test: Tensor
    names: tuple[str, ...]
    notes: tuple[str, ...]


def split_rows(
    values: NDArray[np.generic], is_test: Tensor | None, test_share: float, train_name: str, test_name: str
) -> Split:
    """Map labels to classes, and draw test rows where they are not given.

    Args:
        values: (n,) labels, see `encode_labels`.
        is_test: (n,) bool; None draws them.
        test_share: share of each class to draw, see `test_rows`.
        train_name, test_name: of the two sets, for messages; where test rows are drawn, the first is that of all.

    Raises:
        BadInput: as `encode_labels` and `test_rows`.
    """
    if is_test is None:
        encoded = encode_labels(values, values, train_name, train_name)
        labels = encoded.train
        is_test = test_rows(labels, test_share)
        notes = [
            f"{int(is_test.sum()):,} of {len(labels):,} rows, {test_share:.3g} of each class, are the test set"
        ]
    else:
        where = is_test.numpy()
        encoded = encode_labels(values[~where], values[where], train_name, test_name)
        labels, notes = torch.empty(len(values), dtype=torch.int64), []
        labels[~is_test], labels[is_test] = encoded.train, encoded.test
    return Split(labels, is_test, encoded.names, (*notes, *[encoded.note] * bool(encoded.note)))


def task_of(
    inputs: Tensor,
    labels: Tensor,
    is_test: Tensor,
    *,
    n_train: int | None,
    rng: torch.Generator,
    standardise: str,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    class_names: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Task:
    """Return the task of rows that are all in memory.

    Args:
        inputs: (n, ...) images or vectors.
        labels: (n,) int64 in 0..C-1.
        is_test: (n,) bool.
        n_train: size of the class-stratified training subset; None takes all.
        rng: draws the subset.
        standardise: see `hetal.data.standardise.statistics`; computed over all training rows, before `n_train`.
        mean, std: per channel or feature, instead of what `standardise` gives; None for that.
        class_names, notes: of the task.

    Raises:
        BadInput: `n_train`, `standardise`, `mean` or `std` is out of range.
    """
    everything = Examples(inputs, labels)
    train = everything[~is_test]
    computed_mean, computed_std = statistics(train.images, standardise)
    return Task(
        train=train if n_train is None else train[stratified(train.labels, n_train, rng)],
        test=everything[is_test],
        n_classes=int(labels.max()) + 1,
        mean=computed_mean if mean is None else per_channel("data.mean", mean),
        std=computed_std if std is None else per_channel("data.std", std),
        class_names=tuple(class_names),
        notes=tuple(notes),
    )


def named(setting: str, fault: BadInput) -> BadInput:
    """Return a fault whose message begins with a setting: with `setting` unless it names one already."""
    return fault if str(fault).startswith("data.") else BadInput(f"{setting}: {fault}")
