"""The page's sections: what can be read without drawing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from hetal.report.analysis import Comparison, Numbers, Setting, Verdict
from hetal.report.completeness import Missing
from hetal.report.figures import Look
from hetal.report.reading import Reading, differing
from hetal.report.statistics import ENOUGH_SEEDS, Interval


def head(title: str, n: int, finished: int, lost: int, when: str) -> str:
    """Return the title and what the page is made of."""
    left = f', <a href="#completeness">{lost} missing</a>' if lost else ""
    return (
        f"<header><h1>{escape(title)}</h1><p>{n} runs, {finished} finished{left}; made {when}. "
        "Means over seeds with 95% intervals; every comparison is paired by seed.</p></header>"
    )


def verdicts(found: Sequence[Verdict]) -> str:
    """Return who leads each setting, by how much, and how sure that is."""
    cards = []
    for v in found:
        said = f"<h3>{escape(v.setting)}</h3><p class='lead'><b>{escape(v.leader)}</b> leads with {_pc(v.area)}</p>"
        c = v.comparison
        if c is not None and v.second is not None:
            p = "" if math.isnan(c.t_holm) else f", p&nbsp;{_p(c.t_holm)}"
            said += (
                f"<p>{_points(c.difference)} points over <b>{escape(v.second)}</b>{p}; "
                f"ahead of {v.beaten} of {v.others} at 0.05.</p>"
            )
            if not v.trusted:
                state, note = (
                    "weak",
                    f"{v.n} seed{'s' * (v.n != 1)}: not to be trusted (at least {ENOUGH_SEEDS})",
                )
            elif c.t_holm < 0.05:
                state, note = "sure", f"clear, {v.n} seeds"
            else:
                state, note = "open", f"undecided against the second, {v.n} seeds"
            said += f"<p class='badge {state}'>{note}</p>"
        cards.append(f"<article data-setting='{escape(v.setting, True)}'>{said}</article>")
    note = (
        "<p class='note'>Mean accuracy over labels (normalised area under the learning curve). In brackets the 95% "
        "paired bootstrap interval; p of the paired t-test, adjusted by Holm for all pairs of the setting.</p>"
    )
    return (
        f"<section id='verdict'><h2>Who leads</h2><div class='cards'>{''.join(cards)}</div>{note}</section>"
    )


def controls(
    labels: Sequence[str],
    settings: Sequence[str],
    look: Mapping[str, Look],
    measures: Sequence[tuple[str, ...]],
) -> str:
    """Return the filters: strategies, settings, and what the charts show."""
    chips = "".join(
        f"<button type='button' class='chip' aria-pressed='true' data-label='{escape(label, True)}'>"
        f"<span style='background:{look[label][0]}'></span>{escape(label)}</button>"
        for label in labels
    )
    options = "".join(f"<option>{escape(setting)}</option>" for setting in settings)
    shown = "".join(f"<option value='{key}'>{escape(name)}</option>" for key, name in measures)
    return (
        f"<nav id='controls' aria-label='Filters'><div class='chips'>{chips}</div>"
        f"<label>Setting <select id='setting'><option value=''>all</option>{options}</select></label>"
        f"<label>Charts <select id='measure'>{shown}</select></label>"
        "<label><input type='checkbox' id='seeds'> single seeds</label></nav>"
    )


def charts(settings: Sequence[str]) -> str:
    """Return a place for each setting's two charts: what was chosen, and how clean the queries were."""
    places = "".join(
        f"<figure data-setting='{escape(s, True)}'><figcaption>{escape(s)}</figcaption>"
        f"<div class='chart' data-index='{i}'></div><div class='chart clean' data-index='{i}'></div></figure>"
        for i, s in enumerate(settings)
    )
    return (
        "<section id='curves'><h2>Learning curves, and how clean the queries were</h2>"
        f"<div class='figures'>{places}</div><p class='note'>Lines are means over seeds, bands 95% t-intervals; the "
        "dotted line is the share of clean rows in the pool, which random choice buys.</p></section>"
    )


def numbers(found: Sequence[Numbers]) -> str:
    """Return the table of what every strategy came to."""
    columns = ("setting", "strategy", "n", "mean accuracy", "final accuracy", "clean share", "labels to random's end",
               "saved", "reached")  # fmt: skip
    rows = [
        [
            _text(n.setting), _text(n.label), _number(n.n, f"{n.n}"), _share(n.area), _share(n.final),
            _share(n.clean_share), _interval(n.reach, 0), _interval(n.saving, 0),
            _number(n.reached, f"{n.reached} of {n.n}"),
        ]
        for n in found
        if n.n
    ]  # fmt: skip
    return (
        "<section id='numbers'><h2>Numbers</h2>"
        + table(columns, rows, found)
        + "<p class='note'>In percent, with 95% BCa bootstrap intervals over seeds. Labels to random's end: the fewest "
        "labels with which a run is as accurate as random choice is with all of its own, at the same seed; over the "
        "seeds that got there.</p></section>"
    )


