"""Where the budget went: what queries bought, by noise and by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import numpy.typing as npt

from hetal.errors import BadInput
from hetal.report.analyse.setting import Setting
from hetal.report.files.figures import Look
from hetal.report.load.plain import plain
from hetal.report.load.purchases import bought_by
from hetal.report.load.records import Run
from hetal.report.page.markup import Row, named, number, section, share, table, where
from hetal.report.stats.intervals import Interval, bca_interval

# Of more seeds than this, the first are read: queries are a file each.
MOST_SEEDS = 5
# More classes than this are not drawn one by one.
MOST_CLASSES = 40
# Of more records that cannot be counted, the first are named.
LISTED = 5

Counts = npt.NDArray[np.int64]


def spent(run: Run) -> Counts | None:
    """Count the rows that queries bought: clean and noisy (2, C) by the class they are labelled with.

    The start set, which no strategy chose, does not count. None where queries.npz is damaged, was changed after it was
    written, or holds none.
    """
    try:
        bought = bought_by(run)
    except (OSError, BadInput):
        return None
    queried = bought["round"] >= 0
    labels, noisy = bought["labels"][queried], bought["is_noisy"][queried]
    if not len(labels):
        return None
    n_classes = max(len(row.get("bought_per_class") or ()) for row in run.rounds)
    n_classes = max(n_classes, int(labels.max()) + 1)
    return np.stack([np.bincount(labels[noisy == flag], minlength=n_classes) for flag in (False, True)])


def budget(settings: Sequence[Setting], look: Mapping[str, Look]) -> str:
    """Return the section: shares of clean rows and distinct images, and bars of what was bought of each class."""
    rows, most = [], 0
    odd: list[str] = []
    for setting in settings:
        for label in (label for label in look if label in setting.runs):
            runs = [run for _, run in sorted(setting.runs[label].items())]
            most = max(most, len(runs))
            counts = []
            for run in runs[:MOST_SEEDS]:
                if (found := spent(run)) is not None:
                    counts.append(found)
                elif any(row.get("n_bought") for row in run.rounds):
                    odd.append(plain(run.folder.name))
            if not counts:
                continue
            total = np.sum([c for c in counts if c.shape == counts[0].shape], axis=0)
            clean, distinct = _over_seeds(runs)
            rows.append(
                Row(
                    [
                        where(setting.name), named(label, look[label]), number(len(runs), str(len(runs))), share(clean),
                        _halves(clean.mean), share(distinct), f"<td>{_bars(total)}</td>",
                    ],
                    setting.name,
                    [label],
                )
            )  # fmt: skip
    if not rows:
        said = _not_counted(odd) or "No query has bought anything yet."
        return section("budget", "Where the budget went", f"<p>{said}</p>")
    columns = (
        "setting",
        "strategy",
        "n",
        "clean rows %",
        "clean and noisy",
        "distinct images %",
        "labels bought, by class",
    )
    first = f" The bars by class are over the first {MOST_SEEDS} seeds." if most > MOST_SEEDS else ""
    note = (
        "<span class='key clean'></span> clean rows <span class='key noisy'></span> noisy rows, of all that queries "
        f"bought; the start set is not counted. Classes from 0 on; the line is an even share.{first}"
    )
    return section(
        "budget",
        "Where the budget went",
        table(columns, rows, "What queries bought"),
        note + _not_counted(odd),
    )


def _not_counted(folders: Sequence[str]) -> str:
    """Return a sentence on the records of which the purchases cannot be trusted; nothing where there are none."""
    if not folders:
        return ""
    more = f" and {len(folders) - LISTED} more" if len(folders) > LISTED else ""
    why = "queries.npz is missing, damaged or was changed after it was written"
    return f" Not counted, since {why}: {escape(', '.join(folders[:LISTED]))}{more}."


def _over_seeds(runs: Sequence[Run]) -> tuple[Interval, Interval]:
    """Return the shares of clean rows and of distinct images in what each run's queries bought, over seeds."""
    clean, distinct = [], []
    for run in runs:
        bought = [row for row in run.rounds if row.get("n_bought")]
        n = sum(row["n_bought"] for row in bought)
        if n and all(row.get("clean_share") is not None for row in bought):
            clean.append(sum(row["n_bought"] * row["clean_share"] for row in bought) / n)
        if n and all(row.get("n_distinct") is not None for row in bought):
            distinct.append(sum(row["n_distinct"] for row in bought) / n)
    return bca_interval(np.array(clean)), bca_interval(np.array(distinct))


def _halves(clean: float) -> str:
    value = f"{100 * clean:.1f}"
    drawn = f"<span class='halves' role='img' aria-label='{value}% clean' style='--clean:{value}%'></span>"
    return f"<td data-value='{value}'>{drawn}</td>"


def _bars(counts_2C: Counts) -> str:
    """Draw bars by class, clean rows below and noisy ones above, with a line at an even share."""
    total_C = counts_2C.sum(0)
    n = total_C.sum()
    shown, high = total_C[:MOST_CLASSES], max(int(total_C.max()), 1)
    bars = []
    for i, bought in enumerate(shown):
        clean = counts_2C[0, i]
        said = f"class {i}: {bought / n:.1%}, {clean} clean and {bought - clean} noisy"
        bars.append(
            f"<i title='{said}' style='--h:{100 * bought / high:.0f}%;--clean:{100 * clean / max(bought, 1):.0f}%'></i>"
        )
    even = 100 * (n / len(total_C)) / high
    more = f" <small>+{len(total_C) - MOST_CLASSES}</small>" if len(total_C) > MOST_CLASSES else ""
    most, least = int(total_C.argmax()), int(total_C.argmin())
    said = f"class {most} most, {total_C[most] / n:.0%}; class {least} least, {total_C[least] / n:.0%}"
    drawn = "".join(bars)
    return (
        f"<span class='bars' role='img' aria-label='{said}' style='--even:{even:.0f}%'>{drawn}</span>{more}"
    )
