"""Where a result came from: versions, commit, uncommitted changes, machine."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import hetal
from hetal.code import code_of, own_code, targets
from hetal.secrecy import redacted

PACKAGES = ("torch", "torchvision", "numpy", "scikit-learn", "hydra-core", "omegaconf", "wandb")

# Packages whose arithmetic a result is made of.
ARITHMETIC = ("torch", "torchvision", "numpy", "scikit-learn")

# What shows results and cannot change them.
SHOWS = (
    "answers.py",
    "bench.py",
    "cli.py",
    "conduct.py",
    "dashboard.py",
    "display.py",
    "figure.py",
    "gpus.py",
    "launchers.py",
    "memory.py",
    "pictures.py",
    "report",
    "resolvers.py",
    "secrecy.py",
    "sweep.py",
    "testing.py",
    "tracing.py",
    "tracked.py",
    "tracking.py",
)


def made_by(config: Mapping[str, Any]) -> dict[str, str]:
    """Say what computes the run of `config`; where two answers differ, so may the bits.

    Args:
        config: the resolved config; the packages its targets come from count as code.

    Returns:
        hetal's version and code, the versions of what does its arithmetic, and see `hetal.code.code_of`.
    """
    versions = {name: _version(name) or "unknown" for name in ARITHMETIC}
    return {"hetal": f"{hetal.__version__} ({own_code(SHOWS)})", **versions, **code_of(targets(config))}


def source() -> dict[str, Any]:
    """Describe the state of hetal's own checkout, as plain JSON values; null where there is none."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "diff": _git("diff", "HEAD"),
        "untracked": _git("ls-files", "--others", "--exclude-standard"),
    }


@dataclass(frozen=True)
class Machine:
    """What a session ran on."""

    host: str
    system: str
    cores: int | None
    threads: int
    cpu: str
    device: str


@dataclass(frozen=True)
class Session:
    """One start of a run: when, with which packages, on what machine."""

    started: str
    python: str
    packages: dict[str, str | None]
    machine: Machine


def session(device: torch.device) -> Session:
    """Describe the moment and the machine of this start."""
    return Session(
        started=time.strftime("%FT%T%z"),
        python=platform.python_version(),
        packages={name: _version(name) for name in PACKAGES},
        machine=Machine(
            host=platform.node(),
            system=platform.platform(),
            cores=os.cpu_count(),
            threads=torch.get_num_threads(),
            cpu=torch.backends.cpu.get_cpu_capability(),
            device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        ),
    )


def _git(*command: str) -> str | None:
    """Ask git about hetal's own checkout; None where hetal was not installed from one."""
    folder = Path(hetal.__file__).parent
    if not (folder.parent / ".git").exists():
        return None
    try:
        done = subprocess.run(["git", "-C", str(folder.parent), *command], capture_output=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode:
        return None
    return redacted(done.stdout.decode(errors="replace").rstrip("\n"))


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
