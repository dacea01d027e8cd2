"""Fills tables of docs/RESULTS.md and STRATEGIES.md from docs/results/: `python -m benchmarks.results [STUDY ...]`.

Each STUDY is the folder of a report (`python -m hetal.report multirun/NAME` makes multirun/NAME/report). Its numbers
are first copied to docs/results/NAME/, where they are kept in git, records being too many, and those of its figures
that a page shows as figures/NAME-FIGURE.png to docs/figures/. The text is by hand; what stands between
`<!-- TABLE STUDY ... -->` and `<!-- end -->` is made here. `--show once STUDY` prints that table of a report, and
writes nothing.
"""

from __future__ import annotations

import argparse
import csv
import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.kinds import areas_of
from benchmarks.kinds import groups as groups_of
from benchmarks.kinds import kinds as kinds_of
from benchmarks.kinds import loss as loss_of
from benchmarks.kinds import odds as odds_of
from hetal.report.files.tables import write_csv
from hetal.report.load.reading import read
from hetal.report.load.records import Run
from hetal.report.stats.intervals import bca_interval
from hetal.report.stats.significance import holm, paired_t
from tests.command_line import REPOSITORY

DOCS = REPOSITORY / "docs"
PAGES = ("RESULTS.md", "STRATEGIES.md")
KEPT = ("numbers.csv", "comparisons.csv", "runs.csv", "ranks.csv", "curves.csv")
# Of curves.csv; the whole of it is a megabyte a study.
CURVES = ("accuracy", "clean_share", "pseudo_clean", "pseudo_noisy", "pseudo_share")
PHASES = ("train", "score", "select", "test")
# Of how runs differ: what is as it is without a word, or follows from another setting.
PLAIN = re.compile(r"model\.members=1|train\.loss\.label_smoothing=.*|.*=(?:0|absent)")
Row = dict[str, str]


def rows(study: str, name: str) -> list[Row]:
    """Return the rows of a table of a study, by the study's name or the path of its report; those by accuracy only."""
    with (DOCS / "results" / study / f"{name}.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    return (
        found if name == "curves" else [row for row in found if row.get("measure", "accuracy") == "accuracy"]
    )


def keep(name: str, about: str | None, rows_of: Callable[[Run], Iterable[Mapping[str, Any]]]) -> None:
    """Write `rows_of` every run of the study that the command line names to docs/results/STUDY/NAME.csv.

    The command of a table that no report has; `about` says what it does.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    study = parser.parse_args().study.resolve()
    runs = sorted(read([study]).runs, key=lambda run: (run.setting, run.label, run.seed))
    into = DOCS / "results" / study.name
    into.mkdir(parents=True, exist_ok=True)
    write_csv(into / f"{name}.csv", (row for run in runs for row in rows_of(run)))


def percent(row: Row, name: str, sign: str = "") -> str:
    """Return a share and its interval in percent."""
    mean, low, high = (100 * float(row[key]) for key in (name, f"{name}_low", f"{name}_high"))
    return f"{mean:{sign}.1f} [{low:{sign}.1f}, {high:{sign}.1f}]"


def markdown(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


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


def brief(study: str, column: str, settings: str = "") -> str:
    """A share of every strategy and setting in percent, without intervals."""
    chosen = [row for row in rows(study, "numbers") if row["setting"].startswith(settings) and row[column]]
    columns = list(dict.fromkeys(row["setting"] for row in chosen))
    cells = {(row["strategy"], row["setting"]): f"{100 * float(row[column]):.0f}" for row in chosen}
    names = dict.fromkeys(row["strategy"] for row in chosen)
    return markdown(["", *columns], [[name, *(cells.get((name, c), "") for c in columns)] for name in names])


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


def crossed(study: str, settings: str = "") -> str:
    """Areas of strategies by what else differs, of one setting; and how far apart each line and column are."""
    cells: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in rows(study, "numbers"):
        if row["setting"].startswith(settings) and int(row["n"]):
            strategy, *others = row["strategy"].split(", ")
            rest = ", ".join(part for part in others if not PLAIN.fullmatch(part))
            cells[rest][strategy] = row
    names = list(dict.fromkeys(name for line in cells.values() for name in line))

    def spread(lines: Iterable[Row]) -> str:
        areas = [100 * float(row["area"]) for row in lines]
        return f"{max(areas) - min(areas):.1f}"

    body = [
        [
            rest,
            *(f"{percent(line[n], 'area')}, {line[n]['n']}" if n in line else "" for n in names),
            spread(line.values()),
        ]
        for rest, line in cells.items()
    ]
    apart = [spread(line[name] for line in cells.values() if name in line) for name in names]
    return markdown(["", *names, "by strategy"], [*body, ["by training", *apart, ""]])


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
    lengths = {(r["setting"], r["strategy"]): int(r["rounds"]) for r in rows(study, "runs")}
    chosen = [r for r in rows(study, "numbers") if r["setting"].startswith(settings)]
    n_runs = sum(int(row["n"]) for row in chosen)
    hours = sum(
        int(row["n"]) * lengths[row["setting"], row["strategy"]] * float(row[f"seconds_{phase}_per_round"])
        for row in chosen
        for phase in PHASES
    ) / 3600  # fmt: skip
    return f"{n_runs:,} runs, {hours:.1f} hours of one core."


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


def seconds(study: str, settings: str = "") -> str:
    """The least seconds of a query, and of a round with it, over rounds and seeds; see benchmarks.seconds."""
    chosen = [row for row in rows(study, "seconds") if row["setting"].startswith(settings)]
    columns = list(dict.fromkeys(row["setting"] for row in chosen))
    least: dict[tuple[str, str, str], float] = defaultdict(lambda: float("inf"))
    for row in chosen:
        for of in ("query", "round"):
            key = row["strategy"], row["setting"], of
            least[key] = min(least[key], float(row[of]))
    names = sorted({row["strategy"] for row in chosen}, key=lambda name: least[name, columns[-1], "query"])
    cells = [[f"{least[n, c, of]:.2g}" if (n, c, of) in least else "" for c in columns for of in ("query", "round")]
             for n in names]  # fmt: skip
    head = [f"{c}: {of}" for c in columns for of in ("query", "round")]
    return markdown(["", *head], [[name, *line] for name, line in zip(names, cells, strict=True)])


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


def once(study: str, settings: str = "", wrapper: str = "once") -> str:
    """Every strategy as it is, and where `once` shows it each image once; the difference is paired by seed.

    Holm counts the comparisons of the table. A query's seconds are those of scoring and selecting. `wrapper` may be
    "once 0.2", where images closer than that count as one.
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
    body = []
    for key in best_first:
        cells = [cell for is_wrapped in (False, True) for cell in _short(both[key].get(is_wrapped))]
        body.append([", ".join(key[::-1]) if several else key[1], *cells, gaps.get(key, "")])
    columns = ("area", "clean", "query (s)")
    head = ["", *columns, *(f"{wrapper}: {column}" for column in columns), f"{wrapper} over not"]
    return markdown(head, body)


