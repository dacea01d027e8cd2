"""Precision of float32 products on NVIDIA GPUs: true float32, or TF32, whose factors are rounded to 10 bits.

torch by itself lets convolutions use TF32, and with TORCH_ALLOW_TF32_CUBLAS_OVERRIDE=1 in the environment matrix
products too. So both are set by name, whatever a new process has.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def use_float32(tf32: bool = False) -> None:
    """Compute matrix products and convolutions of float32 in true float32, or in TF32 where a GPU has it."""
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32


@contextmanager
def float32_products(tf32: bool = False) -> Iterator[None]:
    """Do so inside a `with` block, or in a function that this decorates."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    use_float32(tf32)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]