def matches(
    compared: Mapping[str, Sequence[Comparison]],
    settings: Sequence[Setting],
    penalties: Mapping[tuple[str, str], float],
    ranks: Mapping[str, float],
    ranks_svg: str,
) -> str:
    """Return who beats whom: BADGE's penalty matrix over all settings, ranks, and every pair of every setting."""
    labels = sorted({label for pair in penalties for label in pair})
    labels.sort(key=lambda b: sum(penalties.get((a, b), 0.0) for a in labels))
    most = len(settings)
    said = "<section id='matches'><h2>Who beats whom</h2>"
    if len(labels) > 1:
        cells = []
        for a in labels:
            row = "".join(
                "<td class='self'></td>" if a == b else _shaded(penalties.get((a, b), 0.0), most)
                for b in labels
            )
            cells.append(f"<tr data-label='{escape(a, True)}'><th scope='row'>{escape(a)}</th>{row}</tr>")
        means = "".join(
            f"<td>{np.mean([penalties.get((a, b), 0.0) for a in labels if a != b]):.2f}</td>" for b in labels
        )
        top = "".join(f"<th scope='col'>{escape(b)}</th>" for b in labels)
        said += (
            f"<div class='scroll'><table class='matrix'><thead><tr><td></td>{top}</tr></thead><tbody>"
            f"{''.join(cells)}</tbody><tfoot><tr><th scope='row'>mean lost</th>{means}</tr></tfoot></table></div>"
            "<p class='note'>Penalty matrix (Ash et al. 2020): how often the row beats the column, paired t-test at "
            f"0.05 at every checkpoint, summed over settings; at most {most}. A small mean is good.</p>"
        )
    if ranks_svg:
        said += f"<div class='ranks'>{ranks_svg}</div><p class='note'>Mean ranks over {most} settings.</p>"
    elif ranks and most > 1:
        said += f"<p>Mean ranks: {', '.join(f'{escape(k)} {v:.2f}' for k, v in ranks.items())}.</p>"
    rows = [
        [
            _text(c.setting), _text(f"{c.first} - {c.second}"), _number(c.n, str(c.n)), _share(c.difference, sign=True),
            _number(c.effect, _plain(c.effect, 2)), _number(c.t_holm, _p(c.t_holm)),
            _number(c.wilcoxon_holm, _p(c.wilcoxon_holm)), _number(c.wins, f"{c.wins}/{c.ties}/{c.losses}"),
        ]
        for found in compared.values()
        for c in found
    ]  # fmt: skip
    columns = ("setting", "pair", "n", "difference", "effect", "t, Holm", "Wilcoxon, Holm", "win/tie/loss")
    flat = [c for found in compared.values() for c in found]
    return f"{said}<details><summary>Every pair</summary>{table(columns, rows, flat)}</details></section>"


def budget(settings: Sequence[Setting]) -> str:
    """Return what queries bought, by class, as small bars."""
    rows, items = [], []
    for setting in settings:
        for label, runs in setting.runs.items():
            counts = [np.array(row["bought_per_class"]) for run in runs.values() for row in run.rounds
                      if row.get("bought_per_class")]  # fmt: skip
            if not counts:
                continue
            share = np.sum(counts, axis=0) / np.sum(counts)
            distinct = [row["n_distinct"] / row["n_bought"] for run in runs.values() for row in run.rounds
                        if row.get("n_bought")]  # fmt: skip
            bars = "".join(f"<i style='height:{100 * s / share.max():.0f}%' title='class {i}: {s:.1%}'></i>"
                           for i, s in enumerate(share[:40]))  # fmt: skip
            rows.append([
                _text(setting.name), _text(label), _number(float(np.mean(distinct)), f"{np.mean(distinct):.0%}"),
                f"<td><span class='bars'>{bars}</span></td>",
            ])  # fmt: skip
            items.append((setting.name, label))
    columns = ("setting", "strategy", "distinct images", "labels bought, by class")
    return f"<section id='budget'><h2>Where the budget went</h2>{table(columns, rows, items)}</section>"


def cost(found: Sequence[Numbers]) -> str:
    """Return seconds a round by phase, and memory."""
    phases = list(dict.fromkeys(phase for n in found for phase in n.seconds))
    rows = [
        [
            _text(n.setting), _text(n.label),
            *(_number(n.seconds.get(p, math.nan), _plain(n.seconds.get(p, math.nan), 2)) for p in phases),
            _number(n.peak_memory_mb, _plain(n.peak_memory_mb, 0)),
        ]
        for n in found
        if n.n
    ]  # fmt: skip
    columns = ("setting", "strategy", *(f"{p} s" for p in phases), "peak memory MiB")
    note = "<p class='note'>Mean seconds of a round; they depend on what else the machine did.</p>"
    return f"<section id='cost'><h2>Cost</h2>{table(columns, rows, found)}{note}</section>"


