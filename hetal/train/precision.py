"""Memory format and precision of networks: channels last, and bfloat16."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# On the CPU with one thread, torch 2.14.1's channels-last convolutions of fewer channels write past their buffers in
# the backward pass. The channels of a grouped convolution are counted within a group.
MIN_CHANNELS = 8


class InBfloat16(nn.Module):
    """A network that computes matrix products and convolutions in bfloat16; its inputs and outputs are float32.

    Args:
        network: forward(x) -> (logits, features).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and features in float32."""
        with torch.autocast(x.device.type, torch.bfloat16):
            logits, features = self.network(x)
        return logits.float(), features.float()


def arrange(network: nn.Module) -> nn.Module:
    """Convert convolution weights to channels last where that is safe, in place, and return the network."""
    for convolution, is_safe in _convolutions(network):
        if is_safe:
            convolution.weight.data = convolution.weight.data.contiguous(memory_format=torch.channels_last)
    return network


def takes_channels_last(network: nn.Module) -> bool:
    """Return whether batches for `network` should be channels last, as decided by its first convolution."""
    return any(is_safe for _, is_safe in _convolutions(network)[:1])


def _convolutions(network: nn.Module) -> list[tuple[nn.Conv2d, bool]]:
    """Return the convolutions of a network, and whether each may be channels last.

    Where a grouped one may not, none may: it takes the layout of what comes before it.
    """
    found = [(module, _is_safe(module)) for module in network.modules() if isinstance(module, nn.Conv2d)]
    all_groups_are_safe = all(is_safe for module, is_safe in found if module.groups > 1)
    return [(module, is_safe and all_groups_are_safe) for module, is_safe in found]


def _is_safe(convolution: nn.Conv2d) -> bool:
    if convolution.weight.dim() == 5:  # stacked, as in an ensemble, where all members make one convolution
        return False
    fewest = min(convolution.in_channels, convolution.out_channels) // convolution.groups
    return convolution.weight.device.type == "cuda" or fewest >= MIN_CHANNELS


def lacks_bfloat16(device: torch.device) -> bool:
    """Return whether `device` emulates bfloat16 in software, many times slower than float32."""
    if device.type == "cuda":
        return not torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    # Older versions of torch cannot tell: assume that bfloat16 is supported.
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return not any(capabilities.get(name, True) for name in ("avx512_bf16", "amx_bf16"))
