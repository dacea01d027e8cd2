"""Colour, dash and marker of every strategy, the same on the page and in figures."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from hetal.report.analyse.criterion import RANDOM

# Okabe & Ito's colours, which most of the colour-blind tell apart, in an order of falling contrast with white; their
# yellow is too pale for lines. Strategies after the sixth have the same colours with other dashes and markers.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES = ("-", "--", "-.", ":")
MARKERS = "osD^vPX<>"
REFERENCE, DARK = "#8a8a8a", "#3c4046"

# Colour, dash and marker, the latter two by matplotlib's names.
Look = tuple[str, str, str]
Looks = Mapping[str, Look]


def looks_of(
    labels: Sequence[str],
    baseline: str = RANDOM,
    bounds: Collection[str] = (),
    colours: Mapping[str, str] | None = None,
) -> Looks:
    """Return the look of every strategy, in order; last come bounds, dark and dotted, and the baseline, a grey dash.

    Args:
        labels: of strategies, in order.
        baseline: the one that others are measured against.
        bounds: those that see hidden labels.
        colours: that some of them are to have.
    """
    rest = [label for label in labels if label != baseline and label not in bounds]
    looks = {
        label: (COLOURS[i % len(COLOURS)], DASHES[i // len(COLOURS) % len(DASHES)], MARKERS[i % len(MARKERS)])
        for i, label in enumerate(rest)
    }
    apart = [label for label in labels if label in bounds and label != baseline]
    looks |= {label: (DARK, ":", MARKERS[i % len(MARKERS)]) for i, label in enumerate(apart)}
    looks |= {baseline: (REFERENCE, "--", "")} if baseline in labels else {}
    return {
        label: ((colours or {}).get(label, colour), dash, mark)
        for label, (colour, dash, mark) in looks.items()
    }
