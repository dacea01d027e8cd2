"""A task from the user's own arrays, called x_train, y_train, x_test and y_test, in one .npz file or a folder of .npy.

Images are (n, C, H, W), or (n, H, W) with one channel, or (n, H, W, C) where `layout` says so; vectors are (n, D). They
are uint8, or floats of any width; these become float32, but for vectors of float16, which stay as they are. Labels are
of any type that `hetal.data.labels` maps to classes. Other arrays are kept as columns of the training set: labels by
other people, whose names begin with human_; votes_train; features_train; and cost_train. The rest is ignored.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hetal.data.labels import encode_labels
from hetal.data.sources import Source
from hetal.data.standardise import CHOICES, statistics
from hetal.errors import BadInput
from hetal.machine import scratch
from hetal.task import Examples, Task, is_finite, per_channel, stratified

# Images have at most this many channels; a last axis up to this size, after two larger axes, is the channels.
MAX_CHANNELS = 4

KEYS = ("x_train", "y_train", "x_test", "y_test")

LAYOUTS = ("NCHW", "NHWC")


def load_arrays(
    path: str | None,
    opened: Callable[[Path], AbstractContextManager[Source]],
    expected: str,
    *,
    labels: str | None,
    n_train: int | None,
    standardise: str,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    rng: torch.Generator,
    layout: str = "NCHW",
    vectors_only: bool = False,
) -> Task:
    """Load a task from arrays, as the module describes them.

    Args:
        path: of the file or folder; `~` is the home folder.
        opened: opens it.
        expected: what `path` must be, for messages.
        labels: the array whose labels queries buy, or its name without "_train"; None is `y_train`. Classes are those
            of `y_train`.
        n_train: size of the class-stratified training subset; None takes all.
        standardise: see `hetal.data.standardise`; computed over all training images, before `n_train`.
        mean, std: per channel, or per feature of vectors, in the units of the images, instead of what `standardise`
            gives; None for that.
        rng: draws the subset.
        layout: of images with four axes, "NCHW" or "NHWC", channels last.
        vectors_only: whether images are refused.

    Raises:
        BadInput: names the setting, or `data.path` and what is wrong with the file.
    """
    if path is None:
        raise BadInput(f"data.path is not set: data.path={expected} {', '.join(KEYS)}")
    for name, value, allowed in (("layout", layout, LAYOUTS), ("standardise", standardise, CHOICES)):
        if value not in allowed:
            raise BadInput(
                f"data.{name}={value}: must be {', '.join(map(str, allowed[:-1]))} or {allowed[-1]}"
            )
    try:
        with opened(Path(os.path.expanduser(str(path)))) as source:
            if absent := [key for key in KEYS if key not in source.names]:
                raise BadInput(
                    f"has no array {', '.join(absent)}; it must hold {', '.join(KEYS)}, and holds "
                    + _listed(source.names)
                )
            train, test = (_images(key, source.read(key), layout, vectors_only) for key in KEYS[::2])
            if train.shape[1:] != test.shape[1:] or train.dtype != test.dtype:
                raise BadInput(f"x_train holds {_kind(train)} and x_test {_kind(test)}; both must be alike")
            y_train, y_test = source.read("y_train"), source.read("y_test")
            encoded = encode_labels(y_train, y_test, "y_train", "y_test")
            for key, y, x in (("y_train", y_train, train), ("y_test", y_test, test)):
                if len(y) != len(x):
                    raise BadInput(f"{key} has {len(y)} labels for {len(x)} images")
            bought, notes = encoded.train, [encoded.note] * bool(encoded.note)
            columns, unfit = _columns(source, y_train, len(encoded.names))
            notes += unfit
            if labels is not None:
                bought = _bought(source, labels, y_train, encoded.names)
                share = float((bought != encoded.train).double().mean())
                notes.append(f"data.labels={labels}: {share:.1%} of the labels differ from y_train")
    except BadInput as fault:
        raise BadInput(f"data.path={path}: {fault}") from fault.__cause__
    computed_mean, computed_std = statistics(train, standardise) if mean is None or std is None else ((), ())
    examples = Examples(train, bought, columns)
    return Task(
        train=examples if n_train is None else examples[stratified(bought, n_train, rng)],
        test=Examples(test, encoded.test),
        n_classes=len(encoded.names),
        mean=computed_mean if mean is None else per_channel("data.mean", mean),
        std=computed_std if std is None else per_channel("data.std", std),
        class_names=encoded.names if encoded.note else (),
        notes=tuple(notes),
    )


def _images(key: str, array: NDArray[Any], layout: str, vectors_only: bool) -> Tensor:
    """Return (n, C, H, W) uint8 or float32, or (n, D) uint8, float16 or float32."""
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise BadInput(f"{key} is {array.dtype}; it must be uint8 or a float type")
    if vectors_only and (array.ndim != 2 or 0 in array.shape):
        raise BadInput(
            f"{key} has shape {array.shape}; features are vectors, (n, D), none of them 0; data=npz and data=npy read "
            "images"
        )
    if array.ndim not in (2, 3, 4) or 0 in array.shape:
        raise BadInput(
            f"{key} has shape {array.shape}; it must be (n, C, H, W), (n, H, W) or (n, D), none of them 0"
        )
    if array.ndim == 4 and layout == "NHWC":
        if min(array.shape[2:]) > MAX_CHANNELS >= array.shape[1]:
            raise BadInput(f"{key} has shape {array.shape}, channels first, which is data.layout=NCHW")
        array = array.transpose(0, 3, 1, 2)
    # Channels last: read as channels first, these would be narrow images with many channels.
    elif array.ndim == 4 and min(array.shape[1:3]) > MAX_CHANNELS >= array.shape[3]:
        raise BadInput(
            f"{key} has shape {array.shape}, channels last; it must be (n, C, H, W), or data.layout=NHWC. Images of "
            f"{array.shape[1]} channels that are {array.shape[3]} wide: swap H and W"
        )
    is_half = array.ndim == 2 and array.dtype.itemsize == 2
    dtype = np.dtype(np.uint8 if array.dtype == np.uint8 else np.float16 if is_half else np.float32)
    if array.dtype == dtype and array.flags.c_contiguous and array.flags.writeable:
        images = torch.from_numpy(array)
    else:
        images = scratch.stacked(_converted(array, dtype), len(array))
    if not is_finite(images):
        raise BadInput(f"{key} holds NaN, infinity or what is infinite in float32")
    return images.unsqueeze(1) if images.dim() == 3 else images


def _converted(array: NDArray[Any], dtype: np.dtype[Any]) -> Iterator[Tensor]:
    rows = max(scratch.NUMBERS_AT_ONCE // array[0].size, 1)
    for start in range(0, len(array), rows):
        with np.errstate(over="ignore"):
            part = np.array(array[start : start + rows], dtype, order="C")
        yield torch.from_numpy(part)


def _columns(source: Source, y_train: NDArray[Any], n_classes: int) -> tuple[dict[str, Tensor], list[str]]:
    """Return what else the arrays say of the training set, as `hetal.task.Examples` has it, and notes."""
    columns, notes = {}, []
    for name in source.names:
        if name.startswith("human_"):
            try:
                columns[name.removesuffix("_train")] = _other_labels(source, name, y_train)
            except BadInput as fault:
                notes.append(f"array {name} is left out: {fault}")
    for name, n_columns, what in (
        ("votes", n_classes, f"it must be (n, {n_classes}), one column a class"),
        ("features", None, "it must be (n, D)"),
    ):
        if (key := f"{name}_train") in source.names:
            array = source.read(key)
            if array.ndim != 2 or 0 in array.shape or n_columns not in (None, array.shape[1]):
                raise BadInput(f"{key} has shape {array.shape}; {what}")
            if len(array) != len(y_train):
                raise BadInput(f"{key} has {len(array)} rows for {len(y_train)} images")
            if name == "votes":
                array = _votes(array)
            columns[name] = _images(key, array, "NCHW", vectors_only=True)
    if "cost_train" in source.names:
        columns["cost"] = _cost(source.read("cost_train"), len(y_train))
    return columns, notes


def _cost(array: NDArray[Any], n: int) -> Tensor:
    """Return what the label of each row costs as float32."""
    if array.shape != (n,) or array.dtype.kind not in "iuf":
        raise BadInput(
            f"cost_train is {array.dtype} of shape {array.shape}; it must be numbers of shape ({n},)"
        )
    cost = array.astype(np.float32)
    if not (np.isfinite(cost).all() and (cost >= 0).all() and (cost <= 1e9).all()):
        raise BadInput("cost_train must hold numbers in 0..1e9")
    return torch.from_numpy(cost)


def _votes(array: NDArray[Any]) -> NDArray[Any]:
    """Return counts or shares of votes as float32."""
    if array.dtype.kind not in "iufb":
        raise BadInput(f"votes_train is {array.dtype}; votes are numbers, 0 or more")
    votes = array.astype(np.float32)
    if not (np.isfinite(votes).all() and (votes >= 0).all() and (votes.sum(1) > 0).all()):
        raise BadInput("votes_train must hold numbers, 0 or more, and no row of zeros only")
    return votes


def _bought(source: Source, name: str, y_train: NDArray[Any], classes: Sequence[str]) -> Tensor:
    """Return the labels of another column, (n,) int64, all classes among them."""
    key = next((key for key in (name, f"{name}_train") if key in source.names), None)
    if key is None:
        raise BadInput(
            f"has no array {name} or {name}_train, for data.labels={name}; it holds {_listed(source.names)}"
        )
    try:
        labels = _other_labels(source, key, y_train)
        count_C = torch.bincount(labels, minlength=len(classes)).tolist()
        if absent := [shown for shown, count in zip(classes, count_C, strict=True) if not count]:
            raise BadInput(f"{key} has no label {_listed(absent)}, which y_train has")
    except BadInput as fault:
        raise BadInput(f"data.labels={name}: {fault}") from None
    return labels


def _other_labels(source: Source, key: str, y_train: NDArray[Any]) -> Tensor:
    """Return the labels of another column, (n,) int64 in the classes of `y_train`."""
    column = source.read(key)
    if column.ndim == 1 and len(column) != len(y_train):
        raise BadInput(f"{key} has {len(column)} labels for {len(y_train)} images")
    return encode_labels(y_train, column, "y_train", key).test


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "") or "none"


def _kind(images: Tensor) -> str:
    return f"{str(images.dtype).removeprefix('torch.')} {tuple(images.shape[1:])}"
