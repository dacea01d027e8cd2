"""Calibration of class probabilities: how far confidence and accuracy are apart, and the temperature that helps most.

Expected calibration error (Naeini, Cooper & Hauskrecht, AAAI 2015): with rows binned by confidence, the largest
probability, into equal intervals of (0, 1],

    ECE = sum_bins n_bin / n |accuracy_bin - mean confidence_bin|.

Temperature scaling (Guo et al., ICML 2017, arXiv 1706.04599) divides logits by one number T.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from hetal.acquisition.inputs import AnyArray, as_probabilities, as_tensor


def calibration_error(probs_MC: AnyArray, labels_M: AnyArray, n_bins: int) -> float:
    """Return the expected calibration error of probabilities (M, C) of rows with labels (M,), in 0..1.

    Raises:
        ValueError: there are no rows, or `n_bins` is below 1; logits are passed for probabilities.
    """
    probs = as_probabilities(probs_MC, "probs_MC", "MC").double()
    labels = as_tensor(labels_M, "labels_M").to(probs.device)
    if len(probs) == 0 or len(labels) != len(probs):
        raise ValueError(f"there must be one label for each of some rows, not {len(labels)} for {len(probs)}")
    if n_bins < 1:
        raise ValueError(f"n_bins={n_bins}: must be at least 1")
    confidence, predicted = probs.max(1)
    bins = (confidence * n_bins).ceil().long().clamp(1, n_bins) - 1
    # n_bin |accuracy - confidence| is the absolute sum of what the rows of a bin miss.
    missed = torch.zeros(n_bins, dtype=torch.float64, device=probs.device)
    missed.index_add_(0, bins, (predicted == labels).double() - confidence)
    return float(missed.abs().sum()) / len(probs)


@torch.no_grad()
def best_temperature(
    logits_MC: AnyArray, labels_M: AnyArray, temperatures: Sequence[float], n_bins: int
) -> float:
    """Return which of some temperatures makes the expected calibration error least, of equals the first.

    Args:
        logits_MC: of rows that were not trained on.
        labels_M: their labels.
        temperatures: above 0.
        n_bins: of confidence.

    Raises:
        ValueError: see `calibration_error`; a temperature is not above 0, or there is none.
    """
    logits = as_tensor(logits_MC, "logits_MC").double()
    if not temperatures or not all(temperature > 0 for temperature in temperatures):
        raise ValueError("temperatures must be above 0, and at least one")
    return min(temperatures, key=lambda t: calibration_error((logits / t).softmax(1), labels_M, n_bins))
