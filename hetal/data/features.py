"""Vectors that an encoder has made of examples, in one .npz file or a folder of .npy files, large ones mapped.

With `model=linear` or `mlp` a study of a pool of a million rows takes minutes. The arrays are those of
`hetal.data.arrays`, x_train and x_test of shape (n, D). One deviation standardises all features, since those of an
encoder have one unit, and features that vary little matter little.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch

from hetal.data.arrays import load_arrays
from hetal.data.sources import opened_folder, opened_npz
from hetal.task import Task


def load_features(
    path: str | None,
    labels: str | None,
    n_train: int | None,
    standardise: str,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    rng: torch.Generator,
) -> Task:
    """Load a task of vectors.

    Args:
        path: the .npz file, or the folder; `~` is the home folder.
        labels: the array of the labels that queries buy, instead of `y_train`.
        n_train: size of the class-stratified training subset; None takes all.
        standardise: "feature", "all" or "none".
        mean, std: instead of what `standardise` gives.
        rng: draws the subset.

    Raises:
        BadInput: names `data.path` and what is wrong with a file; or a setting is out of range.
    """
    is_folder = path is not None and os.path.isdir(os.path.expanduser(str(path)))
    return load_arrays(
        path,
        opened_folder if is_folder else opened_npz,
        "FILE.npz or FOLDER of .npy files with the arrays",
        labels=labels,
        n_train=n_train,
        standardise=standardise,
        mean=mean,
        std=std,
        rng=rng,
        vectors_only=True,
    )