def _short(row: Row | None) -> list[str]:
    """Return area and n, clean share and seconds of a query of a strategy, without intervals."""
    if row is None:
        return ["", "", ""]
    clean = f"{100 * float(row['clean_share']):.0f}%" if row["clean_share"] else ""
    seconds = sum(float(row[f"seconds_{phase}_per_round"] or 0) for phase in ("score", "select"))
    return [f"{100 * float(row['area']):.1f}, {row['n']}", clean, f"{seconds:.2g}"]


def kinds(study: str, settings: str = "") -> str:
    """Which strategy for which noise."""
    return markdown(*kinds_of(areas_of(r for r in rows(study, "runs") if r["setting"].startswith(settings))))


def loss(study: str, settings: str = "") -> str:
    """What a strategy costs as the only choice, in points of the area."""
    return markdown(*loss_of(areas_of(r for r in rows(study, "runs") if r["setting"].startswith(settings))))


def odds(study: str, settings: str = "", baseline: str = "random") -> str:
    """How often each strategy is ahead of another."""
    chosen = areas_of(r for r in rows(study, "runs") if r["setting"].startswith(settings))
    return markdown(*odds_of(chosen, baseline))


def groups(study: str, settings: str, baseline: str, *named: str) -> str:
    """Leads over groups of settings, each named as "NAME=WORD,WORD"; bounds are shown too."""
    chosen = areas_of((r for r in rows(study, "runs") if r["setting"].startswith(settings)), with_bounds=True)
    words = {name: text.split(",") for name, _, text in (group.partition("=") for group in named)}
    return markdown(*groups_of(chosen, baseline, words))


MADE = (
    area,
    clean,
    brief,
    crossed,
    cost,
    versus,
    pooled,
    curve,
    effort,
    start,
    classes,
    spread,
    once,
    kinds,
    loss,
    odds,
    groups,
    seconds,
)
TABLES = {table.__name__: table for table in MADE}


def fill(page: str) -> str:
    """Return the page with its tables made anew."""

    def made(match: re.Match[str]) -> str:
        name, *arguments = re.findall(r'"[^"]*"|\S+', match[1])
        table = TABLES[name](*(argument.strip('"') for argument in arguments))
        return f"<!-- {match[1]} -->\n\n{table}\n\n<!-- end -->"

    names = "|".join(TABLES)
    return re.sub(rf"<!-- ((?:{names}) .*?) -->\n.*?<!-- end -->", made, page, flags=re.DOTALL)


def main() -> None:
    """Copy what is given, and fill the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("studies", nargs="*", type=Path, help="folders of reports")
    parser.add_argument("--show", choices=sorted(TABLES), help="print this table of them, and write nothing")
    args = parser.parse_args()
    if args.show:
        for report in args.studies:
            print(TABLES[args.show](str(report.resolve())))
        return
    text = "".join((DOCS / page).read_text() for page in PAGES)
    for report in args.studies:
        study = report.resolve().parent.name
        into = DOCS / "results" / study
        into.mkdir(parents=True, exist_ok=True)
        for name in KEPT:
            # Of all pairs of dozens of strategies it is a megabyte.
            if name != "comparisons.csv" or re.search(rf"<!-- (?:versus|pooled) {study}\b", text):
                shutil.copy(report / name, into / name)
        write_csv(into / "curves.csv", [row for row in rows(study, "curves") if row["measure"] in CURVES])
        for figure in re.findall(rf"\(figures/{study}-([\w.-]+\.png)\)", text):
            shutil.copy(report / figure, DOCS / "figures" / f"{study}-{figure}")
    for page in PAGES:
        (DOCS / page).write_text(fill((DOCS / page).read_text()))


if __name__ == "__main__":
    main()
