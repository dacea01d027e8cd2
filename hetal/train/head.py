"""The last linear layer of a network: found by its shape, and checked against the network's own outputs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from hetal.errors import BadInput
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


@torch.no_grad()
def find_head(network: nn.Module, logits_nC: Tensor, features_nD: Tensor) -> Head:
    """Return the last linear layer of `network` that maps these features to these logits.

    Args:
        network: that computed them, in evaluation mode.
        logits_nC: (n, C) logits of n images.
        features_nD: (n, D) their features.

    Raises:
        BadInput: there is none; names the network. Or it is an ensemble, whose members have one each.
    """
    if ensemble_in(network) is not None:
        raise BadInput("this strategy reads the `head` of one network; model.members must be 1")
    inner, dtype = network, torch.float32
    if isinstance(network, InBfloat16):
        inner, dtype = network.network, torch.bfloat16
    shape = (logits_nC.shape[1], features_nD.shape[1])
    for layer in reversed([module for module in inner.modules() if isinstance(module, nn.Linear)]):
        if tuple(layer.weight.shape) != shape or layer.weight.device != features_nD.device:
            continue
        bias = torch.zeros_like(layer.weight[:, 0]) if layer.bias is None else layer.bias
        head = Head(layer.weight.detach().clone(), bias.detach().clone())
        largest = head.weight_CD.norm(dim=1).max() * features_nD.norm(dim=1).max() + head.bias_C.abs().max()
        if bool((head(features_nD) - logits_nC).abs().max() <= TOLERANCE[dtype] * largest):
            return head
    raise BadInput(
        f"model: {type(inner).__name__} has no torch.nn.Linear that maps its features ({shape[1]} numbers) to its "
        f"logits ({shape[0]}), which this strategy reads as `head`"
    )
