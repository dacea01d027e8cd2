"""Values that configs compute: `${factor_of:...}`, `${sweep_id:}`, `${jobs_at_once:...}`, `${wandb:...}`."""

from __future__ import annotations

import os
import time
from typing import Any

from omegaconf import DictConfig, OmegaConf


def factor_of(mult: Any) -> Any:
    """Return the noise factor that `mult=2.5` or `mult.factor=2.5` asks for; a number stands for itself."""
    return mult.factor if isinstance(mult, DictConfig) else mult


def sweep_id() -> str:
    """Return a name for the sweep that this process starts."""
    return f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{os.getpid()}"


def jobs_at_once(device: str, threads: int, jobs_per_gpu: int) -> int:
    """Return how many jobs this machine can run side by side.

    Args:
        device: where jobs compute; "auto" is a GPU where there is one.
        threads: that each job computes with, where it computes on the CPU.
        jobs_per_gpu: that share one GPU.
    """
    import joblib
    import torch

    if device in ("auto", "cuda") and torch.cuda.is_available():
        return torch.cuda.device_count() * jobs_per_gpu
    cores: int = joblib.cpu_count()
    return max(cores // max(threads, 1), 1)


def wandb_says(setting: str, otherwise: str | None) -> str | None:
    """Return what the environment says of a setting of W&B, such as WANDB_PROJECT of `project`.

    Args:
        setting: its name.
        otherwise: returned where the environment says nothing.
    """
    said = os.environ.get(f"WANDB_{setting.upper()}")
    # Who sets this one sets it for all programs, W&B itself no longer reads it.
    if (
        setting == "mode"
        and not said
        and os.environ.get("WANDB_DISABLED", "").lower() in ("true", "1", "yes", "on")
    ):
        return "disabled"
    return said or otherwise


# Hydra takes no number as the name of an option, so mult is a value, not a group; noise settings read it here.
OmegaConf.register_new_resolver("factor_of", factor_of, replace=True)
OmegaConf.register_new_resolver("sweep_id", sweep_id, use_cache=True, replace=True)
OmegaConf.register_new_resolver("jobs_at_once", jobs_at_once, replace=True)
OmegaConf.register_new_resolver("wandb", wandb_says, replace=True)
