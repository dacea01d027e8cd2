"""Check of the optimizer, schedule, loss, augmentation and warm start of a run; each may be the user's own."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hetal.augment import Augmentation
from hetal.errors import BadInput, describe_error
from hetal.record.checkpoint import weights_of
from hetal.train.members import ensemble_in
from hetal.train.optim import AnyOptimizer, make_optimizer
from hetal.train.recipe import Recipe
from hetal.train.schedule import Schedule


def check_training(network: nn.Module, recipe: Recipe) -> None:
    """Take a step on a copy of `network`, go through the schedule and try the warm start, before any training.

    Args:
        network: new; not changed.
        recipe: settings of training.

    Raises:
        BadInput: names what fails, and how.
    """
    check_loss(recipe)
    check_augmentation("train.augment", recipe.augment, recipe, network)
    if recipe.finetune is not None:
        check_augmentation("finetune.augment", recipe.finetune.augment, recipe, network)
    parameters = [p for p in copy.deepcopy(network).parameters() if p.requires_grad]
    with _one_line("optimizer", recipe.optimizer):
        optimizer = make_optimizer(recipe.optimizer, parameters)
    for group in optimizer.param_groups:
        if not (isinstance(group["lr"], float | int) and 0 < group["lr"] < math.inf):
            raise BadInput(f"optimizer.lr={group['lr']}: must be a positive number")
    if ensemble_in(network) is not None:
        check_members_apart(recipe)
    check_schedule(recipe, optimizer)
    with _one_line("optimizer", recipe.optimizer):
        optimizer.step([torch.zeros_like(p) for p in parameters])
    if recipe.warm_start is not None:
        with _one_line("train.warm_start", recipe.warm_start):
            recipe.warm_start(copy.deepcopy(network), weights_of(network))


def check_members_apart(recipe: Recipe) -> None:
    """Check that the optimizer trains members of an ensemble, whose weights are stacked, as it does networks apart.

    Raises:
        BadInput: it does not, as one that scales steps by norms of whole tensors.
    """
    start_K = torch.tensor([[[1.0, -2.0], [3.0, 0.5]], [[5.0, 0.1], [-0.2, 2.0]]], dtype=torch.float64)

    def changes(start: Tensor) -> Tensor:
        weights = start.clone().requires_grad_()
        optimizer = make_optimizer(recipe.optimizer, [weights])
        for _ in range(2):
            optimizer.step([weights.detach() ** 3])
        return weights.detach() - start

    with _one_line("optimizer", recipe.optimizer):
        together, apart = changes(start_K), torch.stack([changes(start) for start in start_K])
    if not torch.allclose(together, apart, rtol=1e-3):
        raise BadInput(
            f"optimizer: {_name(recipe.optimizer)} does not train members of an ensemble as it does networks apart; "
            "model.members must be 1"
        )


def check_loss(recipe: Recipe) -> None:
    """Check that the loss gives a finite number with gradients for any labels.

    Raises:
        BadInput: says what it gave instead.
    """
    C, name = recipe.task.n_classes, f"train.loss: {_name(recipe.loss)}"
    n = 2 * C + 1  # not as many rows as classes, so that a loss of values instead of labels fails
    logits = torch.linspace(-1, 1, n * C, device=recipe.device).view(n, C).requires_grad_()
    with _one_line("train.loss", recipe.loss):
        if begin_epoch := getattr(recipe.loss, "begin_epoch", None):
            begin_epoch(1)
        loss: object = recipe.loss(logits, torch.arange(n, device=recipe.device) % C)
    if not isinstance(loss, Tensor) or loss.dim() != 0:
        got = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        raise BadInput(
            f"{name} gives {got}; it must give the mean over the rows, a tensor without dimensions"
        )
    if not loss.requires_grad:
        raise BadInput(f"{name} gives a loss without a gradient")
    if not bool(loss.isfinite()):
        raise BadInput(f"{name} gives {loss.item()} for logits from -1 to 1")


def check_augmentation(
    setting: str, augment: Augmentation | None, recipe: Recipe, network: nn.Module
) -> None:
    """Check that an augmentation gives as many images of the same shape.

    Args:
        setting: that chose it, such as "train.augment".
        augment: None is none.
        recipe: settings of training.
        network: whose inputs are prepared.

    Raises:
        BadInput: it fails, or says what it gave instead.
    """
    if augment is None:
        return
    images, rng = recipe.task.train.images[:2].to(recipe.device), torch.Generator().manual_seed(0)

    def check(given: object, dtype: torch.dtype) -> Tensor:
        if isinstance(given, Tensor) and given.shape == images.shape and given.dtype == dtype:
            return given
        got = (
            f"{given.dtype} of shape {tuple(given.shape)}"
            if isinstance(given, Tensor)
            else type(given).__name__
        )
        raise BadInput(
            f"{setting}: {type(augment).__name__} gives {got} for {len(images)} images; it must give {dtype} of "
            f"shape {tuple(images.shape)}"
        )

    with _one_line(setting, augment):
        stored = check(augment(images.clone(), rng), images.dtype)
        check(augment.after(recipe.prepare(network)(stored), rng), torch.float32)


def check_schedule(recipe: Recipe, optimizer: AnyOptimizer) -> None:
    """Check that the schedule gives a learning rate for each of `recipe.max_epochs` epochs.

    Args:
        recipe: settings of training.
        optimizer: new; its learning rate is changed.

    Raises:
        BadInput: it fails, or a learning rate is negative or not finite; names the epoch. Or optimizer or schedule
            cannot be in a CUDA graph, which is asked for.
    """
    with _one_line("schedule", recipe.schedule):
        schedule = Schedule(recipe.schedule, optimizer)
    if recipe.graph:
        optimizer.in_graph()
    if recipe.schedule is None:
        return
    for epoch in range(1, recipe.max_epochs + 1):
        if epoch > 1:
            with _one_line(
                "schedule", recipe.schedule, f" at epoch {epoch} of train.max_epochs={recipe.max_epochs}"
            ):
                schedule.step(1.0)
            optimizer.before_epoch()
        for group in optimizer.param_groups:
            if not (isinstance(group["lr"], float | int) and 0 <= group["lr"] < math.inf):
                raise BadInput(
                    f"schedule: {_name(recipe.schedule)} gives the learning rate {group['lr']} for epoch {epoch} of "
                    f"train.max_epochs={recipe.max_epochs}; it must be a number from 0"
                )


@contextmanager
def _one_line(part: str, called: Any, where: str = "") -> Iterator[None]:
    """Turn any error inside the `with` block into one line that names the part."""
    try:
        yield
    except (BadInput, torch.OutOfMemoryError):
        raise
    except Exception as error:  # the user's code, or torch's refusal of a setting
        raise BadInput(f"{part}: {_name(called)} fails{where}: {describe_error(error)}") from error


def _name(called: Any) -> str:
    function = getattr(called, "func", called)  # of a partial
    return getattr(function, "__name__", type(function).__name__)
