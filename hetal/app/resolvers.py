"""Values that configs compute, such as `${sweep_folder:...}`, `${jobs_at_once:...}`, `${wandb:...}`, `${when:...}`."""

from __future__ import annotations

import os
import secrets
import sys
import time
from pathlib import Path
from typing import Any

from omegaconf import ListConfig, OmegaConf

from hetal.machine.cores import cores
from hetal.record.settings import PLAIN, SETTINGS, table_of
from hetal.sweep.workers import run_in_process


def settings_table() -> str:
    """Return names and help of the settings of every run that are no groups, a line each."""
    return table_of(setting for setting in SETTINGS if setting.name in PLAIN)


def sweep_folder(root: Any) -> str:
    """Return a folder under `root` for the sweep that this process starts.

    By chance too: on a disk that machines share, two may start one in the same second with the same process id.
    """
    name = f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{os.getpid()}_{secrets.token_hex(3)}"
    return str(Path(str(root)).expanduser() / ".sweeps" / name)


def jobs_at_once(device: Any, threads: Any, jobs_per_gpu: Any) -> int:
    """Return how many jobs this machine can run side by side.

    Args:
        device: where jobs compute; "auto" is a GPU where there is one.
        threads: that each job computes with, where it computes on the CPU.
        jobs_per_gpu: that share one GPU.

    Raises:
        ValueError: `threads` or `jobs_per_gpu` is no whole number of at least 1.
    """
    for name, value in (("threads", threads), ("jobs_per_gpu", jobs_per_gpu)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name}={value}: must be at least 1")
    if device in ("auto", "cuda") and (n_gpus := run_in_process(_n_gpus)):
        return int(n_gpus) * int(jobs_per_gpu)
    return max(cores() // int(threads), 1)


def _n_gpus() -> int:
    """Return how many CUDA devices there are; asked in another process, since who has asked can no longer fork."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def wandb_says(setting: str, otherwise: str | None) -> str | None:
    """Return what the environment says of a setting of W&B, such as WANDB_PROJECT of `project`.

    Args:
        setting: its name.
        otherwise: returned where the environment says nothing.
    """
    value = os.environ.get(f"WANDB_{setting.upper()}")
    # Who sets this one sets it for all programs, W&B itself no longer reads it.
    if (
        setting == "mode"
        and not value
        and os.environ.get("WANDB_DISABLED", "").lower() in ("true", "1", "yes", "on")
    ):
        return "disabled"
    return value or otherwise


def when(value: Any, text: str) -> str:
    """Return `text` where a setting is on, and not 0 or null; else nothing: for names that say what is special."""
    return text if value else ""


def joined(values: Any, between: str) -> str:
    """Return the values of a list with a text between them, for names; of what is no list, its text."""
    return between.join(map(str, values)) if isinstance(values, (ListConfig, list)) else str(values)


def command() -> str:
    """Return how hetal was started, as it is typed."""
    return "python launch.py" if Path(sys.argv[0]).name == "launch.py" else "hetal"


OmegaConf.register_new_resolver("command", command, replace=True)
OmegaConf.register_new_resolver("sweep_folder", sweep_folder, use_cache=True, replace=True)
OmegaConf.register_new_resolver("jobs_at_once", jobs_at_once, replace=True)
OmegaConf.register_new_resolver("wandb", wandb_says, replace=True)
OmegaConf.register_new_resolver("when", when, replace=True)
OmegaConf.register_new_resolver("joined", joined, replace=True)
OmegaConf.register_new_resolver("settings", settings_table, replace=True)
