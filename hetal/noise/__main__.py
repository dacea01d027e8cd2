"""`python -m hetal.noise NAME [SETTING=VALUE ...]`: what a noise does to data, before anything is trained on them.

Prints how many rows are clean, noisy, right and rejected, by noise, class and region, and how often each right label is
sold as each other; with --out, draws them and a sample of the rows. Takes the settings of a run: data=cifar10, mult=x4,
seed=1, noise.rate=0.2.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from hetal.errors import BadInput
from hetal.machine.installation import CONF
from hetal.machine.output import plain_console, protect_output
from hetal.record.redact import redacted


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """End with status 2."""
        print(f"error: {message}; --help says what there is", file=sys.stderr)
        raise SystemExit(2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = _parser().parse_intermixed_args(arguments)
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    warnings.simplefilter("ignore", UserWarning)  # matplotlib's, about letters that its font lacks
    try:
        _run(options.words, options.config_dir, options.out)
    except BadInput as error:
        print(f"error: {redacted(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="python -m hetal.noise",
        usage="%(prog)s NAME [SETTING=VALUE ...] [--out FILE.png] [--config-dir FOLDER]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "words", nargs="*", metavar="NAME SETTING=VALUE", help="a noise, and settings of a run"
    )
    parser.add_argument("--out", type=Path, metavar="FILE.png", help="where to draw it")
    parser.add_argument("--config-dir", metavar="FOLDER", help="of configs of your own")
    return parser


def _run(words: Sequence[str], config_dir: str | None, out: Path | None) -> None:
    """Print, and draw, what a noise does.

    Raises:
        BadInput: in one line, what is wrong.
    """
    if not words or "=" in words[0]:
        there = ", ".join(sorted(path.stem for path in (CONF / "noise").glob("*.yaml")))
        raise BadInput(f"{' '.join(words[:1])}: the first word must name a noise: {there}".removeprefix(": "))
    if out is not None and (out.suffix != ".png" or not out.absolute().parent.is_dir()):
        raise BadInput(f"--out {out}: must be a file whose name ends in .png, in a folder that there is")
    # Imported here, since --help and a mistyped option need not wait for torch.
    from hetal.noise.show import corrupted_by, count, save_picture, show

    console = plain_console()
    typed = [f"noise={words[0]}", *words[1:]]
    made = corrupted_by(*typed, config_dir=config_dir)
    counts = count(made.pool, made.oracle, made.task.n_classes)
    show(console, made, counts)
    if out is not None:
        save_picture(made, counts, " ".join(typed), out)
        console.print(f"\npicture  {out}", soft_wrap=True)


if __name__ == "__main__":
    protect_output()
    sys.exit(main())
