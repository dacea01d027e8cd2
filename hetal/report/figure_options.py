"""The options of the command that make one figure, for a paper."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable
from pathlib import Path

from hetal.errors import BadInput

KINDS = ("curves", "ranks", "heatmap")
FORMATS = ("pdf", "svg", "png")
# Dots per inch of a PNG that is made for a paper.
DPI = 300


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    group = parser.add_argument_group(
        "one figure", "for a paper; nothing else is written. Names are those of the report, or of options."
    )
    group.add_argument(
        "--figure", choices=KINDS,
        help="learning curves; mean ranks with critical differences; or areas under the curve, strategy by setting",
    )  # fmt: skip
    for option, what in (
        ("--alg", "strategies"), ("--noise", "noises"), ("--data", "data sets"), ("--model", "networks")
    ):  # fmt: skip
        group.add_argument(
            option, nargs="+", action="extend", metavar="NAMES", help=f"{what} to show: a,b; all unless given"
        )
    group.add_argument(
        "--width",
        choices=("column", "page"),
        help="of a paper: 3.25 or 6.75 inches; as it needs unless given",
    )
    group.add_argument(
        "--style", nargs="+", action="extend", metavar="STYLE",
        help="style sheets of matplotlib, files or names, applied in order",
    )  # fmt: skip


def check(options: argparse.Namespace) -> None:
    """Raise BadInput where options do not go together."""
    own = {
        f"--{name}": getattr(options, name) for name in ("alg", "noise", "data", "model", "width", "style")
    }
    if options.figure is None:
        for option, value in own.items():
            if value is not None:
                raise BadInput(f"{option}: goes with --figure {'|'.join(KINDS)}")
        return
    others = {
        "--diff": options.diff,
        "--watch": options.watch is not None,
        "--no-pictures": options.no_pictures,
    }
    for option, value in others.items():
        if value:
            raise BadInput(f"--figure and {option}: must be one of them")
    if options.target is not None and options.figure != "curves":
        raise BadInput(f"--target: goes with --figure curves, not {options.figure}")


def make(options: argparse.Namespace, default_out: Callable[[Path], Path]) -> tuple[str, list[str]]:
    """Make the figure; return a sentence on it, and others on what was left out.

    Args:
        options: of the command.
        default_out: returns the folder of the report of a folder.
    """
    from hetal.report.figure import Wanted, figure
    from hetal.report.files.figures import COLUMN, PAGE, Sheet
    from hetal.report.load.names import names_in
    from hetal.report.load.selection import Selection
    from hetal.report.page.text import many

    began = time.monotonic()
    width = {"column": COLUMN, "page": PAGE, None: None}[options.width]
    path, formats = _files(options, default_out)
    sheet = Sheet(width, formats, tuple(options.style or ()), options.title or "", DPI)
    selection = Selection(
        *(tuple(getattr(options, name) or ()) for name in ("alg", "data", "noise", "model"))
    )
    wanted = Wanted(options.figure, selection, options.measure, options.target, sheet)
    drawn = figure(options.folders, path, wanted, names_in(options.names) if options.names else None)
    of = f"{many(drawn.n_runs, 'run')} in {many(drawn.n_settings, 'setting')}, {time.monotonic() - began:.1f} s"
    return (
        f"{of}: {path}{', '.join(f'.{suffix}' for suffix in formats)}",
        [f"names: {sentence}" for sentence in drawn.unused]
        + [f"not readable: {folder}: {reason}" for folder, reason in drawn.reading.problems],
    )


def _files(options: argparse.Namespace, default_out: Callable[[Path], Path]) -> tuple[Path, tuple[str, ...]]:
    """Return the path of the figure without a suffix, and its formats."""
    name = f"figure-{options.figure}"
    if options.out is None:
        return default_out(options.folders[0]) / name, FORMATS
    if options.out.is_dir():
        return options.out / name, FORMATS
    suffix = options.out.suffix.lower().removeprefix(".")
    if suffix in FORMATS:
        return options.out.with_suffix(""), (suffix,)
    if re.match(r"[a-z]", suffix):
        raise BadInput(
            f"--out {options.out}: must end in {', '.join(f'.{f}' for f in FORMATS)}, or in none for all"
        )
    return options.out, FORMATS
