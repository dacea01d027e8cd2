"""Where to compute."""

from __future__ import annotations

import torch

from hetal.errors import BadInput


def pick_device(name: str) -> torch.device:
    """Return the device called `name`; "auto" is cuda, else mps, else cpu.

    Raises:
        BadInput: no such device, or this machine has none.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, there in available.items() if there)
    if name not in available:
        raise BadInput(f"device={name}: must be auto, {', '.join(available)}")
    if not available[name]:
        raise BadInput(f"device={name}: this machine has none; device=auto takes what there is")
    return torch.device(name)
