"""The user's own table, CSV or Parquet: a column of labels, and columns of numbers, truth values and categories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hetal.data.sets import Split, named, split_rows, task_of
from hetal.data.table_choice import PLURAL, Choice, Names, listed, typed
from hetal.data.table_columns import Rules, encode_columns
from hetal.data.table_file import CSV, read_table
from hetal.errors import BadInput
from hetal.task import Task

Missing = Literal["refuse", "drop", "mean", "median", "most_frequent", "indicator"]


def load_table(
    path: str | None,
    label: str | int | None,
    columns: Names | None,
    drop: Names,
    categories: Names,
    test_path: str | None,
    test_share: float,
    missing: Missing,
    unseen: Literal["zeros", "refuse"],
    max_categories: int,
    standardise: Literal["feature", "all", "none"],
    separator: Literal["comma", "semicolon", "tab", "bar"],
    decimal: Literal["point", "comma"],
    encoding: str,
    na_values: Sequence[str | int | float],
    n_train: int | None,
    rng: torch.Generator,
) -> Task:
    """Load a task from a table, (n, D) float32: numbers, truth values as 0 and 1, and categories one-hot.

    Whatever is computed, such as a mean, is computed over all training rows, before `n_train`. A column that has one
    value in all of them is left out, with a note.

    Args:
        path: the file; `~` is the home folder. Its first bytes tell whether it is Parquet; else it is a CSV, whose
            first line names the columns.
        label: the column of labels, of any type.
        columns: to take; None takes all but the label.
        drop: columns to leave out.
        categories: columns of numbers or truth values that are names of categories.
        test_path: a table of the same columns, whose rows are the test set. None takes that from `path`.
        test_share: of each class, drawn as test set; the same rows at every seed. Without effect beside `test_path`.
        missing: what is done with missing values. "refuse": names column and count. "drop": leaves out their rows.
            "mean", "median": of the column; the most frequent of truth values and categories. "most_frequent". Or
            "indicator": as "mean", with a feature that says where; in categories, missing is one of them.
        unseen: what becomes of a test row with a category that no training row has: "zeros", or "refuse".
        max_categories: of a column; one of more is refused, since it most likely names rows.
        standardise: numbers: "feature" by the mean and deviation of each column, "all" by one of each, or "none".
        separator, decimal, encoding, na_values: of a CSV, as `hetal.data.table_file.CSV` has them.
        n_train: size of the class-stratified training subset; None takes all.
        rng: draws the subset.

    Raises:
        BadInput: names the setting or the column, and what is wrong; or pandas, or for Parquet pyarrow, is absent.
    """
    if path is None:
        raise BadInput("data.path is not set: data.path=FILE, CSV or Parquet, and data.label=COLUMN")
    form = CSV(separator, decimal, encoding, [str(value) for value in na_values])
    choice = Choice(label, columns, drop, categories)
    try:
        table = _read(str(path), None if test_path is None else str(test_path), form, choice)
        if missing == "drop":
            table = _without_gaps(table)
        split = _split(table, test_share)
        rules = Rules(missing, unseen, max_categories, standardise)
        features, notes = _features(table, split.is_test.numpy(), rules)
    except BadInput as fault:
        raise named(f"data.path={path}", fault) from fault.__cause__
    return task_of(
        features,
        split.labels,
        split.is_test,
        n_train=n_train,
        rng=rng,
        standardise="none",  # numbers are so already
        class_names=split.names,
        notes=[note for note in (*split.notes, *notes, *table.notes) if note],
    )


@dataclass(frozen=True)
class Table:
    """The rows of a table.

    Attributes:
        frame: of pandas, with the label.
        label: name of its column.
        kinds: of the other columns, as `kind_of` gives it.
        is_test: (n,) rows of the test set; None where it is still to be drawn.
        notes: on what was left out.
    """

    frame: Any
    label: str
    kinds: dict[str, str]
    is_test: NDArray[np.bool_] | None
    notes: tuple[str, ...] = ()


def _read(path: str, test_path: str | None, form: CSV, choice: Choice) -> Table:
    """Read the chosen columns of all rows."""
    frame, left_out = read_table(path, form)
    frame = choice.of(frame)
    kinds = choice.kinds(frame)
    label = str(choice.label)
    if test_path is None:
        return Table(frame, label, kinds, None, (left_out,))
    try:
        other = choice.of(read_table(test_path, form)[0], tuple(frame))
        for name, kind in choice.kinds(other).items():
            if "empty" not in (kind, kinds[name]) and kind != kinds[name]:
                raise BadInput(f"column {name} holds {PLURAL[kind]}, and in data.path {PLURAL[kinds[name]]}")
    except BadInput as fault:
        raise named(f"data.test_path={test_path}", fault) from fault.__cause__
    is_test = np.repeat([False, True], [len(frame), len(other)])
    both = {name: [*frame[name].astype(object), *other[name].astype(object)] for name in frame}
    return Table(type(frame)(both, dtype=object), label, kinds, is_test, (left_out,))


def _without_gaps(table: Table) -> Table:
    """Return the rows in which nothing is missing."""
    whole = table.frame.notna().all(axis=1).to_numpy()
    if whole.all():
        return table
    is_test = None if table.is_test is None else table.is_test[whole]
    if not whole.any() or (is_test is not None and len({*is_test}) < 2):
        raise BadInput("data.missing=drop leaves no training row, or no test row")
    note = f"{int((~whole).sum())} rows with missing values left out"
    return replace(table, frame=table.frame[whole], is_test=is_test, notes=(*table.notes, note))


def _split(table: Table, test_share: float) -> Split:
    """Return the labels, and which rows are the test set."""
    column = table.frame[table.label]
    if n_missing := int(column.isna().sum()):
        raise BadInput(
            f"column {table.label} holds no label in {n_missing} row{'s' * (n_missing > 1)}; data.missing=drop leaves "
            "these out, data.na_values names the texts that are taken for missing"
        )
    values = column.astype(object).to_numpy() if column.dtype.kind not in "iufbM" else column.to_numpy()
    is_test = None if table.is_test is None else torch.from_numpy(table.is_test)
    name = f"column {table.label}"
    return split_rows(values, is_test, test_share, name, f"{name} of data.test_path")


def _features(table: Table, is_test: NDArray[np.bool_], rules: Rules) -> tuple[Tensor, list[str]]:
    """Return the features of all rows, and notes."""
    frame = table.frame.drop(columns=table.label)
    n_gaps = {name: int(n) for name, n in frame.isna().sum().items() if n}
    if n_gaps and rules.missing == "refuse":
        counts = listed([f"{name} {n}" for name, n in n_gaps.items()])
        raise BadInput(
            f"{sum(n_gaps.values())} values are missing, by column: {counts}; data.missing=drop, mean, median, "
            "most_frequent or indicator says what is done with them"
        )
    if empty := [name for name in frame if frame[name][~is_test].isna().all()]:
        raise BadInput(
            f"column {listed(empty)} holds no value in training rows; data.drop=[{','.join(map(typed, empty))}]"
        )
    keeps_gaps = rules.missing == "indicator"
    constant = [name for name in frame if frame[name][~is_test].nunique(dropna=not keeps_gaps) == 1]
    if len(constant) == frame.shape[1]:
        raise BadInput("every column besides the label holds one value only")
    features, notes = encode_columns(frame.drop(columns=constant), table.kinds, is_test, rules)
    notes += [f"constant, and left out: {listed(constant)}"] if constant else []
    if n_gaps:
        notes.append(
            f"{sum(n_gaps.values())} missing values filled in ({listed([*n_gaps])}): {rules.missing}"
        )
    return features, notes
