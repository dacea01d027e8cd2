"""Process-wide settings that results depend on, and a check that no part of a run changes them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from hetal.errors import BadInput


@dataclass(frozen=True)
class Setting:
    """One process-wide setting: how to read it and how to set it."""

    read: Callable[[], Any]
    set: Callable[[Any], Any]


def _readable(read: Callable[[], Any]) -> Callable[[], Any]:
    """Return `read`, but where torch refuses, since the setting was changed by the name that newer versions have."""

    def read_or_say() -> Any:
        try:
            return read()
        except RuntimeError:
            return "what fp32_precision says"

    return read_or_say


def _set_device(device: torch.device) -> None:
    # A default device slows down every call that creates a tensor; for the CPU none is needed.
    torch.set_default_device(None if device.type == "cpu" else device)


SETTINGS = {
    "torch.get_default_dtype()": Setting(torch.get_default_dtype, torch.set_default_dtype),
    "torch.get_default_device()": Setting(torch.get_default_device, _set_device),
    "torch.get_num_threads()": Setting(torch.get_num_threads, torch.set_num_threads),
    "torch.is_grad_enabled()": Setting(torch.is_grad_enabled, torch.set_grad_enabled),
    "torch.are_deterministic_algorithms_enabled()": Setting(
        torch.are_deterministic_algorithms_enabled,
        lambda on: torch.set_deterministic_debug_mode("warn" if on else "default"),
    ),
    "torch.get_float32_matmul_precision()": Setting(
        _readable(torch.get_float32_matmul_precision), torch.set_float32_matmul_precision
    ),
    "torch.set_flush_denormal()": Setting(
        lambda: bool(torch.tensor(1e-45, dtype=torch.float32, device="cpu") * 1.0 == 0),
        torch.set_flush_denormal,
    ),
    "torch.backends.cudnn.benchmark": Setting(
        lambda: torch.backends.cudnn.benchmark, lambda on: setattr(torch.backends.cudnn, "benchmark", on)
    ),
    "torch.backends.cudnn.allow_tf32": Setting(
        _readable(lambda: torch.backends.cudnn.allow_tf32),
        lambda on: setattr(torch.backends.cudnn, "allow_tf32", on),
    ),
    "os.getcwd()": Setting(os.getcwd, os.chdir),
}


# Settings of a new process that no run sets itself.
NEW = {
    "torch.get_default_dtype()": torch.float32,
    "torch.get_default_device()": torch.device("cpu"),
    "torch.is_grad_enabled()": True,
    "torch.are_deterministic_algorithms_enabled()": False,
    "torch.get_float32_matmul_precision()": "highest",
    "torch.set_flush_denormal()": False,
    "torch.backends.cudnn.benchmark": False,
    "torch.backends.cudnn.allow_tf32": True,
}


@contextmanager
def new_process_settings() -> Iterator[None]:
    """Use the settings of a new process inside the `with` block, and restore the previous ones after it."""
    before = {name: setting.read() for name, setting in SETTINGS.items()}
    try:
        with torch.inference_mode(False):
            _set(NEW)
            yield
    finally:
        _set(before)


def _set(values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if SETTINGS[name].read() != value:
            SETTINGS[name].set(value)


@contextmanager
def unchanged(who: str) -> Iterator[None]:
    """Check that the code inside the `with` block leaves all process-wide settings unchanged.

    Otherwise a continued run, or another job of a sweep in the same process, would compute something else. Changed
    settings are restored in any case.

    Args:
        who: runs the code, for the message.

    Raises:
        BadInput: names the first setting that was changed.
    """
    before = {name: setting.read() for name, setting in SETTINGS.items()}
    changed: dict[str, Any] = {}
    try:
        yield
    finally:
        for name, setting in SETTINGS.items():
            if (now := setting.read()) != before[name]:
                changed[name] = now
                setting.set(before[name])
    for name, now in changed.items():
        raise BadInput(
            f"{who} changed {name} from {before[name]} to {now}, which all that follows depends on; set it back"
        )
