"""Randomness by name: every draw of a run comes from `stream(seed, purpose, round)`.

Streams of different purposes or rounds are independent, so strategies are *paired*: at one seed all of them
meet the same pool, noise, start set and initial network, and no stream has a position to save.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def stream(seed: int, purpose: str, round: int = 0) -> torch.Generator:
    """Return a fresh CPU generator for one purpose of one round.

    The generator lives on the CPU whatever the device, so that every device draws the same permutations.

    Args:
        seed: the run's seed, any integer.
        purpose: what is drawn, such as "noise", "start", "fit" or "query".
        round: the round it is drawn in.
    """
    digest = hashlib.sha256(f"{seed}/{purpose}/{round}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def draw_seed(rng: torch.Generator) -> int:
    """Draw a seed in [0, 2^62) for a library that wants a number, not a generator."""
    return int(torch.randint(2**62, (), generator=rng))


@contextmanager
def seeded(rng: torch.Generator, device: torch.device) -> Iterator[None]:
    """Seed the global generators of torch, numpy and Python from `rng` for a while, then put them back as they were.

    Code of a user's own may draw from any of them, and is to draw the same wherever and however often it is called.

    Args:
        rng: CPU generator; one seed is drawn from it.
        device: whose generator of torch's is seeded beside the CPU's.
    """
    seed = draw_seed(rng)
    before = _host_state()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 (the global one is the point)
        try:
            yield
        finally:
            _set_host_state(before)


def global_state() -> dict[str, Any]:
    """Return the state of the CPU's global generators, of torch, numpy and Python, as tensors and plain values."""
    python, (name, keys, *position) = _host_state()
    numpy = [name, torch.from_numpy(keys.astype(np.int64)), *position]
    return {"torch": torch.get_rng_state(), "numpy": numpy, "python": python}


def set_global_state(state: dict[str, Any]) -> None:
    """Put the CPU's global generators where they were when `global_state` returned `state`."""
    name, keys, *position = state["numpy"]
    torch.set_rng_state(state["torch"])
    _set_host_state((state["python"], (name, keys.numpy().astype(np.uint32), *position)))


def _host_state() -> tuple[Any, Any]:
    return random.getstate(), np.random.get_state()  # noqa: NPY002


def _set_host_state(state: tuple[Any, Any]) -> None:
    random.setstate(state[0])
    np.random.set_state(state[1])  # noqa: NPY002
