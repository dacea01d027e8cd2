"""The page's sections that say what every strategy came to: filters, places for charts, numbers, cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from hetal.report.analyse.results import Numbers
from hetal.report.analyse.series import RANDOM
from hetal.report.files.figures import Look
from hetal.report.page.markup import (
    Row,
    about,
    glyph,
    interval,
    named,
    number,
    plain,
    section,
    share,
    table,
    where,
)
from hetal.report.stats.intervals import ENOUGH_SEEDS

# The panel's charts, in the order in which they stand beside each other.
PANEL = ("clean_share", "cumulative", "clean_labels", "distinct")

# Phases of a round that have a column: a run has four.
MOST_PHASES = 12


def contents(names: Sequence[tuple[str, str]]) -> str:
    """Return links to the sections, given by id and title."""
    links = "".join(f"<li><a href='#{name}'>{title}</a></li>" for name, title in names)
    return f"<nav id='contents' aria-label='Contents'><ul>{links}</ul></nav>"


def controls(look: Mapping[str, Look], facets: Mapping[str, Sequence[str]]) -> str:
    """Return the filters: a switch for each strategy, and a choice for each facet with more than one value.

    Args:
        look: of every strategy.
        facets: what settings are told apart by, and the values that occur.
    """
    chips = "".join(
        f"<button type='button' class='chip' aria-pressed='true' data-label='{escape(label, True)}'>"
        f"{glyph(look[label])}{escape(label)}</button>"
        for label in look
    )
    choices = "".join(
        f"<label>{name} <select data-facet='{name}'><option value=''>all</option>"
        + "".join(f"<option>{escape(value)}</option>" for value in values)
        + "</select></label>"
        for name, values in facets.items()
        if len(values) > 1
    )
    return (
        f"<div id='controls' role='group' aria-label='Filters'><div class='chips'>{chips}"
        f"<button type='button' class='chip plain' id='all'>all</button>"
        f"<button type='button' class='chip plain' id='none'>none</button></div>{choices}</div>"
    )


def curves(settings: Sequence[str], choices: Sequence[tuple[str, str]]) -> str:
    """Return a place for the learning curves of each setting, and what chooses their axes."""
    options = "".join(
        f"<label><input type='radio' name='measure' value='{key}'{' checked' if i == 0 else ''}> "
        f"{escape(title)}</label>"
        for i, (key, title) in enumerate(choices)
    )
    switches = (
        "<label><input type='checkbox' id='seeds'> single seeds</label>"
        "<label><input type='checkbox' id='same' checked> same scale</label>"
    )
    places = "".join(
        f"<figure{about(name)}><figcaption>{escape(name)}</figcaption>"
        f"<div class='chart main' data-index='{i}'></div></figure>"
        for i, name in enumerate(settings)
    )
    note = (
        "Lines are means over seeds, bands 95% t-intervals; n is the number of seeds. Unfinished runs count as far as "
        "they got. Dash-dotted, where it was run: a network trained once on all clean labels. Point at a chart, or "
        "focus it and use the arrow keys, for the values."
    )
    form = f"<fieldset class='options'><legend>Show</legend>{options}{switches}</fieldset>"
    return section("curves", "Learning curves", f"{form}<div class='figures'>{places}</div>", note)


def panel(settings: Sequence[str]) -> str:
    """Return places for the four charts of each setting that say what the noise did to its queries."""
    rows = "".join(
        f"<div class='panel'{about(name)}><h3>{escape(name)}</h3><div class='row'>"
        + "".join(f"<div class='chart' data-index='{i}' data-measure='{key}'></div>" for key in PANEL)
        + "</div></div>"
        for i, name in enumerate(settings)
    )
    note = (
        "The dotted line is the share of clean rows in the whole pool, which random choice buys. Clean labels bought "
        "are those of queries, not of the start set."
    )
    return section("noise", "How the noise was met", rows, note)


def numbers(found: Sequence[Numbers], look: Mapping[str, Look], target: float | None) -> str:
    """Return the table of what every strategy came to; labels are counted to `target`, if not to random's end."""
    end = "random's end" if target is None else f"{100 * target:g}%"
    columns = ("setting", "strategy", "n", "mean accuracy %", "final accuracy %", "clean share %", f"labels to {end}",
               "labels saved", "reached by")  # fmt: skip
    best = {
        n.setting: max(m.area.mean for m in found if m.setting == n.setting and m.n) for n in found if n.n
    }
    rows = [
        Row(
            [
                where(n.setting), named(n.label, look[n.label]), number(n.n, f"{n.n}"), share(n.area), share(n.final),
                share(n.clean_share), *_reaching(n),
                number(n.reached, f"{n.reached} of {n.paired}" if n.paired else ""),
            ],
            n.setting,
            [n.label],
            best=n.area.mean == best[n.setting],
        )
        for n in found
        if n.n
    ]  # fmt: skip
    goal = "as random choice is with its whole budget, at the same seed" if target is None else f"as {end}"
    note = (
        f"Means with 95% BCa bootstrap intervals over n seeds.{_narrow(found)} The best mean accuracy of each setting "
        "is bold. Labels "
        f"to {end}: the fewest with which a run is as accurate {goal}; saved: how many fewer than random itself "
        "needed. A run that never got there counts with all of its labels, which makes these bounds, marked ≥ and ≤. "
        "The same numbers are in numbers.csv and numbers.tex."
    )
    return section("numbers", "Numbers", table(columns, rows, "What every strategy came to"), note)


