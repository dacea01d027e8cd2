"""Features of a network that returns logits only: it is split at the linear layer that computes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from hetal.errors import BadInput


class WithFeatures(nn.Module):
    """A network in two parts, made by `with_features`.

    Args:
        body: maps images (B, *image_shape) to features (B, D).
        head: maps features to logits (B, C).
        name: of the class of the network that was split, for messages.
    """

    def __init__(self, body: nn.Module, head: nn.Linear, name: str) -> None:
        super().__init__()
        self.body = body
        self.head = head
        self.name = name

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, *image_shape) to logits (B, C) and features (B, D)."""
        features = self.body(x)
        return self.head(features), features


def with_features(network: nn.Module, image_shape: Sequence[int]) -> WithFeatures:
    """Make a network that returns logits return (logits, features); its weights and logits stay the same.

    The network is run once, in eval mode, to find its head: the `nn.Linear` whose output it returns. The head is taken
    out of it, and what is left computes the features.

    Args:
        network: forward(x: (B, *image_shape) float32) -> logits (B, C).
        image_shape: (C, H, W) or (D,).

    Raises:
        BadInput: it does not return the output of a linear layer, unchanged, that it calls once.
    """
    return split_at(head_of(network, image_shape), network)


def split_at(head: str, network: nn.Module) -> WithFeatures:
    """Split a network at its linear layer called `head`, as `head_of` returns it."""
    name = type(network).__name__
    layer = network.get_submodule(head)
    assert isinstance(layer, nn.Linear)
    if layer is network:
        return WithFeatures(nn.Identity(), layer, name)
    for module in network.modules():
        for key, child in module.named_children():
            if child is layer:
                setattr(module, key, nn.Identity())
    return WithFeatures(network, layer, name)


def head_of(network: nn.Module, image_shape: Sequence[int]) -> str:
    """Return the name of the linear layer whose output a network returns; "" if it is itself that layer.

    Raises:
        BadInput: as `with_features`.
    """
    calls: list[_Call] = []

    def watch(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        return lambda module, inputs, output: calls.append(_Call(name, output, output._version))

    handles = [
        module.register_forward_hook(watch(name))
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear)
    ]
    modes = {module: module.training for module in network.modules()}
    device = next((p.device for p in network.parameters()), None)
    x = torch.linspace(-1, 1, 2 * math.prod(image_shape), device=device).reshape(2, *image_shape)
    try:
        with torch.no_grad():
            logits = network.eval()(x)
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes.items():
            module.training = training
    name = f"model: {type(network).__name__}"
    if not isinstance(logits, Tensor):
        raise BadInput(
            f"{name} gives a {type(logits).__name__}; with_features takes a network that gives one tensor, "
            "the logits"
        )
    # The same tensor, not written to since: then nothing follows the layer.
    heads = [call.name for call in calls if call.output is logits and call.version == logits._version]
    if not heads:
        raise BadInput(
            f"{name} does not return the output of a torch.nn.Linear, so its features are unknown; without "
            "one, forward must itself return two tensors, (logits, features)"
        )
    if [call.name for call in calls].count(heads[0]) > 1:
        raise BadInput(f"{name} calls its last linear layer, {heads[0]}, more than once for one batch")
    return heads[0]


class _Call(NamedTuple):
    """One call of a linear layer: its name, its output, and how often that had been written to."""

    name: str
    output: Tensor
    version: int
