"""Which labels are to be believed: those that linear models, trained on other labels, agree with.

CrossValidation of Shafir, Hacohen & Weinshall (2025, arXiv 2504.04506), for few labels: the rows are dealt at random to
K folds, K logistic regressions are each trained on one fold, and a label is believed unless more than half of them
predict another. The paper speaks of cross-validation; its code trains on the held-out fold and predicts all rows, so
that with K = 3 two models have not seen a row and decide. Trained on the other folds, two of three would have seen it.

Here a model has no vote on labels of which its fold holds none: it cannot predict them, and where there are few rows of
a label, as many of each as there are folds or fewer, all of them would be disbelieved.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from hetal.acquisition.inputs import AnyArray, Array, as_tensor, checked_generator, like
from hetal.machine.transfer import to_device, to_host


def believed(points: Array, labels: AnyArray, folds: int, generator: torch.Generator) -> Array:
    """Return whether each label is believed.

    Args:
        points: features (L, D), a tensor or numpy array; they are centred and scaled to mean squared norm 1, the scale
            of the features in the paper, since the penalty on weights is that of scikit-learn (C = 1).
        labels: (L,) int64.
        folds: K, at least 2.
        generator: deals the folds.

    Returns:
        (L,) bool; all are believed where there are fewer rows than folds.

    Raises:
        ValueError: points are not finite, `folds` is below 2, or there is not one label for each point.
    """
    given = as_tensor(points, "points").detach()
    x_LD, labels_L = to_host(given, as_tensor(labels, "labels"))
    x_LD, y_L = x_LD.double(), labels_L.numpy()
    rng = checked_generator(generator)
    if x_LD.dim() != 2 or len(x_LD) != len(y_L):
        raise ValueError(f"there must be one label for each point, not {len(y_L)} for {tuple(x_LD.shape)}")
    if not bool(x_LD.isfinite().all()):
        raise ValueError("points hold NaN or infinity")
    if folds < 2:
        raise ValueError(f"folds={folds}: must be at least 2")
    lead_L = np.zeros(len(x_LD), dtype=np.int64)  # votes for a label less votes against it
    if len(x_LD) >= folds:
        x_LD = x_LD - x_LD.mean(0)
        x_LD = x_LD / x_LD.square().sum(1).mean().sqrt().clamp(min=torch.finfo(torch.float64).tiny)
        order = torch.randperm(len(x_LD), generator=rng, device=rng.device).cpu().numpy()
        for fold in np.array_split(order, folds):
            votes_L = np.where(_predictions(x_LD.numpy(), y_L, fold) == y_L, 1, -1)
            lead_L += votes_L * np.isin(y_L, y_L[fold])
    return like(points, to_device(given.device, torch.from_numpy(lead_L >= 0))[0])


def _predictions(x_LD: np.ndarray, y_L: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return what a model that is trained on some rows predicts for all, (L,)."""
    if len(np.unique(y_L[rows])) == 1:
        return np.full_like(y_L, y_L[rows[0]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        predicted: np.ndarray = LogisticRegression().fit(x_LD[rows], y_L[rows]).predict(x_LD)
    return predicted
