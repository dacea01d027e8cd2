"""Measures of the user's own with a name, a unit and the direction that is better, as the report's others have them."""

from __future__ import annotations

from collections.abc import Sequence

from hetal.errors import BadInput
from hetal.record.measures import DERIVED, OF_A_ROUND, Measure, Unit
from hetal.report.load.names import Called, Names
from hetal.report.load.own import OWN, own_ranges
from hetal.report.load.records import Run


def own_measures(runs: Sequence[Run], names: Names | None = None) -> list[Measure]:
    """Return the measures of the user's own that records hold, by name.

    Higher is better, and a measure is a share where all its values are in [0, 1], unless names say otherwise.

    Args:
        runs: of the report.
        names: that the user gave.

    Raises:
        BadInput: two measures would be called the same, or what is to be a share is none.
    """
    given = {} if names is None else names.measures
    taken = {shown(measure.name): measure.key for measure in (*OF_A_ROUND, *DERIVED)}
    found = []
    for key, (low, high) in own_ranges(runs).items():
        called = given.get(key, Called())
        may_be_share = low >= 0 and high <= 1
        if called.unit == "share" and not may_be_share:
            raise BadInput(f"measures.{key}: unit: share, but records hold {low:g} to {high:g}")
        name = called.name or key.replace("_", " ")
        if (other := taken.get(shown(name))) and called.name:
            raise BadInput(f"measures: {other} and {key} would both be {name}; each needs a name of its own")
        name = OWN + key if other else name
        taken[shown(name)] = key
        unit: Unit = called.unit or ("share" if may_be_share else "number")
        found.append(
            Measure(
                OWN + key, name, unit, called.better, ("chart", "tracker", "dashboard"),
                digits=1 if unit == "share" else 3, title=name[0].upper() + name[1:],
            )
        )  # fmt: skip
    return found


def shown(name: str) -> str:
    """Return the name of a measure as headings have it."""
    return name.removeprefix("test ").lower()
