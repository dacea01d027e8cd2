"""Tables that one study alone has: Four-Moons, how a published average starts, strategies with and without copies."""

from __future__ import annotations

import re
from collections import defaultdict

import numpy as np

from benchmarks.tables import Row, markdown, rows
from hetal.report.stats.intervals import bca_interval
from hetal.report.stats.significance import holm, paired_t


def start(study: str, settings: str = "") -> str:
    """What of a moving average is still the random network it started from; see benchmarks.moving_average."""
    chosen = [row for row in rows(study, "start") if row["setting"].startswith(settings)]
    labels = sorted({int(row["n_labelled"]) for row in chosen})
    body = []
    for name in dict.fromkeys((row["strategy"], row["setting"]) for row in chosen):
        mine = [row for row in chosen if (row["strategy"], row["setting"]) == name]
        weights = [[100 * float(r["weight"]) for r in mine if int(r["n_labelled"]) == n] for n in labels]
        body.append([", ".join(name), *(f"{np.mean(w):.0f}, {len(w)}" if w else "" for w in weights)])
    return markdown(["labels", *(f"{n:,}" for n in labels)], body)


def classes(study: str, settings: str = "") -> str:
    """Final accuracy where labels mean something and where they do not; see benchmarks.classes."""
    chosen = [row for row in rows(study, "classes") if row["setting"].startswith(settings)]
    body = []
    for strategy in dict.fromkeys(row["strategy"] for row in chosen):
        mine = [row for row in chosen if row["strategy"] == strategy]
        text = [strategy, str(len(mine))]
        for column in ("on_others", "on_noisy_class"):
            value_S = 100 * np.array([float(row[column]) for row in mine])
            mean = bca_interval(value_S)
            interval = f"{mean.mean:.1f} [{mean.low:.1f}, {mean.high:.1f}]"
            text.append(f"{interval}, {value_S.min():.0f} to {value_S.max():.0f}")
        body.append(text)
    return markdown(["", "n", "on the other classes: mean, range", "on the noisy class: mean, range"], body)


def spread(study: str, published: str = "") -> str:
    """Final accuracies of single runs, and where published ones fall: `published` is NAME:VALUE/VALUE,..."""
    chosen = rows(study, "runs")
    text = dict(pair.split(":") for pair in published.split(",") if pair)
    body = []
    for strategy in dict.fromkeys(row["strategy"] for row in chosen):
        mine = [row for row in chosen if row["strategy"] == strategy and row["finished"] == "True"]
        final_S = 100 * np.array([float(row["final_accuracy"]) for row in mine])
        noisy_S = 100 * (1 - np.array([float(row["queried_clean_share"]) for row in mine]))
        theirs = text[strategy].split("/") if strategy in text else []
        above = ", ".join(f"{value}: {int((final_S < float(value)).sum())}" for value in theirs)
        quartiles = np.percentile(final_S, [0, 25, 50, 75, 100])
        body.append([
            strategy, str(len(mine)), f"{final_S.mean():.1f}", " ".join(f"{q:.1f}" for q in quartiles),
            f"{noisy_S.mean():.0f} ({noisy_S.min():.0f} to {noisy_S.max():.0f})", above,
        ])  # fmt: skip
    head = ["", "n", "mean", "least, quartiles, most", "noisy share of queries (range)",
            "published run: above how many"]  # fmt: skip
    return markdown(head, body)


def once(study: str, settings: str = "", wrapper: str = "once", seconds: str = "seconds") -> str:
    """Every strategy as it is, and where `once` shows it each image once; the difference is paired by seed.

    Holm counts the comparisons of the table. A query's seconds are those of scoring and selecting; "no seconds" leaves
    them out. `wrapper` may be "once 0.2", where images closer than that count as one.
    """
    chosen = [row for row in rows(study, "numbers") if row["setting"].startswith(settings) and int(row["n"])]
    areas: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for row in rows(study, "runs"):
        if row["finished"] == "True":
            key = row["setting"], row["strategy"]
            areas[key][int(row["seed"])] = 100 * float(row["area_under_curve"])
    # Of each strategy, by setting and name: as it is, and wrapped.
    both: dict[tuple[str, str], dict[bool, Row]] = defaultdict(dict)
    for row in chosen:
        is_wrapped = re.fullmatch(r"(once(?: [\d.]+)?) (.+)", row["strategy"])
        if is_wrapped is None:
            both[row["setting"], row["strategy"]][False] = row
        elif is_wrapped[1] == wrapper:
            both[row["setting"], is_wrapped[2]][True] = row
    differences = {}
    for key, pair in both.items():
        if len(pair) == 2:
            plain, wrapped = (areas[key[0], pair[is_wrapped]["strategy"]] for is_wrapped in (False, True))
            shared = sorted(plain.keys() & wrapped.keys())
            if len(shared) > 1:
                differences[key] = np.array([wrapped[seed] - plain[seed] for seed in shared])
    p_values = holm([float(paired_t(d[None])[0]) for d in differences.values()])
    gaps = {}
    for (key, d), p in zip(differences.items(), p_values, strict=True):
        gap = bca_interval(d)
        text = f"{gap.mean:+.1f} [{gap.low:+.1f}, {gap.high:+.1f}], p {p:.2g}, n {len(d)}"
        gaps[key] = f"**{text}**" if p < 0.05 else text
    several = len({setting for setting, _ in both}) > 1
    best_first = sorted(
        both, key=lambda key: (key[0], -max(float(row["area"]) for row in both[key].values()))
    )
    columns = ("area", "clean", "query (s)") if seconds == "seconds" else ("area", "clean")
    body = []
    for key in best_first:
        cells = [c for is_wrapped in (False, True) for c in _short(both[key].get(is_wrapped))[: len(columns)]]
        body.append([", ".join(key[::-1]) if several else key[1], *cells, gaps.get(key, "")])
    head = ["", *columns, *(f"{wrapper}: {column}" for column in columns), f"{wrapper} over not"]
    return markdown(head, body)


def _short(row: Row | None) -> list[str]:
    """Return area and n, clean share and seconds of a query of a strategy, without intervals."""
    if row is None:
        return ["", "", ""]
    clean = f"{100 * float(row['clean_share']):.0f}%" if row["clean_share"] else ""
    seconds = sum(float(row[f"seconds_{phase}_per_round"] or 0) for phase in ("score", "select"))
    return [f"{100 * float(row['area']):.1f}, {row['n']}", clean, f"{seconds:.2g}"]
