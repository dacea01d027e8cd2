"""Scores with noise, by which the top n are a draw without replacement instead of the n best.

Kirsch, Farquhar, Atighehchian, Jesson, Branchaud-Charron & Gal (TMLR 2023, arXiv 2106.12059). With s the score of an
item, r its rank from 1 for the largest, and G ~ Gumbel(0, 1) drawn for every item apart, the top n of

    power      beta log s + G,     which draws with probability proportional to s^beta
    softmax    beta s + G,                                              to exp(beta s)
    soft rank  -beta log r + G,                                         to r^-beta

are n items drawn one after another without replacement (Gumbel-top-k). An infinite beta adds no noise. All take
tensors or numpy arrays and return the same, in float64, for `top_scores`.

The items are rows: an image that k rows show counts k times, so its k scores are to be passed, not one.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hetal.acquisition.inputs import Array, as_tensor, checked_generator, like
from hetal.acquisition.scores import top_scores
from hetal.machine.transfer import to_device


def power_scores(score_N: Array, beta: float, generator: torch.Generator) -> Array:
    """Return beta log s + G: (N,) to (N,); of a score of 0, -infinity.

    Args:
        score_N: 0 or more.
        beta: above 0, how much scores count; infinity returns the scores as they are.
        generator: where the noise comes from.

    Raises:
        ValueError: `beta` is not above 0; some score is negative or NaN.
    """
    score = _checked(score_N, beta)
    if not bool((score >= 0).all()):
        raise ValueError("power needs scores of 0 or more; softmax_scores and soft_rank_scores take any")
    return like(score_N, score if math.isinf(beta) else _noisy(beta * score.log(), generator))


def softmax_scores(score_N: Array, beta: float, generator: torch.Generator) -> Array:
    """Return beta s + G: (N,) to (N,).

    Args:
        score_N: any finite scores.
        beta: above 0, how much scores count; infinity returns the scores as they are.
        generator: where the noise comes from.

    Raises:
        ValueError: `beta` is not above 0.
    """
    score = _checked(score_N, beta)
    return like(score_N, score if math.isinf(beta) else _noisy(beta * score, generator))


def soft_rank_scores(score_N: Array, beta: float, generator: torch.Generator) -> Array:
    """Return -beta log r + G with r the rank, 1 for the largest score, ties ranked at random: (N,) to (N,).

    Args:
        score_N: any scores.
        beta: above 0, how much ranks count; infinity returns the scores as they are.
        generator: where the order among ties and the noise come from.

    Raises:
        ValueError: `beta` is not above 0; some score is NaN.
    """
    score = _checked(score_N, beta)
    if math.isinf(beta):
        return like(score_N, score)
    rank = torch.empty_like(score)
    order = top_scores(score, len(score), generator)
    rank[order] = torch.arange(1, len(score) + 1, dtype=score.dtype, device=score.device)
    return like(score_N, _noisy(-beta * rank.log(), generator))


def _checked(score_N: Array, beta: float) -> Tensor:
    if not beta > 0:
        raise ValueError(f"beta={beta}: must be above 0")
    return as_tensor(score_N, "score_N").double()


def _noisy(score_N: Tensor, generator: torch.Generator) -> Tensor:
    rng = checked_generator(generator)
    drawn = torch.empty(len(score_N), dtype=torch.float64, device=rng.device).exponential_(generator=rng)
    return score_N - to_device(score_N.device, drawn.log())[0]
