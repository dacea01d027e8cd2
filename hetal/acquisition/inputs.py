"""Inputs of the acquisition functions: numpy arrays taken as tensors, and probabilities told from logits."""

from __future__ import annotations

import warnings
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# What a function returns is of the kind of its first argument.
Array = TypeVar("Array", Tensor, NDArray[Any])
AnyArray = Tensor | NDArray[Any]

# By how much the probabilities of one row may miss 1, beside the rounding of their type.
TOLERANCE = 1e-3


def as_tensor(array: AnyArray, name: str) -> Tensor:
    """Return a tensor as it is, and a numpy array as a tensor on its memory, not copied where torch can read it.

    Args:
        array: may be a read-only `numpy.memmap`.
        name: of the argument, for messages.

    Raises:
        TypeError: it is neither, or holds something other than numbers or truth values.
    """
    if isinstance(array, Tensor):
        return array
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be a torch tensor or a numpy array, not {type(array).__name__}")
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise TypeError(f"{name} must hold numbers of at most 64 bits, not {array.dtype}")
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if any(stride < 0 or stride % array.itemsize for stride in array.strides):
        array = np.ascontiguousarray(array)
    with warnings.catch_warnings():
        # Nothing here writes to what it is given.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def like(given: Array, result: Tensor) -> Array:
    """Return `result` as a numpy array where `given` is one, else as it is."""
    return result.cpu().numpy() if isinstance(given, np.ndarray) else result


def as_probabilities(probs: AnyArray, name: str, axes: str) -> Tensor:
    """Return class probabilities as a tensor, checked in two passes over them.

    Args:
        probs: the last axis is that of the C classes.
        name: of the argument, for messages.
        axes: one letter for each axis that it must have, such as "MC"; "" for any number of them.

    Raises:
        TypeError: see `as_tensor`.
        ValueError: it has other axes; or some row is not finite, has a value under 0, or does not sum to 1 to within
            `TOLERANCE` and the rounding of its type, as logits do not.
    """
    tensor = as_tensor(probs, name)
    if tensor.dim() != len(axes) if axes else tensor.dim() == 0:
        shape = f"({', '.join(axes)})" if axes else "(..., C)"
        raise ValueError(f"{name} must have the shape {shape}, not {tuple(tensor.shape)}")
    if tensor.numel() == 0:
        return tensor
    held = tensor.detach()
    is_rounded = held.is_floating_point()
    slack = TOLERANCE + (torch.finfo(held.dtype).eps if is_rounded else 0)
    # Half precision is summed in float32. NaN and infinity fail the comparison too.
    total = held.sum(-1, dtype=held.dtype if held.dtype == torch.float64 else torch.float32)
    if not bool(((total - 1).abs().amax() <= slack) & (held.amin() >= 0)):
        _refuse(held, total, slack, name)
    return tensor


def checked_generator(generator: object) -> torch.Generator:
    """Return a generator of torch's; raise TypeError for anything else, such as one of numpy's."""
    if not isinstance(generator, torch.Generator):
        kind = type(generator).__name__
        raise TypeError(
            f"generator must be a torch.Generator, such as torch.Generator().manual_seed(0), not {kind}"
        )
    return generator


def _refuse(probs: Tensor, total: Tensor, slack: float, name: str) -> None:
    """Raise ValueError with the first row that is no distribution over the classes."""
    is_good = ((total - 1).abs() <= slack) & (probs >= 0).all(-1)
    index = tuple((~is_good).nonzero()[0].tolist())
    row = ", ".join(f"{value:.4g}" for value in probs[index].tolist()[:5])
    more = ", ..." if probs.shape[-1] > 5 else ""
    where = f"{name}[{', '.join(map(str, index))}]" if index else name
    raise ValueError(
        f"{name} must hold probabilities, 0 or more and summing to 1 over the classes, but {where} is "
        f"[{row}{more}], which sums to {float(total[index]):.4g}; of logits, pass logits.softmax(-1)"
    )
