"""Test rows of a data set that comes without a test set, the same at every seed of a run."""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.errors import BadInput
from hetal.rng import stream


def test_rows(labels: Tensor, share: float) -> Tensor:
    """Draw the share `data.test_share` of each class, from a random stream of its own.

    A class of several rows has at least one of them in the test set, and at least one in the training set; that of a
    single row has it in the training set.

    Args:
        labels: (n,) int64.
        share: of the rows of a class, between 0 and 1.

    Returns:
        (n,) bool, True for test rows.

    Raises:
        BadInput: `share` is out of range, or no class has two rows.
    """
    if not 0 < share < 1:
        raise BadInput(f"data.test_share={share}: must be between 0 and 1, such as 0.2")
    count_C = torch.bincount(labels)
    quota_C = (count_C * share).round().long().clamp(min=1).minimum((count_C - 1).clamp(min=0))
    if not bool(quota_C.any()):
        raise BadInput("no class has two rows, one to train and one to test with")
    order = torch.randperm(len(labels), generator=stream(0, "test rows"))
    order = order[labels[order].argsort(stable=True)]  # class by class
    rank = torch.arange(len(labels)) - (count_C.cumsum(0) - count_C)[labels[order]]
    is_test = torch.zeros(len(labels), dtype=torch.bool)
    is_test[order] = rank < quota_C[labels[order]]
    return is_test
