"""How much is tried of what is too much to try all of: a quarter, and in CI, with HETAL_SAMPLES=4, the whole."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeVar

QUARTERS = int(os.environ.get("HETAL_SAMPLES", "1"))
assert QUARTERS in (1, 2, 4), f"HETAL_SAMPLES={QUARTERS}: must be 1, 2 or 4"

T = TypeVar("T")


def some(things: Iterable[T]) -> list[T]:
    """Return every fourth of them, or all."""
    return [*things][:: 4 // QUARTERS]
