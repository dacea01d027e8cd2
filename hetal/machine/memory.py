"""Peak memory of a round, and a GPU's memory that runs out."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from hetal.errors import BadInput

_PROCESS = Path("/proc/self")


def reset_peak(device: torch.device) -> None:
    """Reset the peak of `device`; on a CPU it is that of the whole process, and only Linux can reset it."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with suppress(OSError):
            (_PROCESS / "clear_refs").write_text("5")


def peak_mb(device: torch.device) -> float | None:
    """Return the peak memory in MiB: of tensors on CUDA, else of the process; None if not known."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    with suppress(OSError):
        if match := re.search(r"^VmHWM:\s*(\d+) kB", (_PROCESS / "status").read_text(), re.MULTILINE):
            return round(int(match[1]) / 2**10, 1)
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 2 ** (20 if sys.platform == "darwin" else 10), 1)


@contextmanager
def enough_memory(when: str) -> Iterator[None]:
    """Report in one line that a GPU's memory has run out inside the `with` block.

    Args:
        when: such as "round 3", for the message.

    Raises:
        BadInput: says how much was asked for.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise BadInput(
            f"{when}: the GPU has too little free memory ({str(error).split(' GPU ')[0]}); a smaller network, "
            "train.batch_size or data.n_train takes less, and other processes may hold some"
        ) from error
