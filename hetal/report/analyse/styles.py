"""Colour, dash and marker of every strategy, the same on the page and in figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# Okabe & Ito's colours, which most of the colour-blind tell apart, in an order of falling contrast with white; their
# yellow is too pale for lines. Strategies after the sixth have the same colours with other dashes and markers.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES = ("-", "--", "-.", ":")
MARKERS = "osD^vPX<>"
REFERENCE = "#8a8a8a"

# Colour, dash and marker, the latter two by matplotlib's names.
Look = tuple[str, str, str]
Looks = Mapping[str, Look]


def looks_of(labels: Sequence[str], baseline: str) -> Looks:
    """Return the look of every strategy, in order; the baseline comes last, as a grey reference."""
    rest = [label for label in labels if label != baseline]
    looks = {
        label: (COLOURS[i % len(COLOURS)], DASHES[i // len(COLOURS) % len(DASHES)], MARKERS[i % len(MARKERS)])
        for i, label in enumerate(rest)
    }
    return {**looks, **({baseline: (REFERENCE, "--", "")} if baseline in labels else {})}
