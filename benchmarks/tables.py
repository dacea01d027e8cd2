"""Tables of a study's numbers, for a page: of areas, shares of clean rows, comparisons, curves and costs.

Each takes the name of a study under docs/results/, or of several, "A+B", and the beginning of those settings' names
that are shown.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from hetal.report.analyse.setting import in_order
from hetal.report.stats.intervals import bca_interval
from hetal.report.stats.significance import holm, paired_t
from tests.command_line import REPOSITORY

DOCS = REPOSITORY / "docs"
Row = dict[str, str]


def read_csv(path: Path) -> list[Row]:
    with path.open(newline="") as file:
        return [*csv.DictReader(file)]


def write_back(path: Path, rows: Sequence[Row]) -> None:
    """Write rows that were read from a CSV as they stand there, with every column that any of them has."""
    columns = dict.fromkeys(key for row in rows for key in row)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*columns], restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def rows(study: str, name: str) -> list[Row]:
    """Return the rows of a table of a study, by the study's name or the path of its report; those by accuracy only.

    "A+B" is the rows of both, and "A:x,y" those of strategies x and y alone.
    """
    found = []
    for one in study.split("+"):
        folder, _, only = one.partition(":")
        read = read_csv(DOCS / "results" / folder / f"{name}.csv")
        found += [row for row in read if not only or row["strategy"] in only.split(",")]
    return (
        found if name == "curves" else [row for row in found if row.get("measure", "accuracy") == "accuracy"]
    )


def markdown(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(row: Row, name: str, sign: str = "") -> str:
    """Return a share and its interval in percent."""
    mean, low, high = (100 * float(row[key]) for key in (name, f"{name}_low", f"{name}_high"))
    return f"{mean:{sign}.1f} [{low:{sign}.1f}, {high:{sign}.1f}]"


def by_setting(study: str, settings: str, cell: Callable[[Row], str], best: str = "") -> str:
    """Return a table of strategies by those settings whose name begins with `settings`; `best` is in bold."""
    chosen = [row for row in rows(study, "numbers") if row["setting"].startswith(settings)]
    columns = list(dict.fromkeys(row["setting"] for row in chosen))
    strategies = list(dict.fromkeys(row["strategy"] for row in chosen))
    cells = {(row["strategy"], row["setting"]): row for row in chosen}
    top = (
        {s: max(float(r[best]) for r in chosen if r["setting"] == s and r[best]) for s in columns}
        if best
        else {}
    )

    def text(strategy: str, setting: str) -> str:
        row = cells.get((strategy, setting))
        if row is None or not int(row["n"]):
            return ""
        text = f"{cell(row)}, {row['n']}"
        return f"**{text}**" if best and float(row[best]) == top[setting] else text

    return markdown(["", *columns], [[s, *(text(s, c) for c in columns)] for s in strategies])


def area(study: str, settings: str = "") -> str:
    """Mean accuracy over labels."""
    return by_setting(study, settings, lambda row: percent(row, "area"), best="area")


def clean(study: str, settings: str = "") -> str:
    """Share of clean rows among those queried."""
    return by_setting(study, settings, lambda row: percent(row, "clean_share") if row["clean_share"] else "")


def finished(study: str, settings: str = "") -> list[Row]:
    """Return the finished runs of a study whose settings' names begin with `settings`."""
    return [r for r in rows(study, "runs") if r["finished"] == "True" and r["setting"].startswith(settings)]


def brief(study: str, column: str, settings: str = "") -> str:
    """The mean over seeds of a share of every strategy and setting in percent, without intervals."""
    shares: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in finished(study, settings):
        if row[column]:
            shares[row["strategy"], row["setting"]].append(float(row[column]))
    names, settings = ({key[i] for key in shares} for i in (0, 1))
    columns = sorted(settings, key=in_order)
    cells = {key: f"{100 * np.mean(share_S):.0f}" for key, share_S in shares.items()}
    body = [[name, *(cells.get((name, column), "") for column in columns)] for name in sorted(names)]
    return markdown(["", *columns], body)


def cost(study: str, settings: str = "") -> str:
    """Seconds of a round."""
    return by_setting(
        study, settings,
        lambda r: " + ".join(f"{float(r[f'seconds_{phase}_per_round']):.2f}" for phase in ("train", "select")),
    )  # fmt: skip


