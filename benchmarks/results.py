"""Fills tables of three pages of docs/ from docs/results/: `python -m benchmarks.results [STUDY ...]`.

Each STUDY is the folder of a report (`python -m hetal.report multirun/NAME` makes multirun/NAME/report). Its numbers
are first copied to docs/results/NAME/, where they are kept in git, records being too many, and those of its figures
that a page shows as figures/NAME-FIGURE.png to docs/figures/. With `--add` its runs join those that are kept, as where
seeds were swept in parts. The text is by hand; what stands between
`<!-- TABLE STUDY ... -->` and `<!-- end -->` is made here; STUDY may be several, as "A+B". `--show once STUDY` prints
that table of a report, and writes nothing.
"""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import kinds as by_kind
from benchmarks import tables, trainings
from benchmarks.study_tables import classes, once, spread, start
from benchmarks.tables import (
    area,
    brief,
    clean,
    cost,
    curve,
    effort,
    markdown,
    pooled,
    rows,
    versus,
)
from hetal.report.figure_options import DPI
from hetal.report.files.figures import PAGE, Sheet
from hetal.report.files.ranks import draw_ranks
from hetal.report.files.tables import write_csv
from hetal.report.load.reading import read
from hetal.report.load.records import Run

PAGES = ("RESULTS.md", "STUDIES.md", "STRATEGIES.md")
# Which tables are not made of runs.csv alone, but of these.
OTHERS = {
    "numbers.csv": r"(?:area|clean|cost|once) {study}\b(?!.*no seconds)",
    "comparisons.csv": r"versus {study}\b",
    "curves.csv": r"curve {study}\b",
}
# Of curves.csv; the whole of it is a megabyte a study.
CURVES = ("accuracy", "clean_share", "pseudo_clean", "pseudo_noisy", "pseudo_share")


