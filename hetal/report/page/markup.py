"""The small pieces of HTML that the page's sections are made of: cells, tables, numbers as they are written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from hetal.report.files.figures import Look
from hetal.report.stats.intervals import Interval

# Markers as paths around (0, 0), to fit in a circle of radius 5; matplotlib's names for them.
MARKERS = {
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


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        cells: HTML, each a whole td.
        setting: the page hides the line with this setting; empty where it belongs to none.
        labels: and with any of these strategies.
        best: marked as the best of its setting.
    """

    cells: Sequence[str]
    setting: str = ""
    labels: Sequence[str] = ()
    best: bool = False


def table(columns: Sequence[str], rows: Iterable[Row], caption: str) -> str:
    """Return a table that the page can sort by any column and filter by setting and strategy."""
    top = "".join(f"<th scope='col'><button type='button'>{escape(c)}</button></th>" for c in columns)
    lines = "".join(
        f"<tr{about(row.setting, row.labels)}{' class=best' if row.best else ''}>{''.join(row.cells)}</tr>"
        for row in rows
    )
    return (
        f"<div class='scroll'><table class='sortable'><caption>{escape(caption)}</caption>"
        f"<thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def about(setting: str = "", labels: Sequence[str] = ()) -> str:
    """Return the attributes by which the page filters an element."""
    said = f" data-setting='{escape(setting, True)}'" if setting else ""
    return said + (f" data-labels='{escape('|'.join(labels), True)}'" if labels else "")


def section(name: str, title: str, body: str, note: str = "") -> str:
    """Return a section with a heading that can be linked to, and what a reader should know under it."""
    said = f"<p class='note'>{note}</p>" if note else ""
    heading = f"<h2 id='{name}-title'>{title}</h2>"
    return f"<section id='{name}' aria-labelledby='{name}-title'>{heading}{body}{said}</section>"


def glyph(look: Look) -> str:
    """Return the marker of a strategy on a piece of its line, as a small drawing."""
    colour, dash, marker = look
    dashes = "" if dash == "-" else " stroke-dasharray='4 2.5'"
    shape = f"<path d='{MARKERS[marker]}' fill='{colour}'/>" if marker else ""
    return (
        f"<svg class='glyph' viewBox='-11 -6 22 12' aria-hidden='true'>"
        f"<path d='M-11 0H11' stroke='{colour}' stroke-width='2'{dashes}/>{shape}</svg>"
    )


def text(value: str) -> str:
    """Return a cell of text."""
    return f"<td>{escape(value)}</td>"


def where(name: str) -> str:
    """Return a cell with the name of a setting, on one line."""
    return f"<td class='setting'>{escape(name)}</td>"


def named(label: str, look: Look) -> str:
    """Return a cell with a strategy's marker and name."""
    return f"<td class='name'>{glyph(look)}{escape(label)}</td>"


def number(value: float, shown: str) -> str:
    """Return a cell that sorts by `value` and shows `shown`."""
    return f"<td class='number' data-value='{'' if math.isnan(value) else f'{value:.7g}'}'>{shown}</td>"


def interval(i: Interval, digits: int, sign: bool = False, at: str = "") -> str:
    """Return a cell with a mean and its interval, `at` before it; empty where there is no mean."""
    said = written(i, digits, sign, small=True)
    return number(i.mean, f"{at} {said}" if at and said else said)


def share(i: Interval, sign: bool = False) -> str:
    """Return a cell with a share or a difference of shares, in percent."""
    return interval(percent(i), 1, sign)


def percent(i: Interval) -> Interval:
    """Return an interval times 100."""
    return Interval(*(100 * value for value in i))


def written(i: Interval, digits: int, sign: bool = False, small: bool = False) -> str:
    """Write an interval: "81.2 [80.1, 82.3]"; its ends in small print where asked for."""
    if math.isnan(i.mean):
        return ""
    plus = "+" if sign else ""
    mean, low, high = (rounded(value, digits) for value in i)
    said = f"{mean:{plus},.{digits}f}"
    if not math.isnan(i.low):
        ends = f"[{low:{plus},.{digits}f}, {high:{plus},.{digits}f}]"
        said += f" <small>{ends}</small>" if small else f" {ends}"
    return said.replace("-", "\u2212")


def plain(value: float, digits: int) -> str:
    """Write a number; nothing where it is NaN."""
    return "" if math.isnan(value) else f"{rounded(value, digits):,.{digits}f}".replace("-", "\u2212")


def rounded(value: float, digits: int) -> float:
    """Round a number; what comes to zero has no sign."""
    return round(value, digits) + 0.0


def p_value(p: float) -> str:
    """Write a p-value to three digits."""
    return "" if math.isnan(p) else ("&lt;&nbsp;0.001" if p < 0.001 else f"{p:.3f}")


def many(n: int, what: str) -> str:
    """Write a number of things: "1 seed", "5 seeds"."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"
