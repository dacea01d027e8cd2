"""The top of the page: who wins each setting, by how much, and how far that is to be trusted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape

from hetal.report.analyse.results import Numbers, Verdict
from hetal.report.analyse.series import RANDOM
from hetal.report.files.figures import Look
from hetal.report.page.markup import (
    Row,
    about,
    glyph,
    many,
    named,
    number,
    p_value,
    percent,
    plain,
    section,
    share,
    table,
    text,
    where,
    written,
)
from hetal.report.stats.intervals import ENOUGH_SEEDS, Interval
from hetal.report.stats.ranks import Ranking
from hetal.report.stats.significance import SURE

# Of more settings than this, a table says who leads, and the cards are folded away.
MOST_CARDS = 6


def head(title: str, n: int, finished: int, lost: int, when: str) -> str:
    """Return the title and what the page is made of."""
    left = f', <a href="#completeness">{lost:,} missing</a>' if lost else ""
    return (
        f"<header><h1>{escape(title)}</h1><p>{many(n, 'run')}, {finished:,} finished{left}. "
        f"Made {when} by <code>python -m hetal.report</code>.</p></header>"
    )


def summary(
    verdicts: Sequence[Verdict],
    numbers: Sequence[Numbers],
    look: Mapping[str, Look],
    ranks: Ranking | None,
) -> str:
    """Return the verdict on all settings in a sentence, and a card for each of them.

    Args:
        verdicts: of the settings.
        numbers: of every strategy in every setting.
        look: of every strategy.
        ranks: mean ranks over the settings, if any.
    """
    if not verdicts:
        return section("summary", "Summary", "<p>No run is finished yet; the curves show what there is.</p>")
    cards = "".join(_card(v, [n for n in numbers if n.setting == v.setting and n.n], look) for v in verdicts)
    note = (
        "Ranked by mean accuracy over labels, the normalised area under the learning curve, with 95% intervals (BCa "
        "bootstrap over seeds). Leader, margin and p are over the seeds that all who take part have finished; p is of "
        "the t-test paired by seed, adjusted by Holm for all their pairs. Hollow: not told apart from the leader at "
        "0.05."
    )
    cards = f"<div class='cards'>{cards}</div>"
    if len(verdicts) > MOST_CARDS:
        cards = f"{_league(verdicts, look)}<details><summary>Every setting with intervals</summary>{cards}</details>"
    body = f"{_warning(verdicts)}<p class='headline'>{_sentence(verdicts, ranks)}</p>{cards}"
    return section("summary", "Summary", body, note)


def _league(verdicts: Sequence[Verdict], look: Mapping[str, Look]) -> str:
    """Say the verdicts in a line each."""
    rows = []
    for v in verdicts:
        c = v.comparison
        margin = share(c.difference, sign=True) if c else number(math.nan, "")
        p = number(c.t_holm, p_value(c.t_holm)) if c else number(math.nan, "")
        state = f"<td>{_badge(v)}</td>"
        second = named(v.second, look[v.second]) if v.second else text("")
        cells = [where(v.setting), named(v.leader, look[v.leader]), share(Interval(v.area, math.nan, math.nan)),
                 margin, second, p, state]  # fmt: skip
        rows.append(Row(cells, v.setting))
    columns = ("setting", "leader", "mean accuracy %", "margin, points", "over", "p", "confidence")
    return f"<div class='league'>{table(columns, rows, 'Who leads where')}</div>"


def _badge(v: Verdict) -> str:
    if v.second is None:
        return ""
    state = _state(v)
    said = {"weak": "not to be trusted:", "sure": "clear lead,", "open": "no clear lead,"}[state]
    return f"<span class='badge {state}'>{said} {many(v.n, 'seed')}</span>"


def _warning(verdicts: Sequence[Verdict]) -> str:
    few = [v for v in verdicts if not v.trusted]
    if not few:
        return ""
    least = min(v.n for v in few)
    where = "" if len(few) == len(verdicts) else f" in {len(few)} of {many(len(verdicts), 'setting')}"
    return (
        f"<p class='warning' role='note'><b>Not to be trusted{where}:</b> as few as {many(least, 'seed')} to compare "
        f"by. A comparison needs {ENOUGH_SEEDS}; with fewer, who leads may be chance.</p>"
    )


def _sentence(verdicts: Sequence[Verdict], ranks: Ranking | None) -> str:
    if len(verdicts) == 1:
        v = verdicts[0]
        doubt = {
            "weak": ", but too few seeds were run to trust it",
            "open": ", which may be chance",
            "sure": "",
        }
        if v.second is None:
            return _alone(v)
        return f"<b>{escape(v.leader)}</b> leads{_margin(v)}{doubt[_state(v)]}."
    contested = [v for v in verdicts if v.second]
    if not contested:
        return "In no setting are there two strategies to compare yet."
    won = Counter(v.leader for v in contested).most_common()
    clear = Counter(v.leader for v in contested if _state(v) == "sure")
    among = many(len(contested), "setting") + (" to compare in" if len(contested) < len(verdicts) else "")
    wins = ", ".join(
        f"<b>{escape(label)}</b> leads {n} of {among} ({clear[label]} clearly)" for label, n in won[:3]
    )
    if ranks is None or len(ranks.ranks) < 3:
        return f"{wins}."
    (first, rank), (second, next_rank) = list(ranks.ranks.items())[:2]
    return (
        f"{wins}. Over all settings the best mean rank is <b>{escape(first)}</b>'s, {rank:.2f} of {len(ranks.ranks)}; "
        f"next comes {escape(second)} with {next_rank:.2f}."
    )


def _alone(v: Verdict) -> str:
    if v.waiting:
        return f"Only <b>{escape(v.leader)}</b> has finished enough seeds to be compared."
    return f"<b>{escape(v.leader)}</b> is the only strategy: there is nothing to compare it with."


def _margin(v: Verdict) -> str:
    if v.comparison is None or v.second is None:
        return ""
    points = written(percent(v.comparison.difference), 1)
    return f" by {points} points over <b>{escape(v.second)}</b>"


def _state(v: Verdict) -> str:
    if not v.trusted:
        return "weak"
    return "sure" if v.comparison is not None and v.comparison.t_holm < SURE else "open"


def _card(v: Verdict, numbers: Sequence[Numbers], look: Mapping[str, Look]) -> str:
    said = f"<h3>{escape(v.setting)}</h3><p class='lead'><b>{escape(v.leader)}</b> {100 * v.area:.1f}%</p>"
    c = v.comparison
    if v.second is not None and c is None:
        said += (
            f"<p>{_badge(v)}</p><p>There is no seed yet that all have finished, so there is no margin.</p>"
        )
    elif v.second is not None and c is not None:
        p = "" if math.isnan(c.t_holm) else f", p&nbsp;{p_value(c.t_holm)}"
        margin = written(percent(c.difference), 1, sign=True)
        ahead = (
            "" if math.isnan(c.t_holm) else f"; ahead of {v.beaten} of {many(len(v.rivals), 'other')} at 0.05"
        )
        said += f"<p>{_badge(v)}</p><p>{margin} points over <b>{escape(v.second)}</b>{p}{ahead}.</p>"
    if v.waiting:
        said += f"<p class='note'>Too few seeds yet to take part: {escape(', '.join(v.waiting))}.</p>"
    told_apart = {rival.second for rival in v.rivals if rival.t_holm < SURE}
    return f"<article{about(v.setting)}>{said}{_forest(numbers, look, told_apart)}</article>"


def _forest(numbers: Sequence[Numbers], look: Mapping[str, Look], told_apart: set[str]) -> str:
    """Draw every strategy's interval on one scale, the best first; full where it is told apart from the leader."""
    order = sorted(numbers, key=lambda n: -n.area.mean)
    ends = [end for n in order for end in n.area if not math.isnan(end)]
    low, high = min(ends), max(ends)

    def at(value: float) -> float:
        return 100 * (value - low) / (high - low or 1)

    lines = []
    for n in order:
        i = n.area if not math.isnan(n.area.low) else Interval(n.area.mean, n.area.mean, n.area.mean)
        place = f"--l:{at(i.low):.1f}%;--w:{at(i.high) - at(i.low):.1f}%;--m:{at(i.mean):.1f}%;--c:{look[n.label][0]}"
        hollow = "" if n.label in told_apart else " class='alike'"
        title = f"{n.label}: {written(percent(n.area), 1)}, {many(n.n, 'seed')}"
        lines.append(
            f"<li{about('', [n.label])}{hollow} title='{escape(title, True)}'>"
            f"<span class='name'>{glyph(look[n.label])}{escape(n.label)}</span>"
            f"<span class='track' style='{place}'><i></i><b></b></span>"
            f"<span class='value'>{plain(100 * n.area.mean, 1)}</span></li>"
        )
    random = next((n for n in numbers if n.label == RANDOM), None)
    line = f" style='--random:{at(random.area.mean):.1f}%'" if random else ""
    return f"<ol class='forest{' with-random' if random else ''}'{line}>{''.join(lines)}</ol>"
