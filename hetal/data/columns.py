"""Columns of Arrow tables as numpy arrays and tensors: vectors of numbers, and labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hetal.errors import BadInput


def is_image(kind: Any) -> bool:
    """Return whether an Arrow type can hold encoded images: bytes, or a struct with such as `datasets.Image` has."""
    from pyarrow import types

    if types.is_struct(kind):
        return "bytes" in {kind.field(i).name for i in range(kind.num_fields)}
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def is_vector(kind: Any) -> bool:
    """Return whether an Arrow type holds lists of numbers."""
    from pyarrow import types

    is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(is_list and (types.is_floating(kind.value_type) or types.is_integer(kind.value_type)))


def vectors_of(columns: Sequence[Any], name: str) -> Tensor:
    """Return the vectors of columns one after the other, (n, D) float32.

    Args:
        columns: of lists of numbers.
        name: of the column, for messages.

    Raises:
        BadInput: a value is missing, or lists differ in length.
    """
    from pyarrow import compute

    chunks = [chunk for column in columns for chunk in column.chunks if len(chunk)]
    widths = {
        int(d) for c in chunks for d in compute.unique(compute.list_value_length(c)).drop_null().to_pylist()
    }
    if any(chunk.null_count or chunk.flatten().null_count for chunk in chunks):
        raise BadInput(f"{name} has rows with missing values")
    if len(widths) != 1 or 0 in widths:
        raise BadInput(f"{name} holds lists of {min(widths, default=0)} to {max(widths, default=0)} numbers; "
                       "all must be of one length")  # fmt: skip
    (width,) = widths
    vectors = np.empty((sum(map(len, chunks)), width), dtype=np.float32)
    at = 0
    for chunk in chunks:
        with np.errstate(over="ignore"):
            vectors[at : at + len(chunk)] = chunk.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
        at += len(chunk)
    return torch.from_numpy(vectors)


def labels_of(column: Any) -> NDArray[Any]:
    """Return the labels in a column, (n,) numbers or objects, as `hetal.data.labels.encode_labels` takes them."""
    from pyarrow import types

    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if column.null_count == 0 and (types.is_integer(column.type) or types.is_floating(column.type)):
        return np.asarray(column.to_numpy())
    values = np.empty(len(column), dtype=object)
    values[:] = column.to_pylist()
    return values
