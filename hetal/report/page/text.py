"""Numbers as the page writes them."""

from __future__ import annotations

import math

from hetal.record.measures import Measure
from hetal.report.stats.intervals import Interval

MINUS = "\u2212"


def interval(i: Interval, digits: int, sign: bool = False) -> str:
    """Return an interval as text: "81.2 [80.1, 82.3]"; empty where there is no mean."""
    return " ".join(filter(None, (mean(i, digits, sign), ends(i, digits, sign))))


def mean(i: Interval, digits: int, sign: bool = False) -> str:
    """Return the mean of an interval as text; empty where there is none."""
    return number(i.mean, digits, sign)


def ends(i: Interval, digits: int, sign: bool = False) -> str:
    """Return the ends of an interval as text: "[80.1, 82.3]"; empty where there are none."""
    if math.isnan(i.mean) or math.isnan(i.low):
        return ""
    return f"[{number(i.low, digits, sign)}, {number(i.high, digits, sign)}]"


def number(value: float, digits: int, sign: bool = False) -> str:
    """Return a number as text, with a plus where `sign`; empty where it is NaN."""
    if math.isnan(value):
        return ""
    rounded = round(value, digits) + 0.0  # zero has no sign
    return f"{rounded:{'+' if sign else ''},.{digits}f}".replace("-", MINUS)


def scaled(i: Interval, measure: Measure) -> Interval:
    """Return an interval of a measure as it is written: of a share in percent."""
    return Interval(*(measure.scale * value for value in i))


def better(i: Interval, measure: Measure) -> Interval:
    """Return a difference as it is written, turned so that it is positive where it is for the better."""
    i = scaled(i, measure)
    return i if measure.sign > 0 else Interval(-i.mean, -i.high, -i.low)


def percent(i: Interval) -> Interval:
    """Return an interval times 100."""
    return Interval(*(100 * value for value in i))


def p_value(p: float) -> str:
    """Return a p-value to three digits; empty where it is NaN."""
    return "" if math.isnan(p) else ("<\u00a00.001" if p < 0.001 else f"{p:.3f}")


def many(n: int, what: str) -> str:
    """Return a number of things: "1 seed", "5 seeds"."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def sort_value(value: float) -> str:
    """Return what a column of a table is sorted by; empty where it is NaN."""
    return "" if math.isnan(value) else f"{value:.7g}"
