"""Provenance of a result: versions, commit, uncommitted changes, machine."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import hetal
from hetal.record.code import code_versions, own_code_digest, targets
from hetal.record.redact import redacted
from hetal.record.schema import Machine, Session

PACKAGES = ("torch", "torchvision", "numpy", "scikit-learn", "hydra-core", "omegaconf", "wandb")

# Packages that compute the numbers of a result.
ARITHMETIC = ("torch", "torchvision", "numpy", "scikit-learn")
# Targets in them, such as torch.nn.CrossEntropyLoss, are identified by these versions alone.
ARITHMETIC_MODULES = ("torch.", "torchvision.", "numpy.", "sklearn.")

# Packages that compute them as well where a target of hetal's uses them.
BY_TARGET = {
    "hetal.data.load_folder": "pillow",
    "hetal.data.load_huggingface": "pillow",
    "hetal.models.Timm": "timm",
}

# hetal's folders and files that compute a result; the others show it, store it or start it.
COMPUTES = (
    "acquisition",
    "algs",
    "app/compose.py",
    "augment",
    "budget.py",
    "data",
    "evaluate.py",
    "experiment.py",
    "guard",
    "loop.py",
    "machine/device.py",
    "machine/process.py",
    "machine/scratch.py",
    "models",
    "noise",
    "oracle.py",
    "pool.py",
    "record/checkpoint.py",
    "rng.py",
    "task.py",
    "train",
)

# Environment variables that make numerical libraries use other instructions, another precision or another order of
# sums. On an AMD CPU with torch 2.14, ATEN_CPU_CAPABILITY, MKL_CBWR, ONEDNN_MAX_CPU_ISA, OPENBLAS_CORETYPE and
# NPY_*_CPU_FEATURES were seen to change bits; others act on other machines. Variables for the number of threads are
# left out: the setting `threads` overrides them, and they were seen to change nothing.
CHANGES_BITS = (
    "ATEN_CPU_CAPABILITY",
    "MKL_CBWR",
    "MKL_DEBUG_CPU_TYPE",
    "MKL_ENABLE_INSTRUCTIONS",
    "ONEDNN_MAX_CPU_ISA",
    "ONEDNN_CPU_ISA_HINTS",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "DNNL_MAX_CPU_ISA",
    "DNNL_CPU_ISA_HINTS",
    "DNNL_DEFAULT_FPMATH_MODE",
    "OPENBLAS_CORETYPE",
    "BLIS_ARCH_TYPE",
    "NPY_DISABLE_CPU_FEATURES",
    "NPY_ENABLE_CPU_FEATURES",
    "GLIBC_TUNABLES",
    "KMP_DETERMINISTIC_REDUCTION",
    "TORCH_MKLDNN_MATMUL_MIN_DIM",
    "CUBLAS_WORKSPACE_CONFIG",
    "CUBLASLT_WORKSPACE_SIZE",
    "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "TORCH_BLAS_PREFER_CUBLASLT",
    "TORCH_CUDNN_V8_API_DISABLED",
    "PYTORCH_MPS_FAST_MATH",
    "PYTORCH_MPS_PREFER_METAL",
)


def made_by(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the versions of all that computes the run of `config`; if they differ, the result may.

    Args:
        config: the resolved config; the packages that its targets come from are included, but for those of measures,
            on which nothing else depends.

    Returns:
        hetal's version and code digest, the versions of numerical packages, and `hetal.record.code.code_versions`.
    """
    named = [*targets({key: value for key, value in config.items() if key != "measures"})]
    used = [BY_TARGET[name] for name in named if name in BY_TARGET]
    versions = {name: _version(name) or "unknown" for name in (*ARITHMETIC, *used)}
    return {
        "hetal": f"{hetal.__version__} ({own_code_digest(COMPUTES)})",
        **versions,
        **code_versions(name for name in named if not name.startswith(ARITHMETIC_MODULES)),
    }


def source() -> dict[str, Any]:
    """Return the commit, diff and untracked files of hetal's own git checkout; null without a checkout."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "diff": _git("diff", "HEAD"),
        "untracked": _git("ls-files", "--others", "--exclude-standard"),
    }


def session(device: torch.device, config_dirs: Sequence[str] = ()) -> Session:
    """Describe this start of the run: time, packages, machine, and where the user's own configs are."""
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
            environment=numerics_environment(),
        ),
        config_dirs=list(config_dirs),
    )


def numerics_environment() -> dict[str, str]:
    """Return all that is set outside hetal's settings and can change the bits of a result."""
    environment = {name: os.environ[name] for name in CHANGES_BITS if name in os.environ}
    precision = torch.get_float32_matmul_precision()
    return (
        environment
        if precision == "highest"
        else {**environment, "torch.float32_matmul_precision": precision}
    )


def environment_change(now: Session, before: Sequence[Session]) -> str | None:
    """Describe how the numerics environment of this session differs from an earlier one's; None if it does not."""
    current = now.machine.environment or {}
    for session in before:
        earlier = session.machine.environment
        if earlier is not None and earlier != current:
            names = [name for name in sorted({*earlier, *current}) if earlier.get(name) != current.get(name)]
            then, since = (
                ", ".join(
                    f"{name}={environment[name]}" if name in environment else f"{name} not set"
                    for name in names
                )
                for environment in (earlier, current)
            )
            return f"begun with {then}; this is with {since}; equal bits are promised with the same"
    return None


def _git(*command: str) -> str | None:
    """Return the output of a git command on hetal's own checkout; None if there is none."""
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
