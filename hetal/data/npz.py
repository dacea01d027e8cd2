"""The user's own arrays in one .npz file, as written by `numpy.savez(path, x_train=, y_train=, x_test=, y_test=)`.

What the arrays may be is described in `hetal.data.arrays`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from hetal.data.arrays import load_arrays
from hetal.data.sources import opened_npz
from hetal.task import Task


def load_npz(
    path: str | None,
    layout: str,
    labels: str | None,
    n_train: int | None,
    standardise: str | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    rng: torch.Generator,
) -> Task:
    """Load a task from one .npz file.

    Args:
        path: the file; `~` is the home folder.
        layout: of images, "NCHW" or "NHWC".
        labels: the array of the labels that queries buy, instead of `y_train`.
        n_train: size of the class-stratified training subset; None takes all.
        standardise: "feature", "all" or "none"; None is "feature", which for images is per channel.
        mean, std: instead of what `standardise` gives.
        rng: draws the subset.

    Raises:
        BadInput: names `data.path` and what is wrong with the file; or a setting is out of range.
    """
    return load_arrays(
        path,
        opened_npz,
        "FILE.npz with the arrays",
        labels=labels,
        n_train=n_train,
        standardise=standardise or "feature",
        mean=mean,
        std=std,
        rng=rng,
        layout=layout,
    )