def keep(name: str, about: str | None, rows_of: Callable[[Run], Iterable[Mapping[str, Any]]]) -> None:
    """Write `rows_of` every run of the study that the command line names to docs/results/STUDY/NAME.csv.

    The command of a table that no report has; `about` says what it does.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    study = parser.parse_args().study.resolve()
    runs = sorted(read([study]).runs, key=lambda run: (run.setting, run.label, run.seed))
    into = tables.DOCS / "results" / study.name
    into.mkdir(parents=True, exist_ok=True)
    write_csv(into / f"{name}.csv", (row for run in runs for row in rows_of(run)))


def _areas(study: str, settings: str, with_bounds: bool = False) -> dict[str, by_kind.Areas]:
    chosen = (row for row in rows(study, "runs") if row["setting"].startswith(settings))
    return by_kind.areas_of(chosen, with_bounds)


def kinds(study: str, settings: str = "") -> str:
    """Which strategy for which noise."""
    return markdown(*by_kind.kinds(_areas(study, settings)))


def regrets(studies: str, *names: str) -> str:
    """What a strategy costs as the only choice, in points of the area, over several studies of these names."""
    each = zip(names, studies.split("+"), strict=True)
    return markdown(*by_kind.regrets({name: _areas(study, "") for name, study in each}))


def ranks(study: str, settings: str = "") -> str:
    """Mean ranks over settings."""
    return markdown(*by_kind.ranks(_areas(study, settings)))


def rank_figure(study: str, name: str) -> str:
    """Mean ranks over settings as a diagram, which it draws to docs/figures/NAME.png."""
    ranking, _ = by_kind.ranked(_areas(study, ""))
    draw_ranks(ranking, tables.DOCS / "figures" / name, Sheet(PAGE, ("png",), dpi=DPI))
    return f"![Mean ranks of {len(ranking.ranks)} strategies over {ranking.n_settings} pools](figures/{name}.png)"


def odds(study: str, settings: str = "", baseline: str = "random", words: str = "") -> str:
    """How often each strategy is ahead of another, in all settings or in those of some words."""
    chosen = _areas(study, settings)
    kept = {setting: areas for setting, areas in chosen.items() if by_kind.is_of(setting, words.split(","))}
    return markdown(*by_kind.odds(kept if words else chosen, baseline))


def seconds(study: str, of: str) -> str:
    """What a query and a round take, and what they gain over random choice in the pools of another study."""
    return tables.seconds(study, by_kind.leads(_areas(of, ""), "random"))


def apart(study: str, settings: str = "", name: str = "random") -> str:
    """Which strategies are told apart from one, setting by setting."""
    return markdown(*by_kind.apart(_areas(study, settings), name))


def beaten(study: str, settings: str, name: str) -> str:
    """Where other strategies are ahead of one."""
    return markdown(*by_kind.beaten(_areas(study, settings), name))


def _words(named: Iterable[str]) -> dict[str, list[str]]:
    return {name: text.split(",") for name, _, text in (group.partition("=") for group in named)}


def groups(study: str, settings: str, baseline: str, *named: str) -> str:
    """Leads over groups of settings, each named as "NAME=WORD,WORD"; bounds are shown too."""
    return markdown(*by_kind.groups(_areas(study, settings, with_bounds=True), baseline, _words(named)))


def tallies(study: str, settings: str, baseline: str, *named: str) -> str:
    """How often strategies are ahead of another over groups of settings."""
    return markdown(*by_kind.tallies(_areas(study, settings), baseline, _words(named)))


def gains(study: str, settings: str, strategy: str, training: str) -> str:
    """What another training or another strategy gains."""
    chosen = (row for row in rows(study, "runs") if row["setting"].startswith(settings))
    return markdown(*trainings.gains(chosen, strategy, training))


MADE = (
    area, clean, brief, cost, versus, pooled, curve, effort, seconds, start, classes, spread, once, kinds,
    regrets, ranks, rank_figure, odds, apart, beaten, groups, tallies, gains,
)  # fmt: skip
TABLES = {table.__name__: table for table in MADE}


def fill(page: str) -> str:
    """Return the page with its tables made anew."""

    def made(match: re.Match[str]) -> str:
        name, *arguments = re.findall(r'"[^"]*"|\S+', match[1])
        table = TABLES[name](*(argument.strip('"') for argument in arguments))
        return f"<!-- {match[1]} -->\n\n{table}\n\n<!-- end -->"

    names = "|".join(TABLES)
    return re.sub(rf"<!-- ((?:{names}) .*?) -->\n.*?<!-- end -->", made, page, flags=re.DOTALL)


def add(report: Path, into: Path) -> None:
    """Add the runs of a report to those that are kept; one that is there already gives way."""
    runs: dict[tuple[str, str, int], tables.Row] = {}
    for file in (into / "runs.csv", report / "runs.csv"):
        runs |= {(row["setting"], row["strategy"], int(row["seed"])): row for row in tables.read_csv(file)}
    tables.write_back(into / "runs.csv", [runs[key] for key in sorted(runs)])


def copy(report: Path, into: Path, study: str, others: Iterable[str], text: str) -> None:
    """Copy the runs of a report, what else pages need of its numbers, and those of its figures that they show."""
    into.mkdir(parents=True, exist_ok=True)
    for name in ("runs.csv", *others):
        shutil.copy(report / name, into / name)
    if "curves.csv" in others:
        tables.write_back(into / "curves.csv", [r for r in rows(study, "curves") if r["measure"] in CURVES])
    for figure in re.findall(rf"\(figures/{study}-([\w.-]+\.png)\)", text):
        shutil.copy(report / figure, tables.DOCS / "figures" / f"{study}-{figure}")


def main() -> None:
    """Keep what is given, and fill the pages."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("studies", nargs="*", type=Path, help="folders of reports")
    parser.add_argument("--show", choices=sorted(TABLES), help="print this table of them, and write nothing")
    parser.add_argument(
        "--add", action="store_true", help="add their runs to those kept, as of more seeds, in place of these"
    )
    args = parser.parse_args()
    if args.show:
        for report in args.studies:
            print(TABLES[args.show](str(report.resolve())))
        return
    text = "".join((tables.DOCS / page).read_text() for page in PAGES)
    for report in args.studies:
        study = report.resolve().parent.name
        into = tables.DOCS / "results" / study
        others = [
            name for name, made in OTHERS.items() if re.search(f"<!-- {made.format(study=study)}", text)
        ]
        if args.add and others:
            parser.error(f"--add: a page has tables of {study} that runs.csv alone does not give")
        if args.add and into.exists():
            add(report, into)
        else:
            copy(report, into, study, others, text)
    for page in PAGES:
        (tables.DOCS / page).write_text(fill((tables.DOCS / page).read_text()))


if __name__ == "__main__":
    main()
