"""Randomness by name: every draw of a run comes from `stream(seed, purpose, round)`.

Streams of different purposes or rounds are independent, so strategies are *paired*: at one seed all of them
meet the same pool, noise, start set and initial network, and no stream has a position to save.
"""

from __future__ import annotations

import hashlib

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
