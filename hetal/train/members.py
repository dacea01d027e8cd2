"""Training of all members of an ensemble in one step, each as if it were trained alone.

The loss of an ensemble is the sum of its members' losses, so that the gradients of a member are those of its own loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from hetal.models.ensemble import Ensemble, mean_logits
from hetal.train.precision import InBfloat16


def ensemble_in(network: nn.Module) -> Ensemble | None:
    """Return the ensemble that a network is; None for a single network."""
    inner = network.network if isinstance(network, InBfloat16) else network
    return inner if isinstance(inner, Ensemble) else None


def logits_of_members(network: nn.Module, x: Tensor) -> Tensor:
    """Return the logits (K, B, C) of inputs (B, *image_shape) by each member; K is 1 of a single network."""
    ensemble = ensemble_in(network)
    if ensemble is None:
        logits: Tensor = network(x)[0]
        return logits[None]
    if ensemble is network:
        return ensemble.members(x)[0]
    with torch.autocast(x.device.type, torch.bfloat16):
        return ensemble.members(x)[0].float()


def loss_of(loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, labels_B: Tensor) -> Tensor:
    """Return the loss of logits (B, C), or the sum of the losses of all members' logits (K, B, C)."""
    if logits.dim() == 2:
        return loss(logits, labels_B)
    K = len(logits)
    if type(loss) is nn.CrossEntropyLoss and loss.reduction == "mean":
        mean: Tensor = loss(logits.flatten(0, 1), labels_B.repeat(K))  # over all rows of all members
        return mean * K
    losses_K = [loss(logits_BC, labels_B) for logits_BC in logits]
    return torch.stack(losses_K).sum()


def joined(outputs: Sequence[Tensor]) -> Tensor:
    """Return the logits (R, C) of several batches: of (B, C) each, or of the mean of all members' (K, B, C)."""
    return torch.cat(list(outputs)) if outputs[0].dim() == 2 else mean_logits(torch.cat(list(outputs), 1))


def clip_members_by_norm(tensors: Sequence[Tensor], limit: float) -> None:
    """Scale the tensors of every member, along their first dimension, to a joint norm of at most `limit`, in place."""
    norm_K = torch.linalg.vector_norm(
        torch.stack([torch.linalg.vector_norm(t.reshape(len(t), -1), dim=1) for t in tensors]), dim=0
    )
    scale_K = limit / norm_K.clamp(min=limit)
    for tensor in tensors:
        tensor.mul_(scale_K.view(-1, *[1] * (tensor.dim() - 1)))
