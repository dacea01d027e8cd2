"""The device to compute on, set up for repeatable arithmetic."""

from __future__ import annotations

import os

import torch

from hetal.errors import BadInput
from hetal.machine.arithmetic import use_float32

# More threads than cores only serve to repeat the sums of a larger machine, and a process crashes with thousands.
MAX_THREADS = max(os.cpu_count() or 1, 64)


def pick_device(name: str, threads: int) -> torch.device:
    """Return the device called `name`, and make its arithmetic repeatable.

    Args:
        name: "cpu", "cuda" or "mps"; "auto" is cuda, else mps, else cpu.
        threads: threads of CPU arithmetic. Sums are split among them, so their number changes the last bits of a
            result.

    Raises:
        BadInput: there is no such device, this machine has none, `threads` is not in 1..`MAX_THREADS`, or the
            environment allows fewer.
    """
    if not 1 <= threads <= MAX_THREADS:
        raise BadInput(f"threads={threads}: must be in 1..{MAX_THREADS} on this machine")
    # With fewer threads than requested, torch sums in another order or hangs.
    if threads > 1 and os.environ.get("OMP_DYNAMIC", "").strip().lower() == "true":
        raise BadInput(f"threads={threads}: OMP_DYNAMIC=true gives fewer at times; unset it")
    limit = os.environ.get("OMP_THREAD_LIMIT", "").strip()
    if limit.isdecimal() and threads > int(limit):
        raise BadInput(f"threads={threads}: OMP_THREAD_LIMIT={limit} allows no more than {limit}")
    torch.set_num_threads(threads)
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, is_available in available.items() if is_available)
    if name not in available:
        raise BadInput(f"device={name}: must be auto, {', '.join(available)}")
    if not available[name]:
        raise BadInput(f"device={name}: this machine has none; device=auto takes what there is")
    if name == "cuda":
        # Both must be set before the first CUDA call; otherwise cuBLAS and cuDNN may sum in any order.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        # As use_deterministic_algorithms(True, warn_only=True), which imports the compiler (2 s).
        torch.set_deterministic_debug_mode("warn")
        # Would be one more operation for each tensor that is made.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        torch.backends.cudnn.benchmark = False
        use_float32()
    return torch.device(name)