def _narrow(found: Sequence[Numbers]) -> str:
    """Say how little intervals over few seeds can cover: a bootstrap reaches no further than the values do."""
    least = min((n.n for n in found if n.n > 1), default=ENOUGH_SEEDS)
    if least >= ENOUGH_SEEDS:
        return ""
    # All values lie on one side of the middle of their distribution with this chance.
    missed = 2.0 ** (1 - least)
    return f" With {least} seeds they cover at most {1 - missed:.0%}: a bootstrap reaches no further than its values."


def _reaching(n: Numbers) -> tuple[str, str]:
    """Return the cells of labels to the target and of labels saved, which random does not save over itself."""
    most, least = ("\u2265", "\u2264") if n.is_bound else ("", "")
    saved = number(math.nan, "") if n.label == RANDOM else interval(n.saving, 0, sign=True, at=least)
    return interval(n.reach, 0, at=most), saved


def cost(found: Sequence[Numbers], look: Mapping[str, Look]) -> str:
    """Return seconds a round by phase, and memory."""
    phases = list(dict.fromkeys(phase for n in found for phase in n.seconds))[:MOST_PHASES]
    longest = max((sum(n.seconds.values()) for n in found), default=0.0)
    rows = [
        Row(
            [
                where(n.setting), named(n.label, look[n.label]), number(n.n, f"{n.n}"),
                *(number(n.seconds.get(p, math.nan), plain(n.seconds.get(p, math.nan), 2)) for p in phases),
                _phases([n.seconds.get(p, 0.0) for p in phases], longest),
                number(n.peak_memory_mb, plain(n.peak_memory_mb, 0)),
            ],
            n.setting,
            [n.label],
        )
        for n in found
        if n.n
    ]  # fmt: skip
    keys = " ".join(f"<span class='key phase-{i}'></span> {escape(p)}" for i, p in enumerate(phases))
    columns = ("setting", "strategy", "n", *(f"{p} s" for p in phases), "in all", "peak memory MiB")
    note = (
        f"{keys}. Mean seconds of a round, as they were: they depend on the machine and on what else it did. Peak "
        "memory is the most any round held."
    )
    return section("cost", "Cost of a round", table(columns, rows, "Seconds and memory of a round"), note)


def _phases(seconds: Sequence[float], longest: float) -> str:
    total = sum(seconds)
    parts = "".join(
        f"<i class='phase-{i}' style='width:{100 * s / (longest or 1):.2f}%'></i>"
        for i, s in enumerate(seconds)
    )
    return f"<td class='number' data-value='{total:.7g}'><span class='phases'>{parts}</span> {plain(total, 2)}</td>"
