"""Style of the figures, how wide they are, how wide text in them is, and their files: SVG, PNG and PDF."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib import rc_context, rcParams
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from hetal.errors import BadInput
from hetal.machine.files import write_atomically
from hetal.report.files.latex import tex

# In inches, of a column and a page of a paper.
COLUMN, PAGE = 3.25, 6.75

FORMATS = ("svg", "png", "pdf")

# Names come from records: a "$" in one does not begin a formula.
PLAIN_TEXT: Any = {"text.parse_math": False, "pdf.fonttype": 42}
STYLE: Any = {
    **PLAIN_TEXT,
    "font.size": 7.5,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.titlelocation": "left",
    "axes.titlepad": 3,
    "axes.labelpad": 2,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.pad": 2,
    "ytick.major.pad": 2,
    "lines.linewidth": 1.2,
    "lines.markersize": 2.8,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "legend.columnspacing": 1.2,
    "legend.labelspacing": 0.25,
    "legend.borderpad": 0.0,
    "svg.fonttype": "path",
}
# What a style of the user cannot change: figures are as wide as asked for, and the same bytes each time.
FIXED: Any = {
    "text.parse_math": False,
    "figure.autolayout": False,
    "figure.constrained_layout.use": False,
    "savefig.bbox": None,
    "svg.hashsalt": "hetal",
}
# The name of a style in a package, such as "scienceplots.styles.science".
IN_PACKAGE = re.compile(r"[A-Za-z_]\w*(\.\w+)+")


@dataclass(frozen=True)
class Sheet:
    """How a figure is drawn.

    Attributes:
        width: in inches; as its content needs where None.
        formats: of its files.
        styles: of matplotlib, files or names, applied over that of the report.
        title: above it.
        dpi: dots per inch of the PNG.
    """

    width: float | None = None
    formats: Sequence[str] = FORMATS
    styles: Sequence[str] = ()
    title: str = ""
    dpi: int = 200


@contextmanager
def styled(sheet: Sheet) -> Iterator[None]:
    """Set the style of the report, and over it those of the user.

    Raises:
        BadInput: a style is none.
    """
    with rc_context({**STYLE, "savefig.dpi": sheet.dpi}):
        for style in sheet.styles:
            _use(style)
        rcParams.update(FIXED)
        yield


def own_colours() -> list[str]:
    """Return the colours that a style of the user gives lines; [] where it gives none."""
    cycle = rcParams["axes.prop_cycle"]
    if cycle == matplotlib.rcParamsDefault["axes.prop_cycle"]:
        return []
    return [str(colour) for colour in cycle.by_key().get("color", [])]


def written(text: str) -> str:
    """Return text, of one line or more, as matplotlib is to have it: escaped where a style lets LaTeX set it."""
    return "\n".join(map(tex, text.split("\n"))) if rcParams["text.usetex"] else text


class Ruler:
    """How wide text is in the style that is set, in inches; `size` is in points or one that rcParams knows."""

    def __init__(self) -> None:
        self.figure = Figure(dpi=300)  # fewer dots round the width of every letter
        self.renderer = FigureCanvasAgg(self.figure).get_renderer()  # type: ignore[no-untyped-call]

    def width(self, text: str, size: str | float, weight: str = "normal") -> float:
        """Return the width of one line."""
        artist = Text(0, 0, written(text), fontsize=size, fontweight=weight, figure=self.figure)
        return float(artist.get_window_extent(self.renderer).width) / self.figure.dpi

    def widest(self, texts: Sequence[str], size: str | float) -> float:
        """Return the width of the widest line."""
        return max((self.width(line, size) for text in texts for line in text.split("\n")), default=0.0)

    def wrap(self, text: str, size: str | float, width: float) -> list[str]:
        """Return text as lines of at most `width`, broken within a word only where that is too wide by itself."""
        lines = [""]
        for word in text.split(" "):
            longer = f"{lines[-1]} {word}".lstrip()
            if self.width(longer, size) <= width:
                lines[-1] = longer
                continue
            lines += [] if lines == [""] else [""]
            while self.width(word, size) > width and len(word) > 1:
                n = max(1, min(len(word) - 1, int(len(word) * width / self.width(word, size))))
                lines[-1:] = [word[:n], ""]
                word = word[n:]
            lines[-1] = word
        return lines


def inches(size: Any) -> float:
    """Return a size of rcParams, such as "legend.fontsize", in inches."""
    settings: Any = rcParams  # whose keys are literals to the type checker
    return float(Text(fontsize=settings[size]).get_fontsize()) / 72


@rc_context({"svg.hashsalt": "hetal"})  # the same bytes each time
def save(figure: Figure, path: Path, formats: Sequence[str] = FORMATS) -> None:
    """Write `path` with every suffix in `formats`."""
    if figure.get_layout_engine() is not None:  # the layout is computed once, which takes most of the time
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    undated: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
    for suffix in formats:
        write_atomically(
            path.with_name(f"{path.name}.{suffix}"),
            partial(figure.savefig, format=suffix, metadata=undated[suffix]),
        )


def _use(style: str) -> None:
    """Apply a style sheet; what matplotlib would only warn of is an error."""
    file = Path(style).expanduser()
    is_known = file.is_file() or style in matplotlib.style.library or IN_PACKAGE.fullmatch(style)
    if not is_known or "://" in style:
        have = ", ".join(matplotlib.style.available)
        raise BadInput(f"--style {style}: neither a file nor a style that matplotlib has, such as {have}")
    said = _Said()
    logger = logging.getLogger("matplotlib")
    was, logger.propagate = logger.propagate, False
    logger.addHandler(said)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            matplotlib.style.use(str(file) if file.is_file() else style)
    except Exception as error:  # of any class: the file may hold anything
        said.lines.append(str(error) or type(error).__name__)
    finally:
        logger.removeHandler(said)
        logger.propagate = was
    if said.lines:
        raise BadInput(f"--style {style}: {next(iter(said.lines[0].split(chr(10))))}")


class _Said(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage().strip())
