"""The user's own arrays in a folder of x_train.npy, y_train.npy, x_test.npy and y_test.npy, large ones mapped.

What the arrays may be is described in `hetal.data.arrays`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from hetal.data.arrays import load_arrays
from hetal.data.sources import opened_folder
from hetal.task import Task


def load_npy(
    path: str | None,
    layout: str,
    labels: str | None,
    n_train: int | None,
    standardise: str | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    rng: torch.Generator,
) -> Task:
    """Load a task from a folder of .npy files.

    Args:
        path: the folder; `~` is the home folder.
        layout: of images, "NCHW" or "NHWC".
        labels: the file, without ".npy", of the labels that queries buy, instead of `y_train`.
        n_train: size of the class-stratified training subset; None takes all.
        standardise: "feature", "all" or "none"; None is "feature", which for images is per channel.
        mean, std: instead of what `standardise` gives.
        rng: draws the subset.

    Raises:
        BadInput: names `data.path` and what is wrong with a file; or a setting is out of range.
    """
    return load_arrays(
        path,
        opened_folder,
        "FOLDER with the .npy files",
        labels=labels,
        n_train=n_train,
        standardise=standardise or "feature",
        mean=mean,
        std=std,
        rng=rng,
        layout=layout,
    )
