"""Scores against values computed by hand, and embeddings against the products they stand for."""

from __future__ import annotations

from math import log

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch.testing import assert_close

from hetal.acquisition import (
    badge_embedding,
    bald,
    confidence,
    confidence_logit,
    entropy,
    gini,
    lhd_embedding,
    margin,
    top_scores,
)

PROBS = torch.tensor([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3], [0.1, 0.7, 0.2]])


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_confidence() -> None:
    assert_close(confidence(PROBS), torch.tensor([0.5, 0.0, 2 / 3, 0.3]))


def test_confidence_of_logits_is_no_function_of_probabilities() -> None:
    logits = torch.tensor([[3.0, 1.0, 0.0], [1.0, -1.0, -2.0], [2.0, 2.0, 1.0]])
    assert confidence_logit(logits).tolist() == [-3.0, -1.0, -2.0]
    assert confidence_logit(logits.numpy()).tolist() == [-3.0, -1.0, -2.0]
    first, second, _ = confidence(logits.softmax(1))
    assert_close(first, second)


def test_margin() -> None:
    assert_close(margin(PROBS), torch.tensor([-0.25, -1.0, 0.0, -0.5]))


def test_margin_needs_two_classes() -> None:
    with pytest.raises(ValueError, match="at least two classes, not 1"):
        margin(torch.ones(3, 1))


def test_entropy_with_zero_log_zero() -> None:
    expected = [1.5 * log(2), 0.0, log(3), -(0.1 * log(0.1) + 0.7 * log(0.7) + 0.2 * log(0.2))]
    assert_close(entropy(PROBS), torch.tensor(expected))


def test_gini_is_the_trace_of_the_softmax_layers_information() -> None:
    assert_close(gini(PROBS), torch.tensor([0.625, 0.0, 2 / 3, 0.46]))
    traces = [float((p.diag() - p.outer(p)).trace()) for p in PROBS]
    assert_close(gini(PROBS), torch.tensor(traces))


def test_bald_is_log_2_where_sure_passes_disagree_and_0_where_passes_agree() -> None:
    probs_KMC = torch.tensor([[[1.0, 0.0], [0.5, 0.5], [0.9, 0.1]], [[0.0, 1.0], [0.5, 0.5], [0.9, 0.1]]])
    assert_close(bald(probs_KMC), torch.tensor([log(2), 0.0, 0.0]))


def test_bald_by_hand() -> None:
    probs_KMC = torch.tensor([[[0.8, 0.2]], [[0.4, 0.6]]])
    mean = -(0.6 * log(0.6) + 0.4 * log(0.4))
    each = -(0.8 * log(0.8) + 0.2 * log(0.2) + 0.4 * log(0.4) + 0.6 * log(0.6)) / 2
    assert_close(bald(probs_KMC), torch.tensor([mean - each]))


@settings(max_examples=50, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31), scale=st.floats(0, 100))
def test_ranges(seed: int, scale: float) -> None:
    probs_KMC = (torch.randn(4, 20, 5, generator=rng(seed)) * scale).softmax(2)
    probs_MC = probs_KMC[0]
    ranges = (
        (confidence(probs_MC), 0, 1 - 1 / 5),
        (margin(probs_MC), -1, 0),
        (entropy(probs_MC), 0, log(5)),
        (gini(probs_MC), 0, 1 - 1 / 5),
        (bald(probs_KMC), 0, log(5)),
    )
    for score_M, low, high in ranges:
        assert score_M.shape == (20,)
        assert float(score_M.min()) >= low - 1e-6
        assert float(score_M.max()) <= high + 1e-6
    assert float(bald(probs_KMC).min()) >= 0
    assert float(gini(probs_MC).min()) >= 0


def test_top_scores_are_the_largest_first() -> None:
    score = torch.tensor([0.1, 3.0, -torch.inf, 2.0, torch.inf])
    assert top_scores(score, 3, rng()).tolist() == [4, 1, 3]
    assert top_scores(score, 0, rng()).tolist() == []
    assert top_scores(score, 5, rng())[-1] == 2


def test_ties_are_broken_uniformly() -> None:
    score, generator = torch.tensor([1.0, 1, 5, 1, 1, 0]), rng()
    n_draws = 3000
    drawn = torch.stack([top_scores(score, 3, generator) for _ in range(n_draws)])
    assert bool((drawn[:, 0] == 2).all())
    pairs = torch.bincount(drawn[:, 1] * 6 + drawn[:, 2], minlength=36).view(6, 6)
    tied = [0, 1, 3, 4]
    observed = [int(pairs[a, b]) for a in tied for b in tied if a != b]
    assert sum(observed) == n_draws
    assert chisquare(observed).pvalue > 1e-4


def test_ties_in_a_long_tie_are_broken_uniformly() -> None:
    generator = rng()
    drawn = torch.cat([top_scores(torch.zeros(2000), 100, generator) for _ in range(400)])
    assert chisquare(torch.bincount(drawn, minlength=2000).view(20, 100).sum(1)).pvalue > 1e-4


def test_top_scores_is_repeatable_and_distinct() -> None:
    score = torch.randint(0, 3, (50,), generator=rng()).float()
    picks = top_scores(score, 30, rng(1))
    assert torch.equal(picks, top_scores(score, 30, rng(1)))
    assert picks.unique().numel() == 30


@pytest.mark.parametrize(
    ("score", "n", "message"),
    [([1.0, 2.0], 3, "n=3: must be in 0..2"), ([1.0], -1, "n=-1"), ([1.0, torch.nan], 1, "NaN")],
)
def test_mistakes_are_named(score: list[float], n: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        top_scores(torch.tensor(score), n, rng())


def test_badge_embedding_by_hand() -> None:
    features = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    points = badge_embedding(torch.tensor([[0.2, 0.7, 0.1], [0.5, 0.5, 0.0]]), features)
    surplus, hidden = points.factors
    assert_close(surplus, torch.tensor([[0.2, -0.3, 0.1], [-0.5, 0.5, 0.0]]))
    assert hidden is features
    assert_close(points.sq_norms(), torch.tensor([0.14 * 5, 0.5 * 25]))


def test_badge_embedding_is_the_last_layers_gradient() -> None:
    weight = torch.randn(4, 6, generator=rng()).requires_grad_()
    hidden = torch.randn(1, 6, generator=rng(1))
    logits = hidden @ weight.T
    torch.nn.functional.cross_entropy(logits, logits.argmax(1)).backward()
    surplus, features = badge_embedding(logits.softmax(1).detach(), hidden).factors
    assert_close(surplus.T @ features, weight.grad)


def test_lhd_embedding_by_hand() -> None:
    embedding = lhd_embedding(torch.tensor([2.0, 0.0]), torch.tensor([[1.0, -3.0], [5.0, 5.0]]))
    assert_close(embedding, torch.tensor([[2.0, -6.0], [0.0, 0.0]]))
