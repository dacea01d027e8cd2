"""Number of CPU cores that this process may use."""

from __future__ import annotations


def cores() -> int:
    """Return the number of cores that this process may use, by its affinity and its container's quota."""
    import joblib

    n: int = joblib.cpu_count()
    return n
