"""Datasets as Hugging Face has them: a folder that `datasets` saved, Parquet files, or a name on the hub.

One column holds the inputs, encoded images or vectors of numbers, and another the labels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hetal.data.arrow import Split, read_splits
from hetal.data.columns import is_image, is_vector, labels_of, vectors_of
from hetal.data.decoded import OnFault, check_unreadable, decoded, left_out
from hetal.data.images import Color, Form, Resize
from hetal.data.sets import named, split_rows, task_of
from hetal.errors import BadInput
from hetal.task import Task


def load_huggingface(
    path: str | None,
    config: str | None,
    revision: str | None,
    train: str,
    test: str | None,
    input: str | None,
    label: str | None,
    size: int | Sequence[int] | None,
    resize: Resize,
    color: Color,
    unreadable: OnFault,
    test_share: float,
    root: str,
    n_train: int | None,
    standardise: str,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    rng: torch.Generator,
) -> Task:
    """Load images as uint8 (n, C, H, W), or vectors as float32 (n, D).

    Args:
        path, config, revision: see `hetal.data.arrow.read_splits`.
        train, test: names of the splits. A dataset of one split is taken whatever its name; where it has no split of
            the second name, or that is None, test rows are drawn.
        input: the column of images (files in it, as `datasets.Image` has them) or vectors; None: the only such column.
        label: the column of labels, of any type that `hetal.data.labels.encode_labels` takes; None: the only
            `ClassLabel`, else "label".
        size, resize, color, unreadable: of images, see `hetal.data.load_folder`.
        test_share: share of each class to draw for the test set, see `hetal.data.split.test_rows`.
        root: the folder of all data sets, where decoded images are kept; `~` is the home folder.
        n_train: size of the class-stratified training subset; None takes all.
        standardise: see `hetal.data.standardise.statistics`.
        mean, std: per channel or feature. None computes them over all training rows, before `n_train`.
        rng: draws the subset.

    Raises:
        BadInput: a package is not installed; or names `data.path` and what is wrong with it, or another setting.
    """
    if path is None:
        raise BadInput(
            "data.path is not set: data.path= a folder that datasets saved, Parquet, or a name on the hub"
        )
    form, where = Form.of(size, resize, color), f"data.path={path}"
    check_unreadable(unreadable)
    try:
        splits = read_splits(str(path), config, revision)
        names = _chosen(splits, train, test)
        parts = [splits[name] for name in names]
        column_in, column_out = _columns(parts[0], input, label)
        tables = [part.read([column_in, column_out]) for part in parts]
        columns = [table.column(column_in) for table in tables]
        values = np.concatenate([labels_of(table.column(column_out)) for table in tables])
        in_test = np.repeat([False, True][: len(parts)], [len(one) for one in columns])
        if is_image(columns[0].type):
            rows = [
                f"row {i} of {name}"
                for name, one in zip(names, columns, strict=True)
                for i in range(len(one))
            ]
            images, kept, notes = _images(columns, rows, form, unreadable, str(root), where)
        else:
            images, kept, notes = vectors_of(columns, column_in), np.arange(len(values)), []
        is_test = torch.from_numpy(in_test[kept]) if len(parts) > 1 else None
        train_name, test_name = (f"{column_out} of {name}" for name in (names[0], names[-1]))
        split = split_rows(values[kept], is_test, test_share, train_name, test_name)
    except BadInput as fault:
        raise named(where, fault) from None
    except Exception as error:  # pyarrow's depend on the damage
        raise BadInput(f"{where}: cannot be read ({type(error).__name__}: {_one_line(error)})") from None
    return task_of(
        images,
        split.labels,
        split.is_test,
        n_train=n_train,
        rng=rng,
        standardise=standardise,
        mean=mean,
        std=std,
        class_names=_with_names(split.names, parts[0].described().get(column_out, {}).get("names")),
        notes=(*notes, *split.notes),
    )


def _chosen(splits: dict[str, Split], train: str, test: str | None) -> list[str]:
    """Return the name of the training split, and that of the test split if there is one."""
    if len(splits) == 1:
        return list(splits)
    shown = ", ".join(splits)
    if train not in splits:
        raise BadInput(f"has no split {train}; data.train= must be one of {shown}")
    if test is not None and test not in splits:
        others = [name for name in splits if name != train]
        raise BadInput(
            f"has no split {test}; it has {shown}: data.test={others[0]} takes that, data.test=null draws test rows"
        )
    if test == train:
        raise BadInput(f"data.test={test}: must be another split than data.train")
    return [train] if test is None else [train, test]


def _columns(split: Split, input: str | None, label: str | None) -> tuple[str, str]:
    """Return the names of the columns of inputs and of labels."""
    schema, about = split.schema, split.described()
    every = ", ".join(schema.names)
    for setting, name in (("input", input), ("label", label)):
        if name is not None and schema.names.count(name) != 1:
            raise BadInput(f"data.{setting}={name}: there is no such column; there are {every}")
    if label is None:
        classes = [name for name in schema.names if about.get(name, {}).get("_type") == "ClassLabel"]
        label = classes[0] if len(classes) == 1 else "label"
        if schema.names.count(label) != 1:
            raise BadInput(f"data.label is not set, and which column holds labels is not clear: {every}")
    if input is None:
        others = [field for field in schema if field.name != label]
        fit = [field.name for field in others if is_image(field.type)]
        fit = fit or [field.name for field in others if is_vector(field.type)]
        if len(fit) != 1:
            shown = ", ".join(fit) or f"none of {every}"
            raise BadInput(f"data.input is not set; it must be the column of images or vectors: {shown}")
        input = fit[0]
    kind = schema.field(input).type
    if not is_image(kind) and not is_vector(kind):
        raise BadInput(f"data.input={input}: holds {kind}; it must hold encoded images or lists of numbers")
    return input, label


def _images(
    columns: Sequence[Any], rows: Sequence[str], form: Form, unreadable: OnFault, root: str, where: str
) -> tuple[Tensor, NDArray[np.int64], list[str]]:
    """Return the images, the numbers of their rows, and notes."""
    from pyarrow import chunked_array, compute, types

    files = [compute.struct_field(c, "bytes") if types.is_struct(c.type) else c for c in columns]
    cells = chunked_array([chunk for column in files for chunk in column.chunks], type=files[0].type)

    def read(i: int) -> bytes:
        content = cells[i].as_py()
        if content is None:
            raise BadInput("holds no image, or only the path of one")
        return bytes(content)

    digest = hashlib.sha256()
    for cell in cells:
        content = cell.as_py()
        digest.update(b"-" if content is None else b"%d " % len(content) + content)
    images = decoded(rows, read, form, digest.hexdigest(), root, where)
    return torch.from_numpy(images.images), images.kept, left_out(images, rows, unreadable, where)


def _with_names(labels: Sequence[str], names: Any) -> tuple[str, ...]:
    """Return the names of classes, where the dataset has them and labels are numbers."""
    if not isinstance(names, list) or not all(
        label.isdecimal() and int(label) < len(names) for label in labels
    ):
        return tuple(labels)
    return tuple(str(names[int(label)]) for label in labels)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
