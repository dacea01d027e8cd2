"""The last linear layer of a network: found by its shape, and checked against the network's own outputs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from hetal.errors import BadInput
from hetal.models.ensemble import mean_logits
from hetal.train.members import ensemble_in
from hetal.train.precision import InBfloat16

# By how much a layer's outputs may miss the logits, as a share of the largest that its weights and the features allow.
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 2e-2}


@dataclass(frozen=True)
class Head:
    """The last layer as a function of features: logits = W h + b.

    Attributes:
        weight_CD: W, (C, D) float32, a copy.
        bias_C: b, (C,) float32, a copy; zeros where the layer has none.
    """

    weight_CD: Tensor
    bias_C: Tensor

    def __call__(self, features_nD: Tensor) -> Tensor:
        """Map features (n, D) to logits (n, C)."""
        return linear(features_nD, self.weight_CD, self.bias_C)


@dataclass(frozen=True)
class EnsembleHead:
    """The last layers of an ensemble as a function of its features: logits = log mean_k softmax(W_k h_k + b_k).

    Its features are those of the K members side by side, divided by sqrt(K).

    Attributes:
        weight_KCD: W_k, (K, C, D) float32, a copy.
        bias_KC: b_k, (K, C) float32, a copy; zeros where the layers have none.
    """

    weight_KCD: Tensor
    bias_KC: Tensor

    def __call__(self, features_nE: Tensor) -> Tensor:
        """Map features (n, K * D) to logits (n, C), the logarithm of the mean of the members' probabilities."""
        K, _, D = self.weight_KCD.shape
        features_KnD = features_nE.unflatten(1, (K, D)).transpose(0, 1) * math.sqrt(K)
        return mean_logits(torch.baddbmm(self.bias_KC[:, None], features_KnD, self.weight_KCD.mT))

    @property
    def weight_CD(self) -> Tensor:
        """Not there: every member has its own.

        Raises:
            BadInput: says so.
        """
        raise _of_one("weight_CD")

    @property
    def bias_C(self) -> Tensor:
        """Not there: every member has its own.

        Raises:
            BadInput: says so.
        """
        raise _of_one("bias_C")


def _of_one(name: str) -> BadInput:
    return BadInput(
        f"this strategy reads head.{name}, which an ensemble has not: model.members must be 1, or the strategy must "
        "call the head; single_network = True refuses ensembles before training"
    )


@torch.no_grad()
def find_head(network: nn.Module, logits_nC: Tensor, features_nD: Tensor) -> Head | EnsembleHead:
    """Return the last linear layer of `network`, or of an ensemble's members, that maps these features to these logits.

    Args:
        network: that computed them, in evaluation mode.
        logits_nC: (n, C) logits of n images.
        features_nD: (n, D) their features; of an ensemble, those of all members.

    Raises:
        BadInput: there is none; names the network.
    """
    inner, dtype = network, torch.float32
    if isinstance(network, InBfloat16):
        inner, dtype = network.network, torch.bfloat16
    ensemble = ensemble_in(network)
    K = 1 if ensemble is None else ensemble.n_members
    shape = (logits_nC.shape[1], features_nD.shape[1] // K)
    stacked = shape if ensemble is None else (K, *shape)
    for layer in reversed([module for module in inner.modules() if isinstance(module, nn.Linear)]):
        if tuple(layer.weight.shape) != stacked or layer.weight.device != features_nD.device:
            continue
        bias = torch.zeros_like(layer.weight[..., 0]) if layer.bias is None else layer.bias
        make = Head if ensemble is None else EnsembleHead
        head = make(layer.weight.detach().clone(), bias.detach().clone())
        # By how much outputs may be off: twice as much through a softmax, whose normaliser moves too.
        largest = K**0.5 * layer.weight.norm(dim=-1).max() * features_nD.norm(dim=1).max() + bias.abs().max()
        slack = TOLERANCE[dtype] * largest * (1 if ensemble is None else 2)
        if bool((head(features_nD) - logits_nC).abs().max() <= slack):
            return head
    name = type(inner if ensemble is None else ensemble.network).__name__
    raise BadInput(
        f"model: {name} has no torch.nn.Linear that maps its features ({shape[1]} numbers) to its "
        f"logits ({shape[0]}), which this strategy reads as `head`"
    )
