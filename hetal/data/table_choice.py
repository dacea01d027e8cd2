"""Columns of a table that a user chose, and what each holds."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hetal.errors import BadInput

Names = Sequence[str | int]

KINDS = {
    "integer": "number", "floating": "number", "mixed-integer-float": "number", "decimal": "number",
    "boolean": "flag", "string": "text",
    "date": "date", "datetime": "date", "datetime64": "date", "time": "date", "period": "date",
    "timedelta": "date", "timedelta64": "date",
}  # fmt: skip

DATE = r"\s*(\d{4}-\d{1,2}-\d{1,2}([ T].*)?|\d{1,2}[/.]\d{1,2}[/.]\d{4}.*|\d{4}/\d{1,2}/\d{1,2}.*)"

# Fewer rows may be numbered by chance.
FEWEST = 10

PLURAL = {"number": "numbers", "flag": "truth values", "text": "text"}


@dataclass(frozen=True)
class Choice:
    """The columns that a user chose, as `load_table` has them.

    Attributes:
        label: of the labels.
        columns: to take; None takes all but the label.
        drop: to leave out.
        categories: whose numbers or truth values are names of categories.
    """

    label: str | int | None
    columns: Names | None
    drop: Names
    categories: Names

    def of(self, frame: Any, needed: Sequence[str] | None = None) -> Any:
        """Return the columns of a frame that were chosen, in its order, with the label.

        Args:
            frame: of pandas.
            needed: the columns that must be there, of a test set; None for a training set.

        Raises:
            BadInput: a column is not there, or nothing but the label is left.
        """
        if needed is not None:
            if absent := [name for name in needed if name not in frame]:
                raise BadInput(f"has no column {listed(absent)}, which data.path has")
            return frame[list(needed)]
        known = list(frame)
        if self.label is None:
            raise BadInput(f"data.label is not set: data.label=COLUMN, one of {listed(known)}")
        for setting in ("label", "columns", "drop", "categories"):
            value = getattr(self, setting)
            for name in map(str, [value] if setting == "label" else value or []):
                if name not in known:
                    raise BadInput(f"data.{setting}={name}: no such column; {near(name, known)}")
                if name == str(self.label) and setting != "label":
                    raise BadInput(f"data.{setting}={name}: it is the label")
        label, drop = str(self.label), {*map(str, self.drop)}
        columns = known if self.columns is None else [*map(str, self.columns)]
        kept = [name for name in known if name == label or (name in columns and name not in drop)]
        if kept == [label]:
            raise BadInput(f"data.label={label}: no column is left besides the label")
        if self.columns is None:
            _refuse_row_numbers(frame, [name for name in kept if name != label])
        return frame[kept]

    def kinds(self, frame: Any) -> dict[str, str]:
        """Return what each column besides the label holds, as `kind_of` does."""
        categories = {*map(str, self.categories)}
        return {
            name: kind_of(name, frame[name], name in categories) for name in frame if name != str(self.label)
        }


def _refuse_row_numbers(frame: Any, names: Sequence[str]) -> None:
    """Refuse columns that count the rows: in a table sorted by label, they would tell it."""
    for name in names:
        column = frame[name]
        if len(column) >= FEWEST and column.dtype.kind in "iu" and bool((column.diff().iloc[1:] == 1).all()):
            raise BadInput(
                f"column {name} numbers the rows; data.drop=[{typed(name)}] leaves it out, data.columns keeps it"
            )


def near(name: str, known: Sequence[str]) -> str:
    """Say which column may have been meant by `name`: the nearest of those `known`, or what there is."""
    by_lower = {one.lower(): one for one in known}
    if close := difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6):
        return f"did you mean {' or '.join(by_lower[one] for one in close)}?"
    return f"the columns are {listed(known)}"


def typed(name: str) -> str:
    """Return the name of a column as it is typed in a list on the command line."""
    return name if re.fullmatch(r"[^\W\d]\w*", name) else "'" + name.replace("'", "\\'") + "'"


def listed(names: Sequence[str], most: int = 20) -> str:
    """Return names with commas between them; the first `most`."""
    return ", ".join(name[:60] for name in names[:most]) + (", ..." if len(names) > most else "")


def kind_of(name: str, column: Any, as_category: bool) -> str:
    """Return what a column holds: "number", "flag" (truth values), "text", or "empty".

    Args:
        name: for messages.
        column: a pandas series.
        as_category: whether numbers and truth values are names of categories, so "text".

    Raises:
        BadInput: it holds dates, numbers among texts, or something else.
    """
    import pandas as pd

    held = column.dropna()
    if len(held) == 0:
        return "empty"
    found = pd.api.types.infer_dtype(held.astype(object), skipna=True)
    kind = KINDS.get(found)
    if kind is None:
        raise BadInput(f"column {name} holds {found}; it must hold numbers, truth values or text")
    if as_category:
        return "text"
    if kind == "text":
        kind = _kind_of_text(name, held.astype(str))
    if kind == "date":
        raise BadInput(f"column {name} holds dates or times; data.drop=[{typed(name)}] leaves it out")
    return kind


def _kind_of_text(name: str, held: Any) -> str:
    import pandas as pd

    if held.str.fullmatch(DATE, flags=re.ASCII).all():
        return "date"
    is_number = pd.to_numeric(held, errors="coerce").notna()
    with_comma = held.str.fullmatch(r"[+-]?\d+(,\d+)+")
    if with_comma.any() and (is_number | with_comma).all():
        found = f"numbers with commas, such as {held[with_comma].iloc[0][:40]}; data.decimal=comma reads them"
    elif is_number.any() and not is_number.all() and is_number.mean() >= 0.5:
        found = f"numbers and text, such as {held[~is_number].iloc[0][:40]!r}; data.na_values=[TEXT] if that is missing"
    else:
        return "text"
    raise BadInput(
        f"column {name} holds {found}; data.categories=[{typed(name)}] if all are names of categories"
    )
