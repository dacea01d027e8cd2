"""Transfers between the host and a GPU: many tensors in one copy, and to the GPU without waiting for it.

A transfer costs the host more in waiting than in bytes: it waits for all that the GPU has still to do. From pinned
memory a copy to the GPU is queued like any operation. To the host there must be a wait, but one serves many tensors.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

# Bytes that are packed on a GPU before they come to the host.
AT_ONCE = 2**28


def to_device(device: torch.device, *tensors: Tensor) -> list[Tensor]:
    """Return tensors on `device`; those of the host go in one transfer, which the host does not wait for.

    What is there already is returned as it is. Copies share memory, so they are for reading, or to be cloned.
    """
    if device.type != "cuda":
        return [tensor.to(device) for tensor in tensors]
    at_host = [i for i, tensor in enumerate(tensors) if tensor.device.type == "cpu"]
    moved = list(tensors)
    if at_host:
        bytes_n = torch.empty(_n_bytes([tensors[i] for i in at_host]), dtype=torch.uint8, pin_memory=True)
        for space, i in zip(_parts(bytes_n, [tensors[i] for i in at_host]), at_host, strict=True):
            space.copy_(tensors[i])
        there = _parts(bytes_n.to(device, non_blocking=True), [tensors[i] for i in at_host])
        for i, tensor in zip(at_host, there, strict=True):
            moved[i] = tensor
    return moved


def to_host(*tensors: Tensor) -> list[Tensor]:
    """Return tensors on the CPU; those of a GPU come in one transfer for each 256 MiB, each with memory of its own.

    What is there already is returned as it is.
    """
    fetched, size = list(tensors), 0
    waiting: list[int] = []
    for i, tensor in enumerate(tensors):
        n = _n_bytes([tensor])
        if tensor.device.type == "cpu":
            continue
        if tensor.layout != torch.strided or tensor.is_conj() or tensor.is_neg() or n > AT_ONCE:
            fetched[i] = tensor.detach().cpu()
            continue
        if size + n > AT_ONCE:
            _fetch(fetched, waiting)
            waiting, size = [], 0
        waiting.append(i)
        size += n
    _fetch(fetched, waiting)
    return fetched


def _fetch(tensors: list[Tensor], which: list[int]) -> None:
    """Replace some of the tensors by copies on the CPU, in one transfer."""
    if which:
        chosen = [tensors[i] for i in which]
        parts = [chosen[k].detach().contiguous().view(-1).view(torch.uint8) for k in _by_item_size(chosen)]
        for i, tensor in zip(which, _parts(torch.cat(parts).cpu(), chosen), strict=True):
            tensors[i] = tensor.clone()  # so that it can be saved


def move(network: nn.Module, device: torch.device) -> nn.Module:
    """Move a network to `device` in place, all its parameters and buffers in one transfer, and return it."""
    if device.type != "cuda":
        return network.to(device)
    owned = [*network.parameters(), *network.buffers()]
    tensors = [tensor for tensor in owned if tensor.device.type == "cpu"]
    arrived = iter(to_device(device, *(tensor.detach() for tensor in tensors)))
    moved = {id(tensor): copy.clone() for tensor, copy in zip(tensors, arrived, strict=True)}
    # Only what is not there yet is replaced, by what has arrived: memory of its own, so that it can be saved alone.
    network._apply(lambda tensor: moved[id(tensor)] if id(tensor) in moved else tensor.to(device))
    return network


def _by_item_size(tensors: Sequence[Tensor]) -> list[int]:
    """Return an order in which tensors, one after the other, are aligned."""
    return sorted(range(len(tensors)), key=lambda i: -tensors[i].element_size())


def _n_bytes(tensors: Sequence[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _parts(bytes_n: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return, of bytes that hold tensors in the order of `_by_item_size`, the tensors."""
    parts: list[Tensor] = [bytes_n] * len(tensors)
    start = 0
    for i in _by_item_size(tensors):
        end = start + tensors[i].numel() * tensors[i].element_size()
        parts[i] = bytes_n[start:end].view(tensors[i].dtype).view(tensors[i].shape)
        start = end
    return parts
