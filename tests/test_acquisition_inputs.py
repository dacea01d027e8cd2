"""Inputs of acquisition functions: numpy arrays with the results of tensors, and logits refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hetal.acquisition import (
    OuterProduct,
    badge_embedding,
    bald,
    confidence,
    entropy,
    gini,
    greedy_design,
    k_center,
    kmeans_plusplus,
    lhd_embedding,
    margin,
    top_scores,
)

SCORES = [confidence, margin, entropy, gini]
TAKES_PROBABILITIES = [*SCORES, lambda probs: badge_embedding(probs, probs), lambda probs: bald(probs[None])]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def logits(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=rng(seed)) * 3


PROBS_MC, FEATURES_MD = logits(60, 4).softmax(1), logits(60, 5, seed=1)
WEIGHT_M, IDS = PROBS_MC[:, 0], torch.arange(60)
CALLS = {
    "confidence": lambda to: confidence(to(PROBS_MC)),
    "margin": lambda to: margin(to(PROBS_MC)),
    "entropy": lambda to: entropy(to(PROBS_MC)),
    "gini": lambda to: gini(to(PROBS_MC)),
    "bald": lambda to: bald(to(logits(3, 60, 4).softmax(2))),
    "top_scores": lambda to: top_scores(to(WEIGHT_M), 10, rng()),
    "badge": lambda to: kmeans_plusplus(badge_embedding(to(PROBS_MC), to(FEATURES_MD)), 10, rng()),
    "lhd": lambda to: kmeans_plusplus(lhd_embedding(to(WEIGHT_M), to(FEATURES_MD)), 10, rng()),
    "kmeans_plusplus": lambda to: kmeans_plusplus(to(FEATURES_MD), 10, rng(), weights=to(IDS % 3)),
    "k_center": lambda to: k_center(to(FEATURES_MD), 10, centers=to(FEATURES_MD[:3])),
    "greedy_design": lambda to: greedy_design(
        to(FEATURES_MD), to(WEIGHT_M), 10, known=to(IDS[:5]), candidates=to(IDS[5:]), ridge=1.0, copies=to(IDS % 3)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_numpy_gives_numpy_and_the_same_bits(name: str) -> None:
    of_tensors, of_arrays = CALLS[name](lambda tensor: tensor), CALLS[name](lambda tensor: tensor.numpy())
    assert isinstance(of_arrays, np.ndarray)
    assert of_tensors.numpy().dtype == of_arrays.dtype
    assert of_tensors.numpy().tobytes() == of_arrays.tobytes()


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, ">f4"])
def test_arrays_of_any_float_and_layout(kind: str) -> None:
    probs = PROBS_MC.numpy().astype(kind)
    expected = entropy(torch.from_numpy(probs.astype(np.dtype(kind).newbyteorder("=")))).numpy()
    for view in (probs, np.asfortranarray(probs), probs[::-1][::-1], np.repeat(probs, 2, axis=0)[::2]):
        np.testing.assert_allclose(entropy(view), expected, rtol=1e-5)
    np.testing.assert_allclose(entropy(probs[::-1]), expected[::-1], rtol=1e-5)


def test_a_file_that_is_read_only_is_neither_copied_nor_warned_about(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    FEATURES_MD.numpy().tofile(tmp_path / "features")
    array = np.memmap(tmp_path / "features", np.float32, "r", shape=(60, 5))
    points = OuterProduct(array)
    assert points.factors[0].data_ptr() == array.ctypes.data
    assert k_center(array, 10).tolist() == k_center(FEATURES_MD, 10).tolist()
    assert not recwarn.list


@pytest.mark.parametrize("function", TAKES_PROBABILITIES)
@pytest.mark.parametrize("to", [lambda t: t, lambda t: t.numpy()], ids=["torch", "numpy"])
def test_logits_are_refused(function, to) -> None:
    with pytest.raises(ValueError, match=r"^probs\w* must hold probabilities, .* pass logits.softmax\(-1\)$"):
        function(to(logits(60, 4)))


@pytest.mark.parametrize(
    "row",
    [
        [0.5, 0.25, 0.2],
        [0.5, 0.6, -0.1],
        [1.0, 2.0, 3.0],
        [torch.nan, 0.5, 0.5],
        [torch.inf, 0.0, 0.0],
        [0.0, 0.0, 0.0],
    ],
)
@pytest.mark.parametrize("function", TAKES_PROBABILITIES)
def test_one_row_that_is_no_distribution_is_named(function, row: list[float]) -> None:
    probs = logits(50, 3).softmax(1)
    probs[17] = torch.tensor(row)
    with pytest.raises(ValueError, match=r"but probs\w*\[(0, )?17\] is \[") as caught:
        function(probs)
    assert "\n" not in str(caught.value)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**31),
    n_classes=st.sampled_from([2, 10, 1000]),
    scale=st.floats(0, 50),
    kind=st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]),
)
def test_no_softmax_is_refused_in_any_precision(
    seed: int, n_classes: int, scale: float, kind: torch.dtype
) -> None:
    probs_MC = (torch.randn(20, n_classes, generator=rng(seed)) * scale).to(kind).softmax(1)
    assert entropy(probs_MC).shape == (20,)
    # Divided in half precision, which rounds three times.
    powers = (torch.randn(20, n_classes, generator=rng(seed)) * min(scale, 2)).to(kind).exp()
    assert confidence(powers / powers.sum(1, keepdim=True)).shape == (20,)


def test_empty_and_hard_probabilities_are_taken() -> None:
    assert margin(torch.empty(0, 4)).shape == (0,)
    assert entropy(torch.tensor([0.25] * 4)).shape == ()
    assert confidence(torch.eye(3, dtype=torch.int64)).tolist() == [0, 0, 0]


def test_gradients_go_through() -> None:
    weights = logits(5, 3).requires_grad_()
    entropy(weights.softmax(1)).sum().backward()
    assert weights.grad is not None
    assert bool(weights.grad.abs().sum() > 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: margin(PROBS_MC[None]), r"probs_MC must have the shape \(M, C\), not \(1, 60, 4\)"),
        (lambda: bald(PROBS_MC), r"probs_KMC must have the shape \(K, M, C\), not \(60, 4\)"),
        (lambda: entropy(torch.tensor(1.0)), r"probs must have the shape \(..., C\), not \(\)"),
        (lambda: gini(PROBS_MC.tolist()), "probs_MC must be a torch tensor or a numpy array, not list"),
        (lambda: k_center([[1.0]], 1), "points must be a torch tensor or a numpy array, not list"),
        (lambda: k_center(FEATURES_MD, 1, centers=[[1.0]]), "centers must be a torch tensor"),
        (lambda: k_center(np.array([["a"]]), 1), "points must hold numbers of at most 64 bits, not <U1"),
        (lambda: entropy(np.ones((1, 1), complex)), "at most 64 bits, not complex128"),
        (lambda: top_scores(WEIGHT_M, 1, np.random.default_rng(0)), "generator must be a torch.Generator"),
        (lambda: kmeans_plusplus(FEATURES_MD, 1, 0), "generator must be a torch.Generator, .* not int"),
    ],
)
def test_mistakes_are_named(call, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
