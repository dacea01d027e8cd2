"""Rows with labels of any type, as a training and a test set of examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hetal.data.labels import Labels, encode_labels
from hetal.data.split import test_rows
from hetal.task import Examples


def two_sets(
    inputs: Tensor, values: NDArray[Any], in_test: Tensor | None, test_share: float, names: tuple[str, str]
) -> tuple[Examples, Examples, Labels, list[str]]:
    """Return the training set, the test set, the labels of both, and notes on how labels were mapped and rows split.

    Args:
        inputs: (n, ...) images or vectors.
        values: (n,) labels, see `encode_labels`.
        in_test: (n,) bool, True for test rows; None draws them.
        test_share: share of each class to draw, see `test_rows`.
        names: of the two sets, for messages; where test rows are drawn, the first is that of all.

    Raises:
        BadInput: as `encode_labels` and `test_rows`.
    """
    if in_test is None:
        labels = encode_labels(values, values, names[0], names[0])
        in_test = test_rows(labels.train, test_share)
        n_test = int(in_test.sum())
        notes = [f"{n_test:,} of {len(in_test):,} rows, {test_share:.3g} of each class, are the test set"]
        train_labels, test_labels = labels.train[~in_test], labels.train[in_test]
    else:
        mask = np.asarray(in_test)
        labels = encode_labels(values[~mask], values[mask], *names)
        train_labels, test_labels, notes = labels.train, labels.test, []
    notes += [labels.note] if labels.note else []
    train, test = torch.nonzero(~in_test).flatten(), torch.nonzero(in_test).flatten()
    return Examples(inputs[train], train_labels), Examples(inputs[test], test_labels), labels, notes
