"""Check, before any training, that a network (possibly a user's own) keeps the contract of `hetal.models`."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from hetal.errors import BadInput, describe_error
from hetal.models.features import WithFeatures
from hetal.train.members import ensemble_in, logits_of_members, loss_of
from hetal.train.precision import InBfloat16

if TYPE_CHECKING:
    from hetal.train.learner import Learner


def check_network(network: nn.Module, learner: Learner, n_start: int) -> None:
    """Run a fresh network forward and backward on two rows, and refuse one with which a run would fail.

    Of an ensemble, its first member is checked alone, and then all of them together.

    Args:
        network: fresh, on its device; not to be used afterwards.
        learner: that will train such networks.
        n_start: training rows of the first round.

    Raises:
        BadInput: says what the network returned, and what it must return.
    """
    inner = network.network if isinstance(network, InBfloat16) else network
    name = f"model: {_name(inner)}"
    if (ensemble := ensemble_in(network)) is not None:
        alone = ensemble.member(0)
        check_network(InBfloat16(alone) if inner is not network else alone, learner, n_start)
        name = f"model.members={ensemble.n_members}: {_name(ensemble.network)}"
    weights = [p for p in network.parameters() if p.requires_grad]
    if any(is_lazy(p) for p in network.parameters()):
        raise BadInput(
            f"{name} has lazy layers; give sizes, its constructor is told image_shape and n_classes"
        )
    if not weights:
        raise BadInput(f"{name} has no trainable parameters")
    try:
        copy.deepcopy(network)
    except Exception as error:
        raise BadInput(f"{name} cannot be copied: {describe_error(error)}") from error
    images = learner.task.train.images[:2].to(learner.device)
    x = learner.prepare(network)(images)
    classes = learner.task.n_classes
    with torch.inference_mode():
        logits, features = _outputs(network.eval(), x, classes, name)
    if not bool(logits.isfinite().all() & features.isfinite().all()):
        raise BadInput(f"{name} gives NaN or infinity before any training")
    logits, _ = _outputs(network.train(), x, classes, name)
    if not logits.requires_grad:
        raise BadInput(f"{name} gives logits without a gradient; forward must not detach them")
    try:
        if ensemble is not None:
            logits = logits_of_members(network, x)
        loss = loss_of(nn.CrossEntropyLoss(), logits, learner.task.train.labels[:2].to(learner.device))
        torch.autograd.grad(loss, weights, allow_unused=True)
    except Exception as error:
        raise BadInput(f"{name} cannot be trained: {describe_error(error)}") from error
    # Otherwise there is no batch of one row, see `hetal.train.forward.split`.
    for setting, rows in (("n_start", n_start), ("train.batch_size", learner.batch_size)):
        if rows == 1:
            try:
                network(x[:1])
            except Exception as error:
                raise BadInput(
                    f"{setting}=1: {name} cannot train on one row, as batch norm cannot; {setting} must be "
                    f"at least 2 ({describe_error(error)})"
                ) from error


def _name(network: nn.Module) -> str:
    return network.name if isinstance(network, WithFeatures) else type(network).__name__


def _outputs(network: nn.Module, x: Tensor, n_classes: int, name: str) -> tuple[Tensor, Tensor]:
    """Run a network, and check types, shapes, dtypes and devices of its outputs."""
    inner = network.network if isinstance(network, InBfloat16) else network
    inputs = f"images of shape {tuple(x.shape[1:])}" if x.dim() == 4 else f"vectors of {x.shape[1]} features"
    try:
        outputs = inner(x)
    except Exception as error:
        raise BadInput(f"{name} fails on {inputs}: {describe_error(error)}") from error
    if not isinstance(outputs, (tuple, list)) or len(outputs) != 2:
        returned = (
            f"{len(outputs)} things"
            if isinstance(outputs, (tuple, list))
            else f"one {type(outputs).__name__}"
        )
        wrapper = (
            "; hetal.models.with_features(network, image_shape) makes it so of a network that gives logits"
        )
        raise BadInput(
            f"{name} gives {returned}; forward must return two tensors, (logits, features)"
            + wrapper * isinstance(outputs, Tensor)
        )
    n = len(x)
    for part, tensor, width in (("logits", outputs[0], str(n_classes)), ("features", outputs[1], "D")):
        if not isinstance(tensor, Tensor):
            raise BadInput(
                f"{name} gives {type(tensor).__name__} for {part}; it must be a tensor ({n}, {width})"
            )
        shape = (n, n_classes if part == "logits" else tensor.shape[-1] if tensor.dim() else 0)
        if tuple(tensor.shape) != shape or 0 in tensor.shape:
            raise BadInput(
                f"{name} gives {part} of shape {tuple(tensor.shape)} for {n} {inputs}; it must be ({n}, {width})"
            )
        if tensor.dtype != torch.float32:
            raise BadInput(f"{name} gives {part} of {tensor.dtype}; they must be torch.float32")
        if tensor.device != x.device:
            raise BadInput(f"{name} gives {part} on {tensor.device}, for images on {x.device}")
    return outputs[0], outputs[1]
