"""Deep ensemble: K networks of one architecture, trained and run at once (Lakshminarayanan et al., NeurIPS 2017).

The probabilities of an ensemble are the mean of its members' (arXiv 1612.01474, section 2.4):

    p(y | x) = 1/K sum_k p_k(y | x)

Members differ by their initial weights and their dropout masks alone: all see the same batches in the same order. That
is where most of an ensemble's diversity comes from (Fort, Hu & Lakshminarayanan 2019, arXiv 1912.02757). The paper
shuffles the data for each member and may add adversarial examples; neither is done here.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, linear

from hetal.errors import BadInput, describe_error, make_part
from hetal.models.mlp import MLP

MakeNetwork = Callable[[Sequence[int], int], nn.Module]

MOST_MEMBERS = 1000


def ensemble_of(network: MakeNetwork, members: int) -> MakeNetwork:
    """Return what makes ensembles of `members` networks, called as `network` is; of one member, `network` itself.

    Args:
        network: makes one network, called as network(image_shape, n_classes).
        members: K, in 1..1000.

    Raises:
        BadInput: `members` is out of range.
    """
    if not 1 <= members <= MOST_MEMBERS:
        raise BadInput(f"model.members={members}: must be in 1..{MOST_MEMBERS}")
    return network if members == 1 else partial(_drawn, network, members)


def _drawn(network: MakeNetwork, members: int, image_shape: Sequence[int], n_classes: int) -> Ensemble:
    """Draw the members one after another, so that the first is what a single network would be."""
    return Ensemble([make_part("model", network, nn.Module, image_shape, n_classes) for _ in range(members)])


class Ensemble(nn.Module):
    """K networks whose weights are stacked: every parameter and buffer has one dimension more, the first, of size K.

    What else a network holds is that of the first member. Parameters that are trained one element at a time, as by SGD
    or Adam, are trained as those of K networks apart.

    Args:
        networks: of one architecture, each forward(x) -> (logits, features); the first is changed.

    Attributes:
        network: the first network, with stacked tensors in the places of its own.
        n_members: K.

    Raises:
        BadInput: parameters or buffers have different names or shapes.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.network = networks[0]
        self.n_members = len(networks)
        name = type(self.network).__name__
        stacked: dict[int, Tensor] = {}  # so that one tensor in two places stays one
        try:
            for slots in zip(*map(_slots, networks), strict=True):
                first = slots[0][0][slots[0][1]]
                if id(first) not in stacked:
                    stacked[id(first)] = _stack([tensors[key] for tensors, key in slots])
            for tensors, key in [*_slots(self.network)]:
                tensors[key] = stacked[id(tensors[key])]
        except Exception as error:  # networks of a user, who may draw their architecture
            raise BadInput(
                f"model.members={len(networks)}: {name} cannot be stacked: {describe_error(error)}"
            ) from error

    def member(self, k: int) -> nn.Module:
        """Return a copy of member `k`, in 0..K-1, as a network of its own."""
        network = copy.deepcopy(self.network)
        cut: dict[int, Tensor] = {}
        for tensors, key in [*_slots(network)]:
            whole = tensors[key]
            if id(whole) not in cut:
                own = whole.detach()[k].clone()
                is_weight = isinstance(whole, nn.Parameter)
                cut[id(whole)] = nn.Parameter(own, whole.requires_grad) if is_weight else own
            tensors[key] = cut[id(whole)]
        return network

    def members(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, *image_shape) to the logits (K, B, C) and features (K, B, D) of all members."""
        if _is_perceptron(self.network):
            return _perceptrons(self.network, x)
        tensors = {**dict(self.network.named_parameters()), **dict(self.network.named_buffers())}
        run = torch.func.vmap(self._run, in_dims=(0, None), randomness="different")
        logits, features = run(tensors, x)
        return logits, features

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, *image_shape) to the logarithm of the mean probabilities (B, C) and features (B, K * D).

        The features are those of all members side by side, divided by sqrt(K): squared distances are the mean of the
        members'.
        """
        logits, features = self.members(x)
        return mean_logits(logits), features.transpose(0, 1).flatten(1) / math.sqrt(self.n_members)

    def _run(self, tensors: dict[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
        """Run one member; `vmap` makes it all of them."""
        own = dict(tensors)
        logits, features = torch.func.functional_call(self.network, own, (x,))
        for name, tensor in tensors.items():
            if own[name] is not tensor:  # the network has put a new tensor in the place of a buffer
                tensor.copy_(own[name])
        return logits, features


def mean_logits(logits_KBC: Tensor) -> Tensor:
    """Return the logarithm of the mean of the members' class probabilities: (K, B, C) to (B, C)."""
    return logits_KBC.log_softmax(-1).logsumexp(0) - math.log(len(logits_KBC))


def _slots(network: nn.Module) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield every place of a parameter or buffer, in the same order for networks of one architecture."""
    for module in network.modules():
        for tensors in (module._parameters, module._buffers):
            yield from ((tensors, key) for key, tensor in tensors.items() if tensor is not None)


def _stack(tensors: Sequence[Tensor]) -> Tensor:
    stacked = torch.stack([tensor.detach() for tensor in tensors])
    first = tensors[0]
    return nn.Parameter(stacked, first.requires_grad) if isinstance(first, nn.Parameter) else stacked


def _is_perceptron(network: nn.Module) -> TypeGuard[MLP]:
    return (
        isinstance(network, MLP)
        and type(network).forward is MLP.forward
        and all(
            type(layer) in (nn.Flatten, nn.Linear, nn.ReLU, nn.Dropout)
            for layer in [*network.body, network.head]
        )
    )


def _perceptrons(network: MLP, x: Tensor) -> tuple[Tensor, Tensor]:
    """Run stacked MLPs; `vmap` gives the same, but its overhead is as long as a step of a small one."""
    h = x.flatten(1)
    for layer in network.body:
        if isinstance(layer, nn.Linear):
            h = _linear(h, layer)
        elif isinstance(layer, nn.ReLU):
            h = h.relu()
        elif isinstance(layer, nn.Dropout):
            h = dropout(h, layer.p, layer.training)
    return _linear(h, network.head), h


def _linear(x: Tensor, layer: nn.Linear) -> Tensor:
    """Apply K stacked linear layers to inputs (B, I) that all share, or to the inputs (K, B, I) of each: (K, B, O)."""
    weight_KOI, bias_KO = layer.weight, layer.bias
    if x.dim() == 2:  # one product of large matrices
        y: Tensor = linear(x, weight_KOI.flatten(0, 1), bias_KO.flatten())
        return y.view(len(x), *bias_KO.shape).transpose(0, 1)
    # The last dimension of all products, those of the gradients too, is a long one.
    return torch.baddbmm(bias_KO[..., None], weight_KOI, x.mT).mT
