"""Scores of single points from class probabilities, larger for what is to be queried first, and the top of them.

confidence, margin, entropy: the classical uncertainties (Settles, Active Learning Literature Survey, 2009);
margin after Scheffer, Decomain & Wrobel (IDA 2001). BALD: Houlsby, Huszar, Ghahramani & Lengyel (2011,
arXiv 1112.5745), over dropout passes as in Gal, Islam & Ghahramani (ICML 2017, arXiv 1703.02910). As published,
least confidence and margin are minimised; their signs are turned here, so that every score is maximised.

All take tensors or numpy arrays and return the same. What is called `probs` must hold probabilities, see
`hetal.acquisition.inputs.as_probabilities`: logits are refused with a ValueError.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.acquisition.inputs import Array, as_probabilities, as_tensor, checked_generator, like
from hetal.rng import permutation


def confidence(probs_MC: Array) -> Array:
    """Return 1 - max_c p_c, the least-confidence score: (M, C) to (M,) in 0..1 - 1/C."""
    return like(probs_MC, 1 - as_probabilities(probs_MC, "probs_MC", "MC").amax(1))


def confidence_logit(logits_MC: Array) -> Array:
    """Return -max_c f_c, by which the smallest largest logit comes first: (M, C) to (M,).

    It is what the LHD paper's script of Four-Moons calls least confidence: the network there has no softmax. Adding a
    number to all logits of a row changes it, and no probability.
    """
    return like(logits_MC, -as_tensor(logits_MC, "logits_MC").amax(1))


def margin(probs_MC: Array) -> Array:
    """Return -(p(1) - p(2)), the lead of the most probable class over the next, negated: (M, C) to (M,) in -1..0.

    Raises:
        ValueError: there are fewer than two classes.
    """
    probs = as_probabilities(probs_MC, "probs_MC", "MC")
    if probs.shape[1] < 2:
        raise ValueError(f"margin needs at least two classes, not {probs.shape[1]}")
    best, second = probs.topk(2, dim=1).values.unbind(1)
    return like(probs_MC, second - best)


def entropy(probs: Array) -> Array:
    """Return -sum_c p_c log p_c with 0 log 0 = 0, in nats: (..., C) to (...) in 0..log C."""
    return like(probs, _entropy(as_probabilities(probs, "probs", "")))


def gini(probs_MC: Array) -> Array:
    """Return 1 - sum_c p_c^2, the Gini impurity: (M, C) to (M,) in 0..1 - 1/C.

    It is the trace of diag(p) - p p', the Fisher information of a softmax layer in its logits: how much a label
    is worth to the layer. What rounding takes below 0 is 0.
    """
    probs = as_probabilities(probs_MC, "probs_MC", "MC")
    return like(probs_MC, (1 - probs.square().sum(1)).clamp(min=0))


def bald(probs_KMC: Array) -> Array:
    """Return the mutual information of label and weights, H(mean_k p_k) - mean_k H(p_k), in nats.

    Args:
        probs_KMC: class probabilities of K stochastic passes, of real dropout or an ensemble; (K, M, C).

    Returns:
        (M,) in 0..log C: what rounding takes below 0 is 0.
    """
    return like(probs_KMC, mutual_information(as_probabilities(probs_KMC, "probs_KMC", "KMC")))


def mutual_information(probs_KMC: Tensor) -> Tensor:
    """Return what `bald` does of probabilities that need no check, as where one batch follows another."""
    return (_entropy(probs_KMC.mean(0)) - _entropy(probs_KMC).mean(0)).clamp(min=0)


def _entropy(probs: Tensor) -> Tensor:
    return -torch.xlogy(probs, probs).sum(-1)


def top_scores(score_M: Array, n: int, generator: torch.Generator) -> Array:
    """Return the indices of the `n` largest scores, largest first, ties broken uniformly at random.

    Args:
        score_M: (M,), on any device; infinities are allowed.
        n: how many to pick.
        generator: where the order among ties comes from; its device need not be that of the scores.

    Returns:
        (n,) int64 indices, each at most once, on the scores' device.

    Raises:
        ValueError: `n` is negative or exceeds M; some score is NaN.
    """
    score = as_tensor(score_M, "score_M")
    rng = checked_generator(generator)
    if not 0 <= n <= len(score):
        raise ValueError(f"n={n}: must be in 0..{len(score)}, the number of scores")
    if bool(score.isnan().any()):
        raise ValueError("scores hold NaN")
    # Whichever ties topk prefers, after a uniform shuffle it prefers uniformly.
    shuffled = permutation(len(score), rng, score.device)
    return like(score_M, shuffled[score[shuffled].topk(n).indices])
