"""Metrics against hand-computed values and scikit-learn."""

import math

import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss

from hetal.evaluate import area_under_curve, classification_metrics


def test_hand_computed():
    probs = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.7, 0.3]])
    values = classification_metrics(probs, torch.tensor([0, 1, 1, 0]), n_bins=2)
    assert values["accuracy"] == pytest.approx(0.75)
    assert values["balanced_accuracy"] == pytest.approx((1 + 0.5) / 2)
    assert values["macro_f1"] == pytest.approx((2 * 2 / 5 + 2 * 1 / 3) / 2)
    assert values["nll"] == pytest.approx(-sum(map(math.log, (0.9, 0.4, 0.8, 0.7))) / 4)
    assert values["ece"] == pytest.approx(abs(0.75 - 0.75), abs=1e-6)  # one bin: mean confidence is 0.75


def test_calibration_error_by_bin():
    probs = torch.tensor([[0.55, 0.45], [0.95, 0.05]])
    values = classification_metrics(probs, torch.tensor([1, 0]), n_bins=10)
    assert values["ece"] == pytest.approx((0.55 + 0.05) / 2, abs=1e-6)


def test_like_scikit_learn():
    rng = torch.Generator().manual_seed(0)
    probs = torch.rand(300, 5, generator=rng).softmax(1)
    labels = torch.randint(4, (300,), generator=rng)  # class 4 never occurs, but is predicted
    values = classification_metrics(probs, labels)
    predicted = probs.argmax(1).numpy()
    assert values["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert values["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert values["nll"] == pytest.approx(log_loss(labels, probs.double().numpy(), labels=range(5)), rel=1e-5)


def test_certain_and_wrong_is_large_but_finite():
    assert math.isfinite(classification_metrics(torch.tensor([[1.0, 0.0]]), torch.tensor([1]))["nll"])


def test_area_is_mean_accuracy_over_labels():
    assert area_under_curve([100, 200, 400], [0.2, 0.4, 0.6]) == pytest.approx((0.3 * 100 + 0.5 * 200) / 300)
    assert area_under_curve([100], [0.5]) == 0.5