def completeness(lost: Sequence[Missing]) -> str:
    """Return what is missing, with the commands that run it."""
    if not lost:
        return "<section id='completeness'><h2>Completeness</h2><p>Nothing is missing.</p></section>"
    rows = [[_text(m.what), _text(m.state), f"<td><code>{escape(m.command)}</code></td>"] for m in lost[:500]]
    more = f"<p>and {len(lost) - 500} more</p>" if len(lost) > 500 else ""
    shown = table(("run", "state", "command"), rows, lost[:500])
    return f"<section id='completeness'><h2>Missing: {len(lost)}</h2>{shown}{more}</section>"


def provenance(reading: Reading) -> str:
    """Return what computed the runs, the settings they share and those that vary."""
    made: dict[str, Counter[str]] = {}
    for run in reading.runs:
        for key, value in {**run.made_by, "commit": run.commit or "none", "CPU": run.machine.get("cpu", "?"),
                           "system": run.machine.get("system", "?")}.items():  # fmt: skip
            made.setdefault(key, Counter())[str(value)] += 1
    lines = "".join(
        f"<tr><th scope='row'>{escape(key)}</th><td>"
        + ", ".join(escape(v) + (f" ({n} runs)" if len(c) > 1 else "") for v, n in c.most_common(6))
        + "</td></tr>"
        for key, c in made.items()
    )
    configs = [run.config for run in reading.runs]
    vary = set(differing(configs))
    first = configs[0] if configs else {}
    shared = "".join(
        f"<tr><th scope='row'>{escape(k)}</th><td>{escape(str(v))}</td></tr>"
        for k, v in sorted(first.items())
        if k not in vary
    )
    flags = "".join(f"<li>{escape(flag)}</li>" for flag in reading.flags)
    warning = f"<h3>Not only the strategy differs</h3><ul class='flags'>{flags}</ul>" if flags else ""
    return (
        f"<section id='provenance'><h2>Provenance</h2>{warning}<table>{lines}</table>"
        f"<p>What varies: {escape(', '.join(sorted(vary)) or 'nothing but the seed')}.</p>"
        f"<details><summary>The settings that all runs share</summary><table>{shared}</table></details></section>"
    )


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], items: Sequence[object]) -> str:
    """Return a sortable table; rows know their setting and strategy, by which the page filters."""
    top = "".join(f"<th scope='col'><button type='button'>{escape(c)}</button></th>" for c in columns)
    lines = []
    for row, item in zip(rows, items, strict=False):
        setting, labels = _about(item)
        lines.append(f"<tr data-setting='{escape(setting, True)}' data-labels='{escape(labels, True)}'>"
                     f"{''.join(row)}</tr>")  # fmt: skip
    body = f"<thead><tr>{top}</tr></thead><tbody>{''.join(lines)}</tbody>"
    return f"<div class='scroll'><table class='sortable'>{body}</table></div>"


def _about(item: object) -> tuple[str, str]:
    if isinstance(item, Numbers):
        return item.setting, item.label
    if isinstance(item, Comparison):
        return item.setting, f"{item.first}|{item.second}"
    return (item[0], item[1]) if isinstance(item, tuple) else ("", "")


def _shaded(value: float, most: int) -> str:
    return f"<td style='--share:{value / most if most else 0:.3f}'>{value:.2f}</td>"


def _text(value: str) -> str:
    return f"<td>{escape(value)}</td>"


def _number(value: float, shown: str) -> str:
    return f"<td class='number' data-value='{'' if math.isnan(value) else value}'>{shown}</td>"


def _share(i: Interval, sign: bool = False) -> str:
    return _interval(Interval(*(100 * v for v in i)), 1, sign)


def _interval(i: Interval, digits: int, sign: bool = False) -> str:
    if math.isnan(i.mean):
        return _number(i.mean, "")
    plus = "+" if sign else ""
    said = f"{i.mean:{plus}.{digits}f}"
    if not math.isnan(i.low):
        said += f" <small>[{i.low:{plus}.{digits}f}, {i.high:{plus}.{digits}f}]</small>"
    return _number(i.mean, said)


def _points(i: Interval) -> str:
    said = f"{100 * i.mean:+.1f}"
    return said if math.isnan(i.low) else f"{said} [{100 * i.low:+.1f}, {100 * i.high:+.1f}]"


def _pc(value: float) -> str:
    return f"{100 * value:.1f}%"


def _plain(value: float, digits: int) -> str:
    return "" if math.isnan(value) else f"{value:,.{digits}f}"


def _p(value: float) -> str:
    return "" if math.isnan(value) else ("&lt;&nbsp;0.001" if value < 0.001 else f"{value:.3f}")
