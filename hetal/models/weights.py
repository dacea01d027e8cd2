"""Pretrained weights from a local file: safetensors, or a state dict of tensors that torch saved."""

from __future__ import annotations

import os
import pickle
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hetal.errors import BadInput, describe_error


def read_weights(path: str) -> dict[str, Tensor]:
    """Read a state dict, names to tensors, onto the CPU; nothing in the file is ever run.

    Args:
        path: of a file that ends in .safetensors, or one that `torch.save(network.state_dict(), path)` wrote; `~` is
            the home folder.

    Raises:
        BadInput: names `model.weights` and what is wrong with the file.
    """
    setting = f"model.weights={path}"
    file = Path(os.path.expanduser(path))
    try:
        with open(file, "rb"):
            pass
    except (OSError, ValueError) as error:
        raise BadInput(f"{setting}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    weights = _safetensors(file, setting) if file.suffix == ".safetensors" else _saved(file, setting)
    if not isinstance(weights, Mapping) or not weights:
        raise BadInput(f"{setting}: holds a {type(weights).__name__}; it must be a state dict")
    for name, value in weights.items():
        if not isinstance(name, str) or not isinstance(value, Tensor) or value.layout is not torch.strided:
            raise BadInput(
                f"{setting}: holds a {type(value).__name__} at {name!r}; it must be a state dict, names to tensors"
            )
        if value.is_complex():
            raise BadInput(f"{setting}: holds complex numbers at {name!r}; weights are real")
    return dict(weights)


def _safetensors(file: Path, setting: str) -> Any:
    try:
        from safetensors.torch import load_file
    except ImportError:
        raise BadInput(f"{setting}: needs the package safetensors: pip install safetensors") from None
    try:
        return load_file(file)
    except Exception as error:
        raise BadInput(f"{setting}: is no safetensors file, or damaged: {describe_error(error)}") from None


def _saved(file: Path, setting: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles that are then refused
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise BadInput(
            f"{setting}: is damaged, or holds more than tensors and plain values, which is never unpickled; "
            "save it with torch.save(network.state_dict(), FILE), or as .safetensors"
        ) from None
    except Exception as error:
        raise BadInput(f"{setting}: is no file of torch.save, or damaged: {describe_error(error)}") from None


def load_body(
    network: nn.Module,
    weights: Mapping[str, Tensor],
    head: str,
    setting: str,
    ignored: Iterable[str] = (),
) -> None:
    """Copy weights into all of a network but its head, which keeps its random weights.

    Args:
        network: to copy into.
        weights: of a network of the same architecture; the head may be of any size, or absent.
        head: name of the network's last linear layer.
        setting: NAME=VALUE of the file, for messages.
        ignored: beginnings of names that the file may hold in addition.

    Raises:
        BadInput: a name is missing, unexpected or of another shape.
    """
    own = {name: value for name, value in network.state_dict().items() if not name.startswith(f"{head}.")}
    given = {name: value for name, value in weights.items() if not name.startswith((f"{head}.", *ignored))}
    # Older files have no counts of batches, which nothing here reads.
    missing = [name for name in own if name not in given and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in given if name not in own]
    other = [
        f"{name} {tuple(given[name].shape)} for {tuple(value.shape)}"
        for name, value in own.items()
        if name in given and given[name].shape != value.shape
    ]
    faults = [
        f"{len(names)} {fault} ({names[0]}{', ...' * (len(names) > 1)})"
        for fault, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", other))
        if names
    ]
    if faults:
        raise BadInput(f"{setting}: holds the weights of another network: {', '.join(faults)}")
    with torch.no_grad():
        for name, value in own.items():
            if name in given:
                value.copy_(given[name])
