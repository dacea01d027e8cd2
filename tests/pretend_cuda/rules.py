"""What CUDA does otherwise than a CPU: what it refuses, what waits for it, what does not repeat bit for bit.

Sources: torch.use_deterministic_algorithms and torch.cuda.set_sync_debug_mode (documentation of torch 2.6 and 2.14),
and the code of ATen/native and ATen/native/cuda.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

# Operations that wait for the device, and how often each time.
WAITS = {
    "_local_scalar_dense": 1, "nonzero": 1, "masked_select": 1, "_unique": 1, "_unique2": 1, "unique_dim": 1,
    "unique_consecutive": 1, "bincount": 2, "equal": 1, "is_nonzero": 1, "allclose": 1, "histc": 2,
    "_linalg_check_errors": 1, "_linalg_eigh": 1, "_linalg_svd": 1, "linalg_eig": 2, "linalg_lstsq": 1,
}  # fmt: skip

# Operations that draw from the device's generator.
RANDOM = {
    "native_dropout", "bernoulli", "bernoulli_", "uniform", "uniform_", "normal", "normal_", "normal_functional",
    "random", "random_", "exponential_", "geometric_", "cauchy_", "log_normal_", "rand", "randn", "rand_like",
    "randn_like", "randint", "randint_like", "randperm", "multinomial", "poisson",
}  # fmt: skip

# Of these torch has no deterministic kernel: with use_deterministic_algorithms it warns, or raises.
UNREPEATABLE = {
    "_adaptive_avg_pool2d_backward", "_adaptive_avg_pool3d_backward", "adaptive_max_pool2d_backward",
    "avg_pool3d_backward", "fractional_max_pool2d_backward", "fractional_max_pool3d_backward", "max_unpool2d",
    "max_unpool3d", "reflection_pad1d_backward", "reflection_pad2d_backward", "reflection_pad3d_backward",
    "upsample_linear1d_backward", "upsample_bilinear2d_backward", "upsample_bicubic2d_backward",
    "upsample_trilinear3d_backward", "nll_loss2d_forward", "_ctc_loss_backward", "put_", "median.dim", "nanmedian.dim",
    "grid_sampler_2d_backward", "grid_sampler_3d_backward", "kthvalue", "histc",
}  # fmt: skip

# Nor of these in torch 2.6, the oldest that hetal takes; newer ones have one.
UNREPEATABLE_IN_OLD = {
    "replication_pad1d_backward", "replication_pad2d_backward", "replication_pad3d_backward",
    "max_pool3d_with_indices_backward",
}  # fmt: skip

# These have one, slower as a rule, where use_deterministic_algorithms is on. (scatter_reduce: sums only)
REPEATABLE_IF_TOLD = {
    "index_put", "index_put_", "_index_put_impl_", "_unsafe_index_put", "index_add", "index_add_", "scatter_add",
    "scatter_add_", "index_copy", "index_copy_", "scatter", "scatter_", "embedding_dense_backward",
    "index_select_backward", "scatter_reduce", "scatter_reduce_",
}  # fmt: skip

# And these with some arguments, see `repeats`.
LOOKED_AT = {"bincount", "cumsum", "cumsum_", "max_pool2d_with_indices_backward"}

# Indexing: moves indices that are on the CPU to the device, and counts masks.
INDEXES = {"index", "_unsafe_index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index_put"}

# Operations, besides pointwise ones, that take a CPU tensor without dimensions beside CUDA ones.
TAKE_CPU_SCALARS = {
    "masked_fill", "masked_fill_", "fill", "fill_", "index_fill", "index_fill_", "where", "clamp", "clamp_", "mul",
    "scalar_tensor", "lift_fresh",
}  # fmt: skip

# Of these the fused kernels walk memory as it lies: lists must be laid out like the first, the parameters.
WALK_MEMORY = {"_fused_adam_", "_fused_adamw_", "_fused_sgd_"}

# Arguments that are written though their schema does not say so.
WRITES = {"native_batch_norm": (3, 4), "cudnn_batch_norm": (3, 4)}

# Allocate, and start no kernel; and what else starts none.
ALLOCATES = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "empty_permuted"}
START_NOTHING = {*ALLOCATES, "_local_scalar_dense"}


class Operation(NamedTuple):
    """What is known of an operation whatever its arguments.

    Attributes:
        name: without that of the overload.
        overload: the full name.
        written: place and name of the arguments that it writes to by its schema.
        writes_any: whether it writes to an argument.
        returns_written: whether it returns what it writes to.
        is_view: whether all that it returns shares memory with its arguments.
        takes_scalars: whether it takes a CPU tensor without dimensions beside CUDA ones.
        may_not_repeat: whether `repeats` has to look at its arguments.
    """

    name: str
    overload: str
    written: tuple[tuple[int, str], ...]
    writes_any: bool
    returns_written: bool
    is_view: bool
    takes_scalars: bool
    may_not_repeat: bool


@functools.cache
def operation(func: Any) -> Operation:
    """Return what is known of an operation of torch."""
    overload = func.__name__
    name = overload.split(".")[0]
    arguments, returns = func._schema.arguments, func._schema.returns
    written = tuple((i, a.name) for i, a in enumerate(arguments) if a.alias_info and a.alias_info.is_write)
    returns_written = bool(returns and returns[0].alias_info and returns[0].alias_info.is_write)
    return Operation(
        name,
        overload,
        written,
        bool(written) or name in WRITES,
        returns_written,
        bool(returns) and not returns_written and all(r.alias_info is not None for r in returns),
        torch.Tag.pointwise in func.tags
        or name in TAKE_CPU_SCALARS | WALK_MEMORY
        or name.startswith("_foreach"),
        name in UNREPEATABLE | UNREPEATABLE_IN_OLD | REPEATABLE_IF_TOLD | LOOKED_AT
        or overload in UNREPEATABLE,
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
