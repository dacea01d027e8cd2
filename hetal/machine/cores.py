"""How many CPU cores this process may use."""

from __future__ import annotations


def cores() -> int:
    """Return how many cores this process may use, by its affinity and its container's quota."""
    import joblib

    n: int = joblib.cpu_count()
    return n
