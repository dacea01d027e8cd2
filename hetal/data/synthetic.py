"""Synthetic: clusters at the corners of a hypercube, some of whose features tell the class; for tests and teaching.

Source: scikit-learn's `make_classification`, after I. Guyon, "Design of experiments for the NIPS 2003 variable
selection benchmark", 2003. No label is wrong (`flip_y=0`): noise is that of the pool.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from sklearn.datasets import make_classification

from hetal.data.sets import task_of
from hetal.data.split import test_rows
from hetal.errors import BadInput
from hetal.task import Task

MAX_VALUES = 10**9


def load_synthetic(
    n_rows: int,
    n_classes: int,
    imbalance: float,
    n_features: int,
    n_informative: int,
    n_redundant: int,
    clusters_per_class: int,
    class_sep: float,
    point_seed: int,
    test_share: float,
    standardise: Literal["feature", "all", "none"],
    n_train: int | None,
    rng: torch.Generator,
) -> Task:
    """Draw (n, n_features) float32 vectors.

    The points and the test set do not depend on the seed of the run, as with real data: another `point_seed` is another
    data set.

    Args:
        n_rows: of training and test set.
        n_classes: number of classes.
        imbalance: rows of the first class for each row of the last; between them the sizes fall geometrically.
        n_features: of which `n_informative` tell the class, `n_redundant` are sums of these, and the others are noise.
        n_informative, n_redundant: see `n_features`.
        clusters_per_class: Gaussian clusters of one class, each at a corner of its own.
        class_sep: half the side of the hypercube, in deviations of a cluster.
        point_seed: numpy seed of the points.
        test_share: of each class, drawn as test set.
        standardise: by the mean and deviation of each "feature", of "all", or "none".
        n_train: size of the class-stratified training subset; None takes all.
        rng: draws the subset.

    Raises:
        BadInput: a number is out of range.
    """
    _check(
        n_rows,
        n_classes,
        imbalance,
        n_features,
        n_informative,
        n_redundant,
        clusters_per_class,
        class_sep,
        point_seed,
    )
    weight_C = imbalance ** -np.linspace(0, 1, n_classes)
    points, classes = make_classification(
        n_samples=n_rows,
        n_features=n_features,
        n_informative=n_informative,
        n_redundant=n_redundant,
        n_classes=n_classes,
        n_clusters_per_class=clusters_per_class,
        weights=list(weight_C / weight_C.sum()),
        flip_y=0,
        class_sep=class_sep,
        random_state=point_seed,
    )
    labels = torch.from_numpy(classes).long()
    if int((count_C := torch.bincount(labels, minlength=n_classes)).min()) < 2:
        raise BadInput(
            f"data.imbalance={imbalance:g}: class {int(count_C.argmin())} has {int(count_C.min())} of {n_rows} rows; "
            "it must have 2, one to train and one to test with"
        )
    return task_of(
        torch.from_numpy(points).float(),
        labels,
        test_rows(labels, test_share),
        n_train=n_train,
        rng=rng,
        standardise=standardise,
    )


def _check(
    n_rows: int,
    n_classes: int,
    imbalance: float,
    n_features: int,
    n_informative: int,
    n_redundant: int,
    clusters_per_class: int,
    class_sep: float,
    point_seed: int,
) -> None:
    """Refuse what make_classification cannot draw, by the names of the settings."""
    for name, value, low, high in (
        ("n_classes", n_classes, 2, 10_000),
        ("n_features", n_features, 1, 100_000),
        ("n_rows", n_rows, 2 * n_classes, MAX_VALUES // max(n_features, 1)),
        ("imbalance", imbalance, 1, 1e6),
        ("n_informative", n_informative, 1, n_features),
        ("n_redundant", n_redundant, 0, n_features - n_informative),
        ("clusters_per_class", clusters_per_class, 1, 1000),
        ("class_sep", class_sep, 1e-6, 1e6),
        ("point_seed", point_seed, 0, 2**32 - 1),
    ):
        if not low <= value <= high:
            raise BadInput(f"data.{name}={value}: must be in {low:g}..{high:g}")
    if n_classes * clusters_per_class > 2 ** min(n_informative, 60):
        raise BadInput(
            f"data.n_informative={n_informative}: a hypercube of so many sides has {2**n_informative} corners, too few "
            f"for {n_classes * clusters_per_class} clusters (n_classes times clusters_per_class)"
        )
