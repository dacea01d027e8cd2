"""The markers of strategies as SVG paths."""

from __future__ import annotations

from collections.abc import Mapping

# Paths around (0, 0) that fit in a circle of radius 5, by matplotlib's names of the markers.
MARKERS: Mapping[str, str] = {
    "o": "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
    "s": "M-3.6-3.6h7.2v7.2h-7.2z",
    "D": "M0-5L5 0L0 5L-5 0z",
    "^": "M0-4.8L4.6 3.6H-4.6z",
    "v": "M0 4.8L4.6-3.6H-4.6z",
    "P": "M-1.7-4.6h3.4v2.9h2.9v3.4h-2.9v2.9h-3.4v-2.9h-2.9v-3.4h2.9z",
    "X": "M-4.6-2.3L-2.3-4.6L0-2.3L2.3-4.6L4.6-2.3L2.3 0L4.6 2.3L2.3 4.6L0 2.3L-2.3 4.6L-4.6 2.3L-2.3 0z",
    "<": "M-4.8 0L3.6-4.6V4.6z",
    ">": "M4.8 0L-3.6-4.6V4.6z",
}
