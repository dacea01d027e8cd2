"""Tables that one study alone has: Four-Moons, how a published average starts, strategies with and without copies."""

from __future__ import annotations

import re
from collections import defaultdict

import numpy as np

from benchmarks.tables import Row, finished, markdown, rows
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
    found: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in finished(study, settings):
        found[row["setting"], row["strategy"]].append(row)
    queries = _query_seconds(study) if seconds == "seconds" else {}
    # Of each strategy, by setting and name: as it is, and wrapped.
    both: dict[tuple[str, str], dict[bool, str]] = defaultdict(dict)
    for setting, name in found:
        is_wrapped = re.fullmatch(r"(once(?: [\d.]+)?) (.+)", name)
        if is_wrapped is None:
            both[setting, name][False] = name
        elif is_wrapped[1] == wrapper:
            both[setting, is_wrapped[2]][True] = name
    areas = {
        key: {int(row["seed"]): 100 * float(row["area_under_curve"]) for row in runs}
        for key, runs in found.items()
    }
    differences = {}
    for key, pair in both.items():
        if len(pair) == 2:
            plain, wrapped = (areas[key[0], pair[is_wrapped]] for is_wrapped in (False, True))
            shared = sorted(plain.keys() & wrapped.keys())
            if len(shared) > 1:
                differences[key] = np.array([wrapped[seed] - plain[seed] for seed in shared])
    p_values = holm([float(paired_t(d[None])[0]) for d in differences.values()])
    gaps = {}
    for (key, d), p in zip(differences.items(), p_values, strict=True):
        gap = bca_interval(d)
        text = f"{gap.mean:+.1f} [{gap.low:+.1f}, {gap.high:+.1f}], p {p:.2g}, n {len(d)}"
        gaps[key] = f"**{text}**" if p < 0.05 else text

    def height(key: tuple[str, str]) -> float:
        return max(float(np.mean([*areas[key[0], name].values()])) for name in both[key].values())

    def cells(setting: str, name: str | None) -> list[str]:
        runs = found[setting, name] if name else []
        clean = [float(row["queried_clean_share"]) for row in runs if row["queried_clean_share"]]
        return [
            f"{np.mean([*areas[setting, name].values()]):.1f}, {len(runs)}" if name else "",
            f"{100 * np.mean(clean):.0f}%" if clean else "",
            *([queries.get((setting, name), "")] if seconds == "seconds" else []),
        ]

    several = len({setting for setting, _ in both}) > 1
    body = []
    for key in sorted(both, key=lambda key: (key[0], -height(key))):
        shown = [cell for is_wrapped in (False, True) for cell in cells(key[0], both[key].get(is_wrapped))]
        body.append([", ".join(key[::-1]) if several else key[1], *shown, gaps.get(key, "")])
    columns = ["area", "clean", *(["query (s)"] if seconds == "seconds" else [])]
    head = ["", *columns, *(f"{wrapper}: {column}" for column in columns), f"{wrapper} over not"]
    return markdown(head, body)


def _query_seconds(study: str) -> dict[tuple[str, str], str]:
    """Return the mean seconds of a query, of scoring and selecting, by setting and strategy."""
    phases = ("seconds_score_per_round", "seconds_select_per_round")
    return {
        (row["setting"], row["strategy"]): f"{sum(float(row[phase] or 0) for phase in phases):.2g}"
        for row in rows(study, "numbers")
    }
