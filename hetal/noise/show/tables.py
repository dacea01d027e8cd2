"""Tables of what a pool holds, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from hetal.noise.show.corrupted import Corrupted
from hetal.noise.show.counts import Counts

# Of more classes than this, only the most frequent transitions are listed.
MOST_CLASSES = 12

# Lines of a list that is cut short.
LISTED = 12

# Of longer names, the columns of a matrix have numbers.
MOST_LETTERS = 70

# Width of what is not a terminal.
WIDEST = 1000


def show(console: Console, made: Corrupted, counts: Counts) -> None:
    """Print what a pool holds: rows by noise, by class, by label sold and by region.

    Args:
        console: to print on; as wide as the tables unless it is a terminal.
        made: the pool.
        counts: of it.
    """
    if not console.is_terminal:
        console.width = WIDEST
    names = made.class_names
    console.print(made.title, style="bold", soft_wrap=True)
    for note in made.task.notes:
        console.print(f"note: {note}", soft_wrap=True)
    for what, table in _tables(counts, names).items():
        console.print(f"\n{what}", soft_wrap=True)
        console.print(table)


def _tables(counts: Counts, names: Sequence[str]) -> dict[str, Table]:
    """Return the tables of a pool by what they show."""
    tables = {"Rows of each kind": _kinds(counts)}
    if counts.n_classes <= MOST_CLASSES:
        tables["Rows of each right label, and the % of them that are sold as each label"] = _matrix(
            counts, names
        )
    else:
        tables["Rows of each right label, those first of which most are noisy"] = _noisiest(counts, names)
        if counts.wrong(1):
            tables["What is sold wrongly, the most frequent first"] = _transitions(counts, names)
    if len(counts.region_rows):
        tables["Rows of each region"] = _regions(counts)
    return tables


def _table(*headings: str) -> Table:
    """Return an empty table whose first column is text, and whose others are numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for i, heading in enumerate(headings):
        table.add_column(heading, justify="right" if i else "left", no_wrap=True)
    return table


def percent(part: float, whole: float) -> str:
    """Return a share in percent, with a digit after the point where it is small; "" of nothing."""
    if not whole:
        return ""
    share = 100 * part / whole
    return f"{share:.1f}%" if 0 < share < 9.95 else f"{share:.0f}%"


def _kinds(counts: Counts) -> Table:
    rejects = ["rejected"] * counts.has_rejected
    table = _table("kind", "rows", "share", "distinct", "right", *rejects)
    for kind in [*counts.kinds, counts.total]:
        rejected = [f"{kind.rejected:,}"] * counts.has_rejected
        table.add_row(
            kind.name,
            f"{kind.rows:,}",
            percent(kind.rows, counts.total.rows),
            f"{kind.images:,}",
            percent(kind.right, kind.rows),
            *rejected,
        )
    return table


def _matrix(counts: Counts, names: Sequence[str]) -> Table:
    """Return rows by right label, and of these the shares by label sold."""
    c = counts.n_classes
    is_short = sum(max(len(name), 3) + 2 for name in names) <= MOST_LETTERS
    sold = [*(names if is_short else map(str, range(c))), *["rejected"] * counts.has_rejected]
    rights = names if is_short else [f"{i} {name}" for i, name in enumerate(names)]
    table = _table("right", "rows", "noisy", *(f"{name:>3}" for name in sold))
    matrix = counts.matrix()
    for right, name in enumerate([*rights, *["none"] * counts.has_foreign]):
        n = int(counts.rows[right])
        shares = [_whole(int(matrix[right, i]), n) for i in range(len(sold))]
        table.add_row(name, f"{n:,}", percent(int(counts.noisy[right]), n), *shares)
    return table


def _whole(part: int, whole: int) -> str:
    """Return a share as a whole number of percent; "" of none."""
    if not part:
        return ""
    return "<1" if 200 * part < whole else f"{100 * part / whole:.0f}"


def _noisiest(counts: Counts, names: Sequence[str]) -> Table:
    table = _table("right", "rows", "noisy")
    rights = [*names, *["none"] * counts.has_foreign]
    noisy = (counts.noisy.double() / counts.rows.clamp(min=1))[: len(rights)]
    order = noisy.argsort(descending=True, stable=True)
    for right in order[:LISTED].tolist():
        n = int(counts.rows[right])
        table.add_row(rights[right], f"{n:,}", percent(int(counts.noisy[right]), n))
    if len(others := counts.rows[order[LISTED:]]):
        table.add_row(f"and {len(others)} more of {int(others.min()):,} to {int(others.max()):,} rows")
    return table


def _transitions(counts: Counts, names: Sequence[str]) -> Table:
    table = _table("right", "sold as", "rows", "of its rows")
    sold_as = [*names, "rejected"]
    for right, sold, rows in counts.wrong(LISTED):
        share = percent(rows, int(counts.rows[right]))
        table.add_row(names[right], sold_as[sold], f"{rows:,}", share)
    return table


def _regions(counts: Counts) -> Table:
    table = _table("region", "rows", "noisy")
    n = len(counts.region_rows)
    for r in range(min(n, 3 * LISTED)):
        rows, noisy = int(counts.region_rows[r]), int(counts.region_noisy[r])
        table.add_row(str(r), f"{rows:,}", percent(noisy, rows))
    if n > 3 * LISTED:
        table.add_row(f"and {n - 3 * LISTED} more")
    return table
