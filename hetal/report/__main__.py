"""`python -m hetal.report multirun/NAME [more...]`: the report of every run under the folders given.

Writes index.html, which needs nothing else, with figures (SVG, PNG, PDF), tables (CSV) and numbers.tex beside it; or
one figure for a paper, and nothing else: `--figure curves --alg badge,random --width column --out FILE.pdf`. Reads
records only, never W&B; a sweep may still be running.
"""

from __future__ import annotations

import argparse
import gc
import io
import math
import os
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

from hetal.errors import BadInput
from hetal.report import figure_options
from hetal.report.load.printable import plain

if TYPE_CHECKING:
    from hetal.report.make import Memory


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """End with status 2."""
        print(f"error: {message}; --help says what there is", file=sys.stderr)
        raise SystemExit(2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = _parser().parse_intermixed_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # whose encoding may lack letters of a name
            stream.reconfigure(errors="backslashreplace")
    warnings.simplefilter("ignore", UserWarning)  # matplotlib's, about letters that its font lacks
    gc.disable()  # records are many and hold no cycles, yet the search for some takes a fifth of the time
    try:
        _check(options)
        if options.diff:
            return _diff(options.folders)
        if options.watch is not None:
            return _watch(options)
        if options.figure:
            _figure(options)
        else:
            _report(options)
    except BadInput as error:
        _say(f"error: {error}", sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    finally:
        gc.enable()
    return 0


def _say(line: str, where: TextIO | None = None) -> None:
    """Print a line; names from records in it cannot move the cursor."""
    stream = where or sys.stdout
    try:
        print(plain(line, None), file=stream, flush=True)
    except OSError:
        # Nobody reads on, or the disk is full: the report is there, and the status tells how it ended.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _parser() -> Parser:
    parser = Parser(
        prog="python -m hetal.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folders", nargs="+", type=Path, help="runs, studies, or folders of studies")
    parser.add_argument(
        "--out", type=Path, help="where to write; FIRST/report unless given; of one figure, its file"
    )
    parser.add_argument("--title", help="of the page, the folders' names unless given; of one figure")
    parser.add_argument(
        "--no-pictures", action="store_true", help="leave out the pictures of acquired examples"
    )
    parser.add_argument(
        "--measure", metavar="KEYS", help="compare by these measures of rounds, a page each: accuracy,nll"
    )
    parser.add_argument(
        "--names", type=Path, metavar="FILE",
        help="YAML with names, order, colours and the baseline; report.yaml in a study unless given",
    )  # fmt: skip
    parser.add_argument(
        "--target", type=float, metavar="VALUE",
        help="count labels to this value of the first measure, of a share in [0, 1]; random's final one at the same "
        "seed unless given; of --figure curves, a line",
    )  # fmt: skip
    parser.add_argument(
        "--watch", type=float, metavar="SECONDS", help="make the report again every so often, until Ctrl-C"
    )
    parser.add_argument(
        "--diff", action="store_true", help="compare two folders run by run; 0 only where they are equal"
    )
    figure_options.add_options(parser)
    return parser


def _check(options: argparse.Namespace) -> None:
    figure_options.check(options)
    if options.watch is not None and not (math.isfinite(options.watch) and options.watch > 0):
        raise BadInput(f"--watch {options.watch}: must be a positive number of seconds")
    if options.target is not None and not math.isfinite(options.target):
        raise BadInput(f"--target {options.target}: must be a number")
    if options.diff and len(options.folders) != 2:
        raise BadInput(f"--diff compares two folders, not {len(options.folders)}")
    given = {
        "--watch": options.watch, "--out": options.out, "--title": options.title, "--target": options.target,
        "--measure": options.measure, "--names": options.names,
        "--no-pictures": options.no_pictures or None,
    }  # fmt: skip
    for option, value in given.items():
        if options.diff and value is not None:
            raise BadInput(f"--diff and {option}: must be one of them")


def _report(options: argparse.Namespace, memory: Memory | None = None) -> None:
    # Imported here, since --help, a mistyped option and --diff need not wait for matplotlib.
    from hetal.report.load.names import names_in
    from hetal.report.make import report
    from hetal.report.page.text import many

    began = time.monotonic()
    folders = options.folders
    made = report(
        folders, options.out or _default_out(folders[0]), options.title or "", not options.no_pictures,
        options.watch, options.target, options.measure, names_in(options.names) if options.names else None, memory,
    )  # fmt: skip
    n = len(made.reading.runs)
    _say(
        f"{many(n, 'run')} in {many(made.n_settings, 'setting')}, {time.monotonic() - began:.1f} s: {made.page}"
    )
    for sentence in made.unused:
        _say(f"names: {sentence}", sys.stderr)
    for folder, reason in made.reading.problems:
        _say(f"not readable: {folder}: {reason}", sys.stderr)


def _figure(options: argparse.Namespace) -> None:
    said, left_out = figure_options.make(options, _default_out)
    _say(said)
    for sentence in left_out:
        _say(sentence, sys.stderr)


def _default_out(folder: Path) -> Path:
    """Return where the report is written unless `--out` is given: in the study, also where that holds a link."""
    out = folder / "report"
    if not out.resolve().is_relative_to(folder.resolve()):
        raise BadInput(f"{out} is a link that leaves {folder}; --out says where to write")
    return out


def _watch(options: argparse.Namespace) -> int:
    """Make the report again and again, until Ctrl-C; also while there is nothing to report on yet."""
    from hetal.machine.files import make_folder
    from hetal.report.load.reading import check_folder
    from hetal.report.make import Memory

    for folder in options.folders:
        check_folder(folder)
    make_folder(options.out or _default_out(options.folders[0]))
    try:
        memory = Memory()
        while True:
            try:
                _report(options, memory)
            except BadInput as error:
                memory = Memory()  # some figures may not have been drawn
                _say(f"not yet: {error}", sys.stderr)
            gc.collect()  # figures hold cycles
            time.sleep(options.watch)
    except KeyboardInterrupt:
        return 0


def _diff(folders: Sequence[Path]) -> int:
    from hetal.report.analyse.diff import differences
    from hetal.report.load.reading import read
    from hetal.report.page.text import many

    one, other = (read([folder]) for folder in folders)
    found = differences(one, other)
    for line in found.lines:
        _say(line)
    if found.n_shared or one.problems or other.problems:  # else that no run is in both says it all
        n = [len(side.runs) + len(side.begun) for side in (one, other)]
        _say(f"{n[0]} and {n[1]} runs: {many(found.n, 'difference') if found.n else 'equal'}")
    return 1 if found.n else 0


if __name__ == "__main__":
    sys.exit(main())
