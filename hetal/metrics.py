"""How good predictions are, beyond accuracy."""

from __future__ import annotations

import torch
from torch import Tensor


def classification_metrics(probs_NC: Tensor, labels_N: Tensor, n_bins: int = 15) -> dict[str, float]:
    """Compare predicted probabilities with true labels.

    Args:
        probs_NC: (N, C) class probabilities.
        labels_N: (N,) int64.
        n_bins: equal bins of confidence for the calibration error.

    Returns:
        `accuracy`; `balanced_accuracy` (mean recall over the classes that occur); `macro_f1` (mean F1 over
        the classes that occur in labels or predictions); `nll` (mean negative log likelihood, nats);
        `ece` (expected calibration error: Guo et al., ICML 2017, arXiv 1706.04599, equation 3). All but nll in [0, 1].
    """
    C = probs_NC.shape[1]
    confidence_N, predicted_N = probs_NC.double().max(1)
    right_N = predicted_N == labels_N
    true_C = torch.bincount(labels_N, minlength=C).double()
    predicted_C = torch.bincount(predicted_N, minlength=C).double()
    right_C = torch.bincount(labels_N[right_N], minlength=C).double()
    occurs_C = (true_C + predicted_C) > 0
    f1_C = 2 * right_C / (true_C + predicted_C)
    bin_N = (confidence_N * n_bins).ceil().long().clamp(1, n_bins) - 1
    gap_N = right_N.double() - confidence_N
    gap_bins = torch.zeros(n_bins, dtype=torch.float64, device=bin_N.device).index_add_(0, bin_N, gap_N)
    p_true_N = probs_NC.gather(1, labels_N[:, None]).double()
    values = {
        "accuracy": right_N.double().mean(),
        "balanced_accuracy": (right_C / true_C)[true_C > 0].mean(),
        "macro_f1": f1_C[occurs_C].mean(),
        "nll": -p_true_N.clamp(min=torch.finfo(torch.float32).tiny).log().mean(),
        "ece": gap_bins.abs().sum() / len(labels_N),
    }
    return {name: float(value) for name, value in values.items()}


def area_under_curve(n_labelled: list[int], accuracy: list[float]) -> float:
    """Return the mean accuracy over labels: the trapezoid area divided by its width, in [0, 1]."""
    if len(n_labelled) == 1:
        return accuracy[0]
    x = torch.tensor(n_labelled, dtype=torch.float64)
    y = torch.tensor(accuracy, dtype=torch.float64)
    return float(torch.trapezoid(y, x) / (x[-1] - x[0]))
