"""Predictions that flip when features are mixed with class means: the candidates of ALFA-Mix.

Parvaneh, Abbasnejad, Teney, Haffari, van den Hengel & Shi (CVPR 2022, arXiv 2203.07034). With z the features of a
point, y its predicted class, z* the mean of the labelled features of some class and g the gradient of the cross
entropy of (z, y) in z, the mixture of every feature on its own, a z* + (1 - a) z, that raises the loss most to first
order while |a| stays small is, in the paper's closed form,

    a = eps |z* - z| / |g| g / (z* - z),

a division of each feature. So z moves by eps |z* - z| along g / |g|, but for features that are the same in z and z*,
which no mixture changes. The point is a candidate if that changes its prediction for the z* of some class.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from hetal.acquisition.inputs import AnyArray, Array, as_tensor, like
from hetal.machine.transfer import to_device, to_host

# Maps features (n, D) to logits (n, C), as a network's last layer does.
Head = Callable[[Tensor], Tensor]

# Numbers of a block of features that is looked at together.
NUMBERS_AT_ONCE = 2**20


def class_means(features_LD: Array, labels_L: AnyArray) -> Array:
    """Return the mean features of each class that has any, ascending by class: (K, D) float32 with K <= C.

    Args:
        features_LD: of the labelled points.
        labels_L: (L,) int64.
    """
    features, labels = as_tensor(features_LD, "features_LD"), as_tensor(labels_L, "labels_L")
    # On the host, where sums are added up in one order.
    present, place_L = to_host(labels)[0].unique(return_inverse=True)
    sums_KD = torch.zeros(len(present), features.shape[1], dtype=torch.float64)
    size = at_once(features)
    for places, some in zip(place_L.split(size), features.split(size), strict=True):
        sums_KD.index_add_(0, places, to_host(some)[0].double())
    means_KD = (sums_KD / torch.bincount(place_L, minlength=len(present))[:, None]).float()
    return like(features_LD, to_device(features.device, means_KD)[0])


def mixing_flips(
    features_MD: Array, anchors_KD: AnyArray, head: Head, *, eps: float, rows: AnyArray | None = None
) -> Array:
    """Tell which predictions flip when features are mixed with an anchor, by ALFA-Mix's closed form.

    Where the loss is flat in the features, as where all classes have the same weights, nothing flips.

    Args:
        features_MD: z, (M, D); may be backed by a file.
        anchors_KD: z*, (K, D), such as `class_means`.
        head: gives logits (n, C) of features (n, D), differentiably.
        eps: how far features move, as a share of the distance to the anchor, times sqrt(D); the paper's is 0.2.
        rows: (P,) int64, which of the points to look at; None for all.

    Returns:
        (P,) bool, a numpy array as `features_MD`.

    Raises:
        ValueError: `eps` is not above 0 and finite; or anchors have another width.
    """
    features, anchors = as_tensor(features_MD, "features_MD"), as_tensor(anchors_KD, "anchors_KD")
    if not 0 < eps < math.inf:
        raise ValueError(f"eps={eps}: must be above 0, and finite")
    if anchors.dim() != 2 or anchors.shape[1] != features.shape[1]:
        raise ValueError(f"anchors must be (K, {features.shape[1]}), not {tuple(anchors.shape)}")
    share = eps / math.sqrt(features.shape[1])
    anchors = anchors.to(features.device, torch.float32)
    flips = [features.new_zeros(0, dtype=torch.bool)]
    for block in split(features, rows):
        z = features[block].float()
        direction, predicted = _steepest(z, head)
        is_flipped = torch.zeros_like(predicted, dtype=torch.bool)
        for anchor in anchors:
            left = (~is_flipped).nonzero().squeeze(1)
            gap = anchor - z[left]
            step = direction[left] * (share * gap.norm(dim=1, keepdim=True))
            step.masked_fill_(gap == 0, 0)
            # Of a step of 0 the logits are the same but for rounding, which may break a tie.
            with torch.no_grad():
                is_new = (head(z[left] + step).argmax(1) != predicted[left]) & (step != 0).any(1)
            is_flipped[left] = is_new
        flips.append(is_flipped)
    return like(features_MD, torch.cat(flips))


def _steepest(z_nD: Tensor, head: Head) -> tuple[Tensor, Tensor]:
    """Return the direction (n, D) in which the cross entropy rises most, of norm 1 or 0, and predicted classes (n,).

    The cross entropy is log(1 + exp(s)) with s the logit of all other classes over the predicted one, so that its
    gradient has the direction of that of s, which does not vanish where probabilities are rounded to 1.
    """
    with torch.enable_grad():
        z_nD = z_nD.detach().clone().requires_grad_()
        logits = head(z_nD)
        predicted = logits.argmax(1, keepdim=True)
        if logits.shape[1] == 1:
            return torch.zeros_like(z_nD), predicted.squeeze(1)
        others = logits.scatter(1, predicted, -torch.inf).logsumexp(1)
        lead = others - logits.gather(1, predicted).squeeze(1)
        (gradient,) = torch.autograd.grad(lead.sum(), z_nD)
    norm = gradient.norm(dim=1, keepdim=True)
    return torch.where(norm > 0, gradient / norm, 0), predicted.squeeze(1)


def at_once(features_MD: Tensor) -> int:
    """Return how many rows of features to look at together."""
    return max(NUMBERS_AT_ONCE // max(features_MD.shape[1], 1), 1)


def split(features: Tensor, rows: AnyArray | None) -> tuple[Tensor, ...]:
    """Return the numbers of the points to look at, in blocks."""
    chosen = torch.arange(len(features)) if rows is None else as_tensor(rows, "rows")
    blocks: tuple[Tensor, ...] = chosen.to(features.device).split(at_once(features))
    return blocks
