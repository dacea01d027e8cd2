"""Random streams: every draw of a run comes from `stream(seed, purpose, round)`.

Streams of different purposes or rounds are independent, so strategies are *paired*: with one seed all of them
get the same pool, noise, start set and initial network, and no position in a stream needs to be saved.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hetal.machine.transfer import to_device


def stream(seed: int, purpose: str, round: int = 0) -> torch.Generator:
    """Return a new CPU generator for one purpose in one round.

    It is on the CPU whatever the device, so that draws do not depend on the device.

    Args:
        seed: of the run, any integer.
        purpose: what is drawn, such as "noise", "start", "fit" or "query".
        round: the round in which it is drawn.
    """
    digest = hashlib.sha256(f"{seed}/{purpose}/{round}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def permutation(n: int, rng: torch.Generator, device: torch.device) -> Tensor:
    """Return 0..n-1 in a random order, (n,) int64 on `device`, drawn on the device of the generator."""
    return to_device(device, torch.randperm(n, generator=rng, device=rng.device))[0]


def draw_seed(rng: torch.Generator) -> int:
    """Draw a seed in [0, 2^62), for libraries that take a number instead of a generator."""
    return int(torch.randint(2**62, (), generator=rng))


@contextmanager
def seeded(rng: torch.Generator, device: torch.device) -> Iterator[None]:
    """Seed the global generators of torch, numpy and Python inside a `with` block, and restore them after it.

    A user's own code may draw from any of them, and must draw the same numbers whenever it is called.

    Args:
        rng: CPU generator; one seed is drawn from it.
        device: its torch generator is seeded too, besides the CPU's.
    """
    seed = draw_seed(rng)
    before = _host_state()
    # Not torch.manual_seed, which seeds all generators of a machine's devices, also those that are not restored.
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type != "cpu":
            torch.get_device_module(device).manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 (the global one is the point)
        try:
            yield
        finally:
            _set_host_state(before)


def global_state() -> dict[str, Any]:
    """Return the state of the CPU's global generators (torch, numpy, Python) as tensors and plain values."""
    python, (name, keys, *position) = _host_state()
    numpy = [name, torch.from_numpy(keys.astype(np.int64)), *position]
    return {"torch": torch.get_rng_state(), "numpy": numpy, "python": python}


def set_global_state(state: dict[str, Any]) -> None:
    """Restore the CPU's global generators to what `global_state` returned."""
    name, keys, *position = state["numpy"]
    torch.set_rng_state(state["torch"])
    _set_host_state((state["python"], (name, keys.numpy().astype(np.uint32), *position)))


def _host_state() -> tuple[Any, Any]:
    return random.getstate(), np.random.get_state()  # noqa: NPY002


def _set_host_state(state: tuple[Any, Any]) -> None:
    random.setstate(state[0])
    np.random.set_state(state[1])  # noqa: NPY002