def versus(study: str, first: str, settings: str = "") -> str:
    """By how much one strategy is ahead of each other, paired by seed; bold where Holm's p is under 0.05."""
    chosen = [r for r in rows(study, "comparisons") if first in (r["first"], r["second"])]
    chosen = [r for r in chosen if r["setting"].startswith(settings)]
    columns = list(dict.fromkeys(row["setting"] for row in chosen))
    cells = {}
    for row in chosen:
        other, sign = (row["second"], 1) if row["first"] == first else (row["first"], -1)
        mean, *ends = (sign * 100 * float(row[f"difference{end}"]) for end in ("", "_low", "_high"))
        text = f"{mean:+.1f} [{min(ends):+.1f}, {max(ends):+.1f}], p {float(row['t_holm']):.2g}"
        cells[other, row["setting"]] = f"**{text}**" if float(row["t_holm"]) < 0.05 else text
    others = list(dict.fromkeys(other for other, _ in cells))
    head = [
        f"{first} over",
        *(f"{c}, n {next(r['n'] for r in chosen if r['setting'] == c)}" for c in columns),
    ]
    return markdown(head, [[o, *(cells.get((o, c), "") for c in columns)] for o in others])


def pooled(study: str, first: str, settings: str, noises: str = "blank,diverse,class") -> str:
    """As `versus`, of every seed's mean over several noises; Holm counts the comparisons shown."""
    chosen = [row for row in rows(study, "runs") if row["finished"] == "True"]
    areas: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in chosen:
        if any(row["setting"].startswith(f"{settings} {noise} ") for noise in noises.split(",")):
            areas[row["strategy"]][int(row["seed"])].append(100 * float(row["area_under_curve"]))
    whole = {
        strategy: {seed: np.mean(a) for seed, a in seeds.items() if len(a) == noises.count(",") + 1}
        for strategy, seeds in areas.items()
    }
    others = [strategy for strategy, seeds in whole.items() if strategy != first and seeds]
    differences = []
    for other in others:
        shared = sorted(whole[first].keys() & whole[other].keys())
        differences.append(np.array([whole[first][s] - whole[other][s] for s in shared]))
    p_values = holm([float(paired_t(d[None])[0]) for d in differences])
    body = []
    for other, d, p in zip(others, differences, p_values, strict=True):
        gap = bca_interval(d)
        text = f"{gap.mean:+.1f} [{gap.low:+.1f}, {gap.high:+.1f}], p {p:.2g}, n {len(d)}"
        body.append([other, f"**{text}**" if p < 0.05 else text])
    return markdown([f"{first} over", f"{settings}, mean over {noises.replace(',', ', ')}"], body)


def curve(study: str, measure: str, settings: str = "") -> str:
    """A measure of every round: mean and interval over seeds, and n."""
    chosen = [
        r for r in rows(study, "curves") if r["measure"] == measure and r["setting"].startswith(settings)
    ]
    labels = sorted({round(float(row["x"])) for row in chosen})
    several = len({row["setting"] for row in chosen}) > 1
    cells = {}
    for row in chosen:
        name = f"{row['strategy']}, {row['setting']}" if several else row["strategy"]
        text = f"{100 * float(row['mean']):.1f}"
        if row["low"]:
            text += f" ± {50 * (float(row['high']) - float(row['low'])):.1f}"
        cells[name, round(float(row["x"]))] = f"{text}, {row['n']}"
    names = list(dict.fromkeys(name for name, _ in cells))
    head = ["labels", *(f"{n:,}" for n in labels)]
    return markdown(head, [[name, *(cells.get((name, n), "") for n in labels)] for name in names])


def effort(study: str, settings: str = "") -> str:
    """Runs of a study, and what they took."""
    spent = [float(row["seconds"] or 0) for row in finished(study, settings)]
    return f"{len(spent):,} runs, {sum(spent) / 3600:.1f} hours of one core."


def seconds(study: str, leads: Mapping[str, Sequence[float]]) -> str:
    """The least seconds of a query, and of a round with it, over rounds and seeds; see benchmarks.seconds.

    The last column is the mean of `leads`, a strategy's in points of area by setting: what the seconds buy.
    """
    chosen = rows(study, "seconds")
    sizes = sorted({int(row["n_rows"]) for row in chosen})
    least: dict[tuple[str, int, str], float] = defaultdict(lambda: float("inf"))
    for row in chosen:
        for of in ("query", "round"):
            key = row["strategy"], int(row["n_rows"]), of
            least[key] = min(least[key], float(row[of]))
    names = sorted({row["strategy"] for row in chosen}, key=lambda name: least[name, sizes[-1], "query"])
    every = [(size, of) for of in ("query", "round") for size in sizes]
    body = [
        [
            name,
            *(f"{least[(name, *key)]:.2g}" if (name, *key) in least else "" for key in every),
            f"{np.mean(leads[name]):+.1f}" if name in leads else "",
        ]
        for name in names
    ]
    return markdown(["", *(f"{of}, {size:,} rows" for size, of in every), "over random"], body)
