"""What all parts of the picture of a pool share: its size, places in it, colours, type, and short names."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH, HEIGHT = 9.6, 4.2  # inches

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

# Letters of a name: in all, and after what is left out.
LONGEST, LAST = 10, 4


def short(name: str) -> str:
    """Return a name, without its middle where it is long: the ends of class names differ."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - LAST - 1]}…{name[-LAST:]}"


def box(left: float, bottom: float, width: float, height: float) -> tuple[float, float, float, float]:
    """Return a box, given in inches, in shares of the figure."""
    return left / WIDTH, bottom / HEIGHT, width / WIDTH, height / HEIGHT


def axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Return new axes in a box given in inches."""
    return figure.add_axes(box(left, bottom, width, height))
