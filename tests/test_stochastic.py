"""Power, softmax and soft-rank acquisition: laws of the draws, what power takes for 0, and what is refused."""

import math

import pytest
import torch
from scipy.stats import chisquare

from hetal.acquisition import (
    confidence,
    confidence_logit,
    entropy,
    margin,
    power_scores,
    soft_rank_scores,
    softmax_scores,
    top_scores,
)
from hetal.algs import BALD, EPIG, LogitScore, Once, Power, Random, Score, Softmax, SoftRank
from hetal.errors import BadInput
from hetal.pool import Pool
from hetal.rng import stream
from hetal.testing import check_strategy
from tests.test_algs import fitted_on, make_pool

SCORES = [0.5, 2.0, 0.25, 1.0]
LAWS = {
    power_scores: lambda beta: [s**beta for s in SCORES],
    softmax_scores: lambda beta: [math.exp(beta * s) for s in SCORES],
    soft_rank_scores: lambda beta: [r**-beta for r in (3, 1, 4, 2)],
}


@pytest.mark.parametrize("beta", [0.5, 2.0])
@pytest.mark.parametrize("noisy", LAWS)
def test_pairs_are_drawn_without_replacement_by_the_law(noisy, beta):
    weights, rng, n = LAWS[noisy](beta), stream(0, "x"), 2000
    score = torch.tensor(SCORES)
    drawn = torch.stack([top_scores(noisy(score, beta, rng), 2, rng) for _ in range(n)])
    observed = torch.bincount(drawn[:, 0] * 4 + drawn[:, 1], minlength=16).view(4, 4)
    total = sum(weights)
    pairs = [(a, b) for a in range(4) for b in range(4) if a != b]
    expected = [n * weights[a] / total * weights[b] / (total - weights[a]) for a, b in pairs]
    assert chisquare([int(observed[a, b]) for a, b in pairs], expected).pvalue > 1e-4


def test_scores_of_0_come_last_and_ties_of_rank_are_random():
    rng = stream(0, "x")
    score = torch.tensor([0.0, 1e-30, 0.0, 1.0])
    drawn = torch.stack([top_scores(power_scores(score, 1.0, rng), 4, rng) for _ in range(200)])
    assert {*drawn[:, 0].tolist(), *drawn[:, 1].tolist()} == {1, 3}
    assert set(drawn[:, 2].tolist()) == {0, 2}
    firsts = [int(soft_rank_scores(torch.ones(3), 50.0, rng).argmax()) for _ in range(60)]
    assert set(firsts) == {0, 1, 2}


@pytest.mark.parametrize("noisy", LAWS)
def test_numpy_infinity_and_mistakes(noisy):
    score = torch.tensor(SCORES)
    assert noisy(score, math.inf, stream(0, "x")).tolist() == SCORES
    assert noisy(score.numpy(), 2.0, stream(0, "x")).tolist() == noisy(score, 2.0, stream(0, "x")).tolist()
    for beta in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match=f"beta={beta}: must be above 0"):
            noisy(score, beta, stream(0, "x"))


def test_power_refuses_negative_scores():
    with pytest.raises(ValueError, match="scores of 0 or more; softmax_scores and soft_rank_scores take any"):
        power_scores(torch.tensor([-0.1]), 1.0, stream(0, "x"))


SCORED = [Score(margin), Score(confidence), Score(entropy), BALD(5), EPIG(5, "pool", 10)]


@pytest.mark.parametrize("of", [*SCORED, LogitScore(confidence_logit)])
@pytest.mark.parametrize("wrapper", [Power, Softmax, SoftRank])
def test_at_infinite_beta_wrappers_buy_the_highest_scores(of, wrapper):
    if wrapper is Power and isinstance(of, LogitScore):
        return
    pool = make_pool(copies=2)
    fitted = fitted_on(pool)
    best = of.query(fitted, pool, 9, stream(0, "query"))
    for beta in (None, math.inf):
        assert torch.equal(wrapper(of, beta).query(fitted, pool, 9, stream(0, "query")), best)
    huge = wrapper(of, 1e9).query(fitted, pool, 20, stream(0, "query"))
    if isinstance(of, (Score, LogitScore)):  # others draw their passes from the same stream
        best_twenty = of.query(fitted, pool, 20, stream(1, "query"))
        assert sorted(pool.source_N[huge].tolist()) == sorted(pool.source_N[best_twenty].tolist())


@pytest.mark.parametrize("of", SCORED)
def test_power_counts_from_the_score_of_a_row_that_tells_nothing(of):
    pool = make_pool()
    fitted = fitted_on(pool)
    assert of.least(fitted) == (-1 if of is SCORED[0] else 0)
    scores = of.scores(fitted, pool, stream(0, "query"))[pool.source_N[pool.unlabelled_ids()]]
    assert bool((scores >= of.least(fitted) - 1e-6).all())
    got = Power(of, 2.0).noisy(scores, fitted, stream(1, "x"))
    torch.testing.assert_close(got, power_scores((scores.double() - of.least(fitted)), 2.0, stream(1, "x")))


def test_power_of_margin_prefers_rows_near_the_boundary_and_draws_copies_by_row():
    images = torch.tensor([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
    pool = Pool(images, torch.tensor([0, 1, 1, 1, 1, 1, 1, 1, 1, 2]))
    fitted = fitted_on(pool)
    flat = Score(lambda probs_MC: torch.ones(len(probs_MC)) * (probs_MC.amax(1) < 0.99))
    drawn = [
        int(pool.source_N[Power(flat, 1.0).query(fitted, pool, 1, stream(s, "query"))]) for s in range(300)
    ]
    assert 215 < drawn.count(1) < 265  # eight of ten rows


def test_what_cannot_be_wrapped_is_refused_in_one_line():
    for of, what in ((Random(), "Random"), (Once(Score(margin), 0.0, "given"), "Once")):
        with pytest.raises(BadInput, match=f"^alg.of: {what} gives no score to every image; power, softmax_"):
            SoftRank(of, 1.0)
    with pytest.raises(
        BadInput, match=r"the scores of LogitScore have no least value, .*alg=softmax_ and alg=soft"
    ):
        Power(LogitScore(confidence_logit), 1.0)
    for beta in (0, -1.0, math.nan):
        with pytest.raises(
            BadInput, match=f"^alg.beta={beta}: must be above 0, or null for the highest scores$"
        ):
            Softmax(Score(margin), beta)
    pool = make_pool()
    least_uncertain = Score(lambda probs_MC: -entropy(probs_MC))
    with pytest.raises(
        BadInput, match=r"Score gives a score of -\d\.\d+, below 0, that of a row that tells nothing"
    ):
        Power(least_uncertain, 1.0).query(fitted_on(pool), pool, 3, stream(0, "query"))


def test_wrappers_keep_the_contract():
    check_strategy(Power(Score(margin), 1.0), seeds=(0,))
    check_strategy(SoftRank(BALD(3), None), seeds=(0,))
