"""Where a result came from: versions, commit, uncommitted changes, machine."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import hetal

PACKAGES = ("torch", "torchvision", "numpy", "scikit-learn", "hydra-core", "omegaconf", "wandb")


def provenance(device: torch.device) -> dict[str, Any]:
    """Describe the code and the machine a run used, as plain JSON values."""
    return {
        "hetal": hetal.__version__,
        "commit": _git("rev-parse", "HEAD"),
        "diff": _git("diff", "HEAD"),
        "untracked": _git("ls-files", "--others", "--exclude-standard"),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "machine": {
            "host": platform.node(),
            "system": platform.platform(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "cpu": torch.backends.cpu.get_cpu_capability(),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        },
    }


def _git(*command: str) -> str | None:
    """Ask git about hetal's own checkout; None where hetal was not installed from one."""
    folder = Path(hetal.__file__).parent
    if not (folder.parent / ".git").exists():
        return None
    try:
        done = subprocess.run(["git", "-C", str(folder.parent), *command], capture_output=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace").rstrip("\n") if done.returncode == 0 else None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
