"""What CUDA does otherwise than a CPU: what it refuses, what waits for it, what does not repeat bit for bit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from tests.pretend_cuda.operations import (
    INDEXES,
    REPEATABLE_IF_TOLD,
    UNREPEATABLE,
    UNREPEATABLE_IN_OLD,
    WAITS,
    WALK_MEMORY,
    Operation,
)


def n_waits(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> int:
    """Return how often an operation waits for the device; copies are counted apart."""
    if name in INDEXES:
        return sum(1 for _ in _masks(name, args))
    if name == "repeat_interleave":
        return int(kwargs.get("output_size") is None)
    if name == "multinomial":  # without replacement, it looks at its probabilities on the host
        return 0 if _argument(args, kwargs, 2, "replacement", False) and args[1] > 1 else 2
    if name == "isin":  # sorts both, unless the second is short
        short = (
            10 * len(tree_leaves(args[0]))
            if not isinstance(args[0], Tensor)
            else 10 * args[0].numel() ** 0.145
        )
        return 2 if isinstance(args[1], Tensor) and args[1].numel() >= short else 0
    return WAITS.get(name, 0)


def _masks(name: str, args: Sequence[Any]) -> Iterator[Tensor]:
    """Yield the boolean masks of indexing that become positions; filling by one mask with a CPU scalar needs none."""
    masks = [index for index in args[1] if index is not None and index.dtype in (torch.bool, torch.uint8)]
    if "put" in name and len(masks) == 1 == sum(index is not None for index in args[1]):
        value, accumulates = args[2], len(args) > 3 and args[3]
        if value.numel() == 1 and value.device.type == "cpu" and not accumulates:
            return
    yield from masks


def repeats(operation: Operation, args: Sequence[Any], kwargs: dict[str, Any]) -> str | None:
    """Return "never" or "old torch" for an operation without deterministic kernel, "slower" where there is another."""
    name, overload = operation.name, operation.overload
    if not operation.may_not_repeat:
        return None
    first = args[0] if args else None
    is_float = isinstance(first, Tensor) and (first.is_floating_point() or first.is_complex())
    if name in UNREPEATABLE or overload in UNREPEATABLE:
        return "never"
    if name == "bincount" and _argument(args, kwargs, 1, "weights", None) is not None:
        return "never"
    if name in ("cumsum", "cumsum_"):
        # The sum may be of another type than what is summed.
        dtype = kwargs.get("dtype") or first.dtype
        return "old torch" if dtype.is_floating_point or dtype.is_complex else None
    if name == "max_pool2d_with_indices_backward":  # windows that do not overlap write each place once
        size, stride = args[2], args[3] or args[2]
        overlaps = any(k > s for k, s in zip(_pair(size), _pair(stride), strict=True))
        return "old torch" if overlaps else None
    if name in UNREPEATABLE_IN_OLD:
        return "old torch"
    if name.startswith("scatter_reduce"):
        if args[4] == "prod":
            return "never"
        return "slower" if args[4] in ("sum", "mean") and is_float else None
    if name in REPEATABLE_IF_TOLD and "value" not in overload:
        is_fill = "put" in name and not any(True for _ in _masks(name, args)) and args[2].numel() == 1
        sums = (
            "add" in name or "embedding" in name or "backward" in name or (len(args) > 3 and args[3] is True)
        )
        # What only writes is ambiguous where a place is written twice with different values; sums of integers never.
        if is_fill or (sums and not is_float):
            return None
        return "slower"
    return None


def refusal(
    operation: Operation,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    others: Sequence[Any],
    on_device: type[Tensor],
) -> str | None:
    """Return what CUDA says against these arguments, of which at least one is on the device; None if nothing.

    Args:
        operation: what is done.
        args, kwargs: of it.
        others: the generators, and the tensors of the host, among these.
        on_device: the type of tensors of the device.
    """
    name = operation.name
    if any(isinstance(other, torch.Generator) for other in others):
        return "Expected a 'cuda' device type for generator but found 'cpu'"
    if name in WALK_MEMORY and not all(
        _laid_out_alike(args[0], some) for some in args[1:] if isinstance(some, list)
    ):
        return "params, grads and moments must have the same strides"
    if name == "copy_":
        return None

    def on_host(values: Any) -> list[Tensor]:
        return [t for t in tree_leaves(values) if isinstance(t, Tensor) and not isinstance(t, on_device)]

    for i, key in operation.written:
        if on_host(kwargs.get(key, args[i] if i < len(args) else None)):
            return "the output is on cpu, and an input on cuda:0"
    if name in INDEXES:
        if not isinstance(args[0], on_device):
            return "indices should be either on cpu or on the same device as the indexed tensor (cpu)"
        others = on_host((args[2:], kwargs))
        if "put" in name and all(t.numel() == 1 and t.dim() == 0 for t in others):
            return None
    if any(t.dim() or not operation.takes_scalars for t in others):
        return (
            "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!"
        )
    return None


def _laid_out_alike(parameters: list[Tensor], others: list[Tensor]) -> bool:
    return all(
        all(n < 2 or a == b for n, a, b in zip(p.shape, p.stride(), t.stride(), strict=True))
        for p, t in zip(parameters, others, strict=False)
        if t.dim() == p.dim()
    )


def _argument(args: Sequence[Any], kwargs: dict[str, Any], place: int, name: str, default: Any) -> Any:
    return args[place] if len(args) > place else kwargs.get(name, default)


def _pair(size: Sequence[int]) -> tuple[int, int]:
    return (size[0], size[-1])
