"""The user's own arrays in one .npz file, as written by `numpy.savez(path, x_train=, y_train=, x_test=, y_test=)`.

Images are channels first: (n, C, H, W), or (n, H, W) with one channel, or (n, D) vectors. They are uint8, or floats of
any width, which become float32. (n, H, W, C) with H and W over 4 and C up to 4 is refused as images with channels last;
any other (n, C, H, W) is accepted, whatever C. Labels are (n,) whole numbers 0..C-1, and each occurs in `y_train`.
Nothing in the file is ever unpickled.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hetal.data.standardise import statistics
from hetal.errors import BadInput
from hetal.machine.files import Array, read_npz
from hetal.task import Examples, Task, per_channel, stratified

# Images have at most this many channels; a last axis up to this size, after two larger axes, is the channels.
MAX_CHANNELS = 4

KEYS = ("x_train", "y_train", "x_test", "y_test")


def load_npz(
    path: str | None,
    n_train: int | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    rng: torch.Generator,
) -> Task:
    """Load a task from one .npz file, in the format that the module describes.

    Args:
        path: the file; `~` is the home folder.
        n_train: size of the class-stratified training subset; None takes all.
        mean, std: per channel, or per feature of vectors, in the units of the images. None computes them over all
            training images, before `n_train`; a constant channel gets a `std` of 1.
        rng: draws the subset.

    Raises:
        BadInput: names `data.path` and what is wrong with the file; or `n_train` is out of range.
    """
    if path is None:
        raise BadInput(f"data.path is not set: data.path=FILE.npz with the arrays {', '.join(KEYS)}")
    try:
        arrays = read_npz(Path(os.path.expanduser(str(path))), KEYS)
        train = Examples(_images("x_train", arrays), _labels("y_train", arrays))
        test = Examples(_images("x_test", arrays), _labels("y_test", arrays))
        n_classes = _check(train, test)
    except BadInput as fault:
        raise BadInput(f"data.path={path}: {fault}") from fault.__cause__
    computed_mean, computed_std = statistics(train.images, "feature")
    return Task(
        train=train[stratified(train.labels, n_train, rng)],
        test=test,
        n_classes=n_classes,
        mean=computed_mean if mean is None else per_channel("data.mean", mean),
        std=computed_std if std is None else per_channel("data.std", std),
    )


def _images(key: str, arrays: dict[str, Array]) -> Tensor:
    """Return (n, C, H, W) or (n, D), uint8 or float32."""
    array = arrays[key]
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise BadInput(f"{key} is {array.dtype}; it must be uint8 or a float type")
    if array.ndim not in (2, 3, 4) or 0 in array.shape:
        raise BadInput(
            f"{key} has shape {array.shape}; it must be (n, C, H, W), (n, H, W) or (n, D), none of them 0"
        )
    # Channels last: read as channels first, these would be narrow images with many channels.
    if array.ndim == 4 and min(array.shape[1:3]) > MAX_CHANNELS >= array.shape[3]:
        raise BadInput(
            f"{key} has shape {array.shape}, channels last; it must be (n, C, H, W): transpose(0, 3, 1, 2). "
            f"Images of {array.shape[1]} channels that are {array.shape[3]} wide: swap H and W"
        )
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            array = np.ascontiguousarray(array, dtype=np.float32)
        if not np.isfinite(array).all():
            raise BadInput(f"{key} holds NaN, infinity or what is infinite in float32")
    images = torch.from_numpy(np.ascontiguousarray(array))
    return images.unsqueeze(1) if images.dim() == 3 else images


def _labels(key: str, arrays: dict[str, Array]) -> Tensor:
    """Return (n,) int64."""
    array = arrays[key]
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise BadInput(
            f"{key} is {array.dtype} of shape {array.shape}; it must be whole numbers of shape (n,)"
        )
    if len(array) != len(arrays["x" + key[1:]]):
        raise BadInput(f"{key} has {len(array)} labels for {len(arrays['x' + key[1:]])} images")
    # Before the cast, which would wrap a huge unsigned label to a negative one.
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= 2**31:
        raise BadInput(f"{key} holds labels {low}..{high}; they must be 0..C-1")
    return torch.from_numpy(array.astype(np.int64))


def _check(train: Examples, test: Examples) -> int:
    """Check that the two sets fit each other, and return their number of classes."""
    if train.images.shape[1:] != test.images.shape[1:] or train.images.dtype != test.images.dtype:
        raise BadInput(
            f"x_train holds {_kind(train.images)} and x_test {_kind(test.images)}; both must be alike"
        )
    present = torch.unique(train.labels)
    n_classes = int(present[-1]) + 1
    if n_classes != len(present):
        gap = int((present != torch.arange(len(present))).nonzero()[0])
        raise BadInput(
            f"y_train holds labels up to {n_classes - 1} but none is {gap}; every class needs a row"
        )
    if n_classes < 2:
        raise BadInput("y_train holds one class only; there must be at least 2")
    if int(test.labels.max()) >= n_classes:
        raise BadInput(
            f"y_test holds label {int(test.labels.max())}; the classes in y_train are 0..{n_classes - 1}"
        )
    return n_classes


def _kind(images: Tensor) -> str:
    return f"{str(images.dtype).removeprefix('torch.')} {tuple(images.shape[1:])}"
