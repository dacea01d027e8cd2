"""Settings of the whole process that results depend on, and that no part of a run may leave changed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from hetal.errors import BadInput


@contextmanager
def unchanged(who: str) -> Iterator[None]:
    """See to it that what is done inside leaves the process as it was: what comes after must not depend on it.

    A run that was killed, or another job of a sweep in the same process, would go on in another way.

    Args:
        who: does it, for the message.

    Raises:
        BadInput: names the first setting that was changed.
    """
    before = _settings()
    yield
    for name, value in _settings().items():
        if value != before[name]:
            raise BadInput(
                f"{who} changed {name} from {before[name]} to {value}, which all that follows depends on; set it back"
            )


def _settings() -> dict[str, object]:
    return {
        "torch.get_default_dtype()": torch.get_default_dtype(),
        "torch.get_default_device()": torch.get_default_device(),
        "torch.get_num_threads()": torch.get_num_threads(),
        "torch.is_grad_enabled()": torch.is_grad_enabled(),
        "torch.is_inference_mode_enabled()": torch.is_inference_mode_enabled(),
        "torch.are_deterministic_algorithms_enabled()": torch.are_deterministic_algorithms_enabled(),
        "torch.get_float32_matmul_precision()": torch.get_float32_matmul_precision(),
        "torch.get_flush_denormal()": bool(torch.tensor(1e-45, device="cpu") * 1.0 == 0),
        "torch.backends.cudnn.benchmark": torch.backends.cudnn.benchmark,
        "torch.backends.cudnn.allow_tf32": torch.backends.cudnn.allow_tf32,
        "os.getcwd()": os.getcwd(),
    }
