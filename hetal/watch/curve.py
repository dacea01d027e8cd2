"""The learning curve of one run, as a PNG file."""

from __future__ import annotations

from pathlib import Path

from hetal.machine.files import write_atomically
from hetal.record.schema import Round


def draw_curve(rounds: list[Round], base_rate: float, title: str, path: Path) -> None:
    """Draw test accuracy, and the share of clean rows bought where not all are, against the number of labels.

    Args:
        rounds: at least one.
        base_rate: share of clean rows in the pool, drawn as a line: the expected share of random choice.
        title: of the figure.
        path: PNG to write, atomically.
    """
    # Imported here, since only a run that ends in this process draws a curve.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    with_purchase = [row for row in rounds if row.clean_share is not None]
    has_clean = bool(with_purchase) and base_rate < 1
    figure = Figure(figsize=(8 if has_clean else 4.6, 3.4))
    FigureCanvasAgg(figure)
    figure.subplots_adjust(
        left=0.085 if has_clean else 0.148, right=0.985, top=0.9, bottom=0.14, wspace=0.25
    )  # fixed margins: automatic layout takes as long as drawing
    accuracy, *others = figure.subplots(1, 2 if has_clean else 1, squeeze=False)[0]
    labels = [row.n_labelled for row in rounds]
    accuracy.plot(labels, [row.accuracy for row in rounds], "o-", color="#0072b2", ms=4)
    accuracy.set_ylabel("test accuracy")
    for clean in others:
        clean.plot(
            [row.n_labelled for row in with_purchase],
            [row.clean_share for row in with_purchase],
            "o-",
            color="#d55e00",
            ms=4,
        )
        clean.axhline(base_rate, color="0.5", ls="--", lw=1)
        clean.annotate(
            f"the pool, and random choice: {base_rate:.0%}",
            (0.99, base_rate),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="top" if base_rate > 0.12 else "bottom",
            color="0.4",
        )
        clean.set_ylabel("clean share of each query")
        clean.set_ylim(-0.03, 1.03)
    for axes in (accuracy, *others):
        axes.set_xlabel("labels")
        axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize=10)
    write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=150))
