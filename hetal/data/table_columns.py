"""Columns of a table as features: numbers standardised, truth values 0 and 1, categories one-hot.

Everything is fitted on training rows only. Transformers are scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.preprocessing import OneHotEncoder
from torch import Tensor

from hetal.data.standardise import statistics
from hetal.data.table_choice import listed, typed
from hetal.errors import BadInput

# Numbers up to here have a variance that float64 can hold.
LARGEST = 1e100


@dataclass(frozen=True)
class Rules:
    """How columns become features.

    Attributes:
        missing: what is done with a missing value, as `data.missing` says; none is left if it is "refuse" or "drop".
        unseen: what becomes of a category that no training row has: "zeros" or "refuse".
        max_categories: of one column.
        standardise: numbers, as `hetal.data.standardise` has it.
    """

    missing: str
    unseen: str
    max_categories: int
    standardise: str


def as_numbers(column: Any) -> NDArray[np.float64]:
    """Return a column of numbers or truth values in float64, NaN where a value is missing."""
    try:
        values: NDArray[np.float64] = column.astype(object).where(column.notna(), np.nan).to_numpy(np.float64)
    except OverflowError:  # of a whole number
        raise BadInput(_beyond(str(column.name))) from None
    return values


def _beyond(names: str) -> str:
    return f"column {names} holds infinity, or numbers beyond {LARGEST:g}"


def as_texts(column: Any) -> NDArray[np.object_]:
    """Return a column as texts, NaN where a value is missing; whole numbers without a point."""

    def text(value: Any) -> Any:
        if not isinstance(value, (float, np.floating)) or not np.isfinite(value):
            return value if value != value else str(value)
        return str(int(value)) if value == np.floor(value) else repr(float(value))

    values = column.astype(object).where(column.notna(), np.nan).to_numpy(object)
    return np.array([text(value) for value in values], dtype=object)


def encode_columns(
    frame: Any, kinds: dict[str, str], is_test: NDArray[np.bool_], rules: Rules
) -> tuple[Tensor, list[str]]:
    """Return the features of all rows, (n, D) float32, and notes on how they came about.

    The columns of numbers come first, then those of truth values, then, where `missing` is "indicator", those that say
    where one of these was missing, then the categories, each by alphabet.

    Args:
        frame: of the training and the test rows, without the label.
        kinds: of its columns, as `kind_of` gives it.
        is_test: (n,) rows that nothing is fitted on.
        rules: how.

    Raises:
        BadInput: names the column.
    """
    parts: list[NDArray[Any]] = []
    notes: list[str] = []
    numbers, flags, texts = (
        [name for name in frame if kinds[name] == kind] for kind in ("number", "flag", "text")
    )
    indicators = []
    for names, kind in ((numbers, "number"), (flags, "flag")):
        if names:
            values = np.stack([as_numbers(frame[name]) for name in names], axis=1)
            features, where = _filled(names, values, is_test, rules.missing, kind)
            indicators.append(where)
            parts.append(
                _standardised(names, features, is_test, rules.standardise) if kind == "number" else features
            )
    parts += indicators
    if texts:
        one_hot, unseen = _one_hot(texts, frame, is_test, rules)
        parts.append(one_hot)
        notes += unseen
    features = np.concatenate([part.astype(np.float32) for part in parts], axis=1)
    counts = (
        (len(numbers), "numbers"), (len(flags), "truth values"), (len(texts), "categories"),
    )  # fmt: skip
    what = ", ".join(f"{n} of {kind}" for n, kind in counts if n)
    notes.insert(0, f"{frame.shape[1]} columns ({what}) are {features.shape[1]} features")
    return torch.from_numpy(features), notes


def _filled(
    names: Sequence[str], values: NDArray[np.float64], is_test: NDArray[np.bool_], missing: str, kind: str
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return numbers without gaps, and one column for each that has some in training, if `missing` is "indicator"."""
    if huge := [
        name for name, column in zip(names, values.T, strict=True) if (np.abs(column) > LARGEST).any()
    ]:
        raise BadInput(_beyond(listed(huge)))
    nothing = np.zeros((len(values), 0), dtype=bool)
    if not np.isnan(values).any():
        return values, nothing
    # The mean of a truth value is none.
    strategy = "most_frequent" if kind == "flag" else "mean" if missing == "indicator" else missing
    filled = SimpleImputer(strategy=strategy).fit(values[~is_test]).transform(values)
    if missing != "indicator" or not np.isnan(values[~is_test]).any():
        return filled, nothing
    where = MissingIndicator(features="missing-only", error_on_new=False).fit(values[~is_test])
    return filled, where.transform(values)


def _standardised(
    names: Sequence[str], values: NDArray[np.float64], is_test: NDArray[np.bool_], how: str
) -> NDArray[np.float32]:
    mean, std = statistics(torch.from_numpy(values[~is_test]), how)
    with np.errstate(over="ignore"):
        features: NDArray[np.float32] = ((values - np.array(mean)) / np.array(std)).astype(np.float32)
    if not np.isfinite(features).all():
        beyond = [
            name for name, column in zip(names, features.T, strict=True) if not np.isfinite(column).all()
        ]
        raise BadInput(f"column {listed(beyond)} holds numbers that float32 cannot hold, standardised or not")
    return features


def _one_hot(
    names: Sequence[str], frame: Any, is_test: NDArray[np.bool_], rules: Rules
) -> tuple[NDArray[np.float32], list[str]]:
    """Return the categories one-hot, and notes on those that no training row has."""
    values = np.stack([as_texts(frame[name]) for name in names], axis=1)
    is_missing = np.array(frame[list(names)].isna())
    if is_missing.any() and rules.missing != "indicator":  # there, missing is a category
        values = SimpleImputer(strategy="most_frequent").fit(values[~is_test]).transform(values)
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32).fit(
        values[~is_test]
    )
    for name, found in zip(names, encoder.categories_, strict=True):
        if len(found) > rules.max_categories:
            raise BadInput(
                f"column {name} holds {len(found)} different texts in {int((~is_test).sum())} training rows; "
                f"data.drop=[{typed(name)}] leaves it out, data.max_categories={len(found)} keeps it"
            )
    one_hot: NDArray[np.float32] = encoder.transform(values)
    ends = np.cumsum([len(found) for found in encoder.categories_])
    notes = []
    for name, part in zip(names, np.split(one_hot, ends[:-1], axis=1), strict=True):
        if n := int((part.sum(axis=1) == 0).sum()):
            what = f"column {name}: {n} test row{'s' * (n > 1)} of a category that no training row has"
            if rules.unseen == "refuse":
                raise BadInput(f"{what}; data.unseen=zeros would accept them")
            notes.append(f"{what}: all zeros")
    return one_hot, notes
