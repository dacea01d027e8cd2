"""Labels as files hold them, mapped to the numbers 0..C-1 of classes with names."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hetal.errors import BadInput, one_line

# More classes than this are most likely values to predict, not labels.
MAX_CLASSES = 10_000


@dataclass(frozen=True)
class Labels:
    """Labels of a training and a test set.

    Attributes:
        train, test: (n,) int64 in 0..C-1.
        names: of the C classes, in order; numbers by size, texts by alphabet. One line each, cut where long if that
            leaves them different.
        note: how labels were mapped; "" where they were 0..C-1 already.
    """

    train: Tensor
    test: Tensor
    names: tuple[str, ...]
    note: str


def encode_labels(train: NDArray[Any], test: NDArray[Any], train_name: str, test_name: str) -> Labels:
    """Map labels of any type to 0..C-1.

    Args:
        train, test: (n,) whole numbers (of float types too), truth values, or texts; objects that are all text or all
            numbers.
        train_name, test_name: of the arrays, for messages.

    Raises:
        BadInput: a label is missing, not whole, of no such type, or only in the test set; or there is one class only,
            or more than `MAX_CLASSES`.
    """
    values, others = _plain(train, train_name), _plain(test, test_name)
    if (values.dtype.kind == "U") != (others.dtype.kind == "U"):
        raise BadInput(f"{train_name} and {test_name} must both hold text or both numbers")
    classes, numbers = np.unique(values, return_inverse=True)
    if len(classes) < 2:
        raise BadInput(f"{train_name} holds one class only, {_shown(classes[0])}; there must be at least 2")
    if len(classes) > MAX_CLASSES:
        raise BadInput(
            f"{train_name} holds {len(classes)} different values; labels may be of at most {MAX_CLASSES} classes"
        )
    places = np.searchsorted(classes, others).clip(max=len(classes) - 1)
    if len(unseen := others[classes[places] != others]):
        raise BadInput(f"{test_name} holds the label {_shown(unseen[0])}, which {train_name} does not")
    names = tuple(map(_shown, classes))
    if len({*names}) < len(names):
        names = tuple(one_line(str(value)) for value in classes)
    is_numbered = classes.dtype.kind == "i" and np.array_equal(classes, np.arange(len(classes)))
    shown = ", ".join(map(_shown, names[:5])) + (", ..." if len(names) > 5 else "")
    return Labels(
        torch.from_numpy(numbers.reshape(-1).astype(np.int64)),
        torch.from_numpy(places.astype(np.int64)),
        names,
        "" if is_numbered else f"labels {shown} are classes 0 to {len(names) - 1}",
    )


def _plain(array: NDArray[Any], name: str) -> NDArray[Any]:
    """Return labels as int64, truth values, or text."""
    if array.ndim != 1:
        raise BadInput(f"{name} has shape {array.shape}; labels must be of shape (n,)")
    if len(array) == 0:
        raise BadInput(f"{name} is empty")
    if array.dtype.kind == "O":
        array = _of_objects(array, name)
    if array.dtype.kind == "S":
        try:
            array = np.char.decode(array, "utf-8")
        except UnicodeDecodeError:
            raise BadInput(f"{name} holds bytes that are not UTF-8 text") from None
    if array.dtype.kind == "U":
        if n_empty := int((np.char.strip(array) == "").sum()):
            raise BadInput(f"{name}: {n_empty} labels are missing")
        return array
    if array.dtype.kind == "f":
        if n_missing := int((~np.isfinite(array)).sum()):
            raise BadInput(f"{name}: {n_missing} labels are missing, or infinite")
        if len(parts := array[array != np.floor(array)]):
            raise BadInput(f"{name} holds {parts[0]:g}; labels must be whole numbers or text")
        if float(np.abs(array).max()) >= 2**53:
            raise BadInput(f"{name} holds {np.abs(array).max():g}, too large for a label")
    elif array.dtype.kind not in "iub":
        raise BadInput(f"{name} is {array.dtype}; labels must be whole numbers or text")
    elif array.dtype.kind == "u" and int(array.max()) >= 2**63:
        raise BadInput(f"{name} holds {array.max()}, too large for a label")
    return array if array.dtype.kind == "b" else array.astype(np.int64)


def _of_objects(array: NDArray[Any], name: str) -> NDArray[Any]:
    """Return objects, such as a column of a table, as an array of their own type."""
    is_missing = np.array([value is None or value != value for value in array])
    if is_missing.any():
        raise BadInput(f"{name}: {int(is_missing.sum())} labels are missing")
    if all(isinstance(value, str) for value in array):
        return array.astype(str)
    if all(isinstance(value, bytes) for value in array):
        return array.astype(np.bytes_)
    if all(isinstance(value, (bool, np.bool_)) for value in array):
        return array.astype(np.bool_)
    if all(isinstance(value, (bool, int, float, Decimal, np.number, np.bool_)) for value in array):
        return array.astype(np.float64)
    kinds = sorted({type(value).__name__ for value in array})
    raise BadInput(f"{name} holds {' and '.join(kinds)}; labels must be all whole numbers or all text")


def _shown(value: Any) -> str:
    return one_line(str(value)[:60])
