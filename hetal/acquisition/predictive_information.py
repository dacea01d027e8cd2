"""EPIG: what a point's label tells about the labels of targets, instead of about the weights.

Bickford Smith, Kirsch, Farquhar, Gal, Foster & Rainforth (AISTATS 2023, arXiv 2304.08151). With K networks, each as
likely, and targets x* drawn from the distribution of inputs that predictions will be made for,

    EPIG(x) = mean over x* of I(y; y*) = H(y) + mean over x* of [ H(y*) - H(y, y*) ],
    p(y, y*) = 1/K sum_k p_k(y | x) p_k(y* | x*).

Both labels must be predicted by the same weights: with dropout, the K passes share their masks over points and targets.

Cost: M T C^2 (K + a logarithm), in tiles.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.acquisition.copies import checked_copies
from hetal.acquisition.inputs import AnyArray, Array, as_probabilities, as_tensor, like

# Joint probabilities computed at once: of few, so that they stay in cache.
TILE = 2**18


def epig(probs_KMC: Array, targets_KTC: AnyArray, *, weights: AnyArray | None = None) -> Array:
    """Return the expected predictive information gain of each point, in nats.

    Args:
        probs_KMC: class probabilities of the points by K networks.
        targets_KTC: those of the targets, by the same networks in the same order.
        weights: (T,) whole numbers, how many targets each stands for. None is 1 each.

    Returns:
        (M,) float64 in 0..log C: what rounding takes below 0 is 0.

    Raises:
        ValueError: either holds no probabilities; they are of different networks or classes; there is no target;
            weights are not whole numbers of 0 or more.
    """
    probs = as_probabilities(probs_KMC, "probs_KMC", "KMC")
    targets = as_probabilities(targets_KTC, "targets_KTC", "KTC").to(probs.device)
    if probs.shape[::2] != targets.shape[::2]:
        raise ValueError(
            f"targets_KTC must be by as many networks, over as many classes, as probs_KMC: "
            f"{tuple(targets.shape)} and {tuple(probs.shape)}"
        )
    copies = None if weights is None else as_tensor(weights, "weights")
    copies_T = checked_copies(targets.shape[1], copies, probs.device)
    if not bool(copies_T.sum() > 0):
        raise ValueError("targets_KTC must hold at least one target")
    return like(probs_KMC, _epig(probs, targets, copies_T / copies_T.sum()))


@torch.no_grad()
def _epig(probs_KMC: Tensor, targets_KTC: Tensor, share_T: Tensor) -> Tensor:
    C = probs_KMC.shape[2]
    share_T = share_T.double()
    targets_KTC = _normalised(targets_KTC)
    target_entropy = share_T @ _entropy(targets_KTC.mean(0))
    score_M = torch.cat([_entropy(_normalised(some).mean(0)) for some in probs_KMC.split(TILE, 1)])
    score_M += target_entropy
    some_targets = max(TILE // (C * C), 1)
    some_points = max(TILE // (C * C * min(some_targets, targets_KTC.shape[1])), 1)
    for targets, share in zip(targets_KTC.split(some_targets, 1), share_T.split(some_targets), strict=True):
        for points, score in zip(probs_KMC.split(some_points, 1), score_M.split(some_points), strict=True):
            joint = _normalised(points).flatten(1).T @ targets.flatten(1) / len(points)
            joint_nTCC = joint.view(-1, C, targets.shape[1], C).transpose(1, 2)
            score -= _entropy(joint_nTCC.flatten(2)) @ share
    return score_M.clamp_(min=0)


def _normalised(probs: Tensor) -> Tensor:
    """Return probabilities that sum to 1 in float64: what float32 misses would weigh as much as small scores."""
    return probs.double() / probs.sum(-1, keepdim=True, dtype=torch.float64)


def _entropy(probs: Tensor) -> Tensor:
    """Return -sum p log p over the last axis with 0 log 0 = 0: faster than `torch.xlogy`."""
    return -(probs.clamp(min=torch.finfo(probs.dtype).tiny).log_() * probs).sum(-1)
