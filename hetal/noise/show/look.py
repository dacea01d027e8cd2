"""Colours and type of the pictures of pools, and short names."""

from __future__ import annotations

from typing import Any

# Blue and orange, distinct for colour-blind readers too.
CLEAN, NOISY = "#0072b2", "#d55e00"

INK, QUIET, PALE = "#1f2933", "#52606d", "#b8c0c8"

# Okabe and Ito's, for labels in the plane.
LABELS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#000000")

PLAIN: Any = {
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "axes.labelcolor": QUIET,
    "axes.linewidth": 0.7,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.major.pad": 2,
    "ytick.major.pad": 2,
}

# Letters of a name.
LONGEST = 10


def short(name: str) -> str:
    """Return a name, cut where it is long."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
