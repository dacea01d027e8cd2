"""Precision of float32 products on NVIDIA GPUs: true float32, or TF32, whose factors are rounded to 10 bits.

torch by itself lets convolutions use TF32, and with TORCH_ALLOW_TF32_CUBLAS_OVERRIDE=1 in the environment matrix
products too. So both are set by name, whatever a new process has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch


def use_float32(tf32: bool = False) -> None:
    """Compute matrix products and convolutions of float32 in true float32, or in TF32 where a GPU has it."""
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32


@contextmanager
def float32_products(tf32: bool = False) -> Iterator[None]:
    """Do so inside a `with` block, or in a function that this decorates."""
    restore = _restoring()
    use_float32(tf32)
    try:
        yield
    finally:
        restore()


def _restoring() -> Callable[[], None]:
    """Return what sets both to what they are now."""
    try:
        matmul, conv = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    except RuntimeError:  # set by names that newer versions of torch have, and that these do not know of
        cudnn: Any = torch.backends.cudnn
        named = [torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn]
        values = [part.fp32_precision for part in named]

        def by_name() -> None:
            for part, value in zip(named, values, strict=True):
                part.fp32_precision = value

        return by_name

    def as_before() -> None:
        torch.set_float32_matmul_precision(matmul)
        torch.backends.cudnn.allow_tf32 = conv

    return as_before
