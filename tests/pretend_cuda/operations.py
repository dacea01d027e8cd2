"""What is known of torch's operations on CUDA: which wait for the device, which do not repeat bit for bit, which draw.

Sources: torch.use_deterministic_algorithms and torch.cuda.set_sync_debug_mode (documentation of torch 2.6 and 2.14),
and the code of ATen/native and ATen/native/cuda.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import torch

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
def operation_of(func: Any) -> Operation:
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
