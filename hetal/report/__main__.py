"""`python -m hetal.report multirun/NAME [more...]`: the report of every run under the folders given.

Writes index.html, which needs nothing else, with figures (SVG, PNG), tables (CSV) and numbers.tex beside it. Reads
records only, never W&B; a sweep may still be running.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from hetal.errors import BadInput
from hetal.files import make_folder, write_text
from hetal.report.analysis import Curve, Setting, settings_of
from hetal.report.ceiling import ceiling_of, set_apart
from hetal.report.charts import charts_of, draw
from hetal.report.diff import differences
from hetal.report.figures import draw_ranks, looks
from hetal.report.matches import ranking
from hetal.report.page import curves, page
from hetal.report.pictures import pictures
from hetal.report.reading import read
from hetal.report.tables import comparison_row, curve_rows, latex, numbers_row, run_row, write_csv


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m hetal.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folders", nargs="+", type=Path, help="runs, studies, or folders of studies")
    parser.add_argument("--out", type=Path, help="where to write; FIRST/report unless given")
    parser.add_argument("--title", help="of the page; the folders' names unless given")
    parser.add_argument("--no-pictures", action="store_true", help="leave out what was bought first")
    parser.add_argument(
        "--watch", type=float, metavar="SECONDS", help="make it again every so often, until Ctrl-C"
    )
    parser.add_argument(
        "--diff", action="store_true", help="compare two folders run by run; 1 where they differ"
    )
    options = parser.parse_args(arguments)
    try:
        if options.diff:
            return _diff(options.folders)
        if options.watch is not None and not options.watch > 0:
            raise BadInput(f"--watch {options.watch}: must be positive")
        out = options.out or options.folders[0] / "report"
        title = options.title or " and ".join(folder.resolve().name for folder in options.folders)
        while True:
            report(options.folders, out, title, with_pictures=not options.no_pictures, again=options.watch)
            if options.watch is None:
                return 0
            time.sleep(options.watch)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


def report(
    folders: Sequence[Path], out: Path, title: str, with_pictures: bool = True, again: float | None = None
) -> None:
    """Write the report of all runs under `folders` to `out`.

    Args:
        folders: runs, studies, or folders of studies.
        out: made where it does not exist.
        title: of the page.
        with_pictures: show what was bought first; takes the data.
        again: the page reloads itself every so many seconds.

    Raises:
        BadInput: there is nothing to report on, or `out` cannot be written.
    """
    began = time.monotonic()
    reading = read(folders)
    buying, whole = set_apart(reading.runs)
    settings = settings_of(buying)
    if not settings:
        raise BadInput(f"{folders[0]}: no run has finished a round yet")
    make_folder(out)
    labels = sorted({run.label for run in buying})
    ceilings = {s.name: c for s in settings if (c := ceiling_of(s, whole)) is not None}
    look = looks(labels)
    drawn = curves(settings)
    for chart in charts_of(settings, drawn, ceilings, out):
        draw(chart, look)
    ranks_svg = _ranks(settings, out)
    _tables(settings, drawn, out)
    write_csv(out / "runs.csv", map(run_row, reading.runs))
    shown = pictures(settings, look, out) if with_pictures else ""
    html = page(title, reading, settings, drawn, look, shown, ranks_svg, ceilings)
    if again is not None:
        html = html.replace(
            "<meta charset", f'<meta http-equiv="refresh" content="{again:g}">\n<meta charset', 1
        )
    write_text(out / "index.html", html)
    seconds = time.monotonic() - began
    print(f"{len(reading.runs)} runs in {len(settings)} settings, {seconds:.1f} s: {out / 'index.html'}")
    for folder, reason in reading.problems:
        print(f"not readable: {folder}: {reason}", file=sys.stderr)


def _ranks(settings: Sequence[Setting], out: Path) -> str:
    found = ranking(settings)
    if found is None or found.n_settings < 2 or len(found.ranks) < 3:
        return ""
    draw_ranks(found, out / "ranks")
    svg = (out / "ranks.svg").read_text()
    svg = svg[svg.index("<svg") :]
    return svg.replace("#000000", "currentColor").replace("fill: #ffffff", "fill: none")


def _tables(settings: Sequence[Setting], drawn: Mapping[tuple[str, str, str], Curve], out: Path) -> None:
    numbers = [s.numbers(label) for s in settings for label in s.finished]
    write_csv(out / "numbers.csv", map(numbers_row, numbers))
    write_csv(out / "comparisons.csv", (comparison_row(c) for s in settings for c in s.comparisons()))
    write_csv(
        out / "penalties.csv",
        (
            {"setting": s.name, "winner": a, "loser": b, "penalty": value}
            for s in settings
            for (a, b), value in s.penalties().items()
        ),
    )
    write_csv(out / "curves.csv", (row for key, curve in drawn.items() for row in curve_rows(key, curve)))
    write_text(out / "numbers.tex", latex(numbers))


def _diff(folders: Sequence[Path]) -> int:
    if len(folders) != 2:
        raise BadInput(f"--diff compares two folders, not {len(folders)}")
    one, other = (read([folder]) for folder in folders)
    lines = differences(one, other)
    for line in lines:
        print(line)
    print(f"{len(one.runs)} and {len(other.runs)} runs: {f'{len(lines)} differences' if lines else 'equal'}")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
