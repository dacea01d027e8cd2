"""Schedules: the learning rate of every epoch of an attempt, by any scheduler of torch.optim.lr_scheduler.

A schedule moves before every epoch but the first. It begins anew with every attempt of training; fine-tuning has a
constant rate. Its position is not saved: it follows from the losses of the epochs so far, which are.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, ReduceLROnPlateau, SequentialLR

from hetal.errors import BadInput
from hetal.train.optim import AnyOptimizer

MakeSchedule = Callable[[torch.optim.Optimizer], LRScheduler]


class Schedule:
    """The learning rates of an optimizer, epoch by epoch.

    Args:
        make: makes the scheduler of an optimizer; None keeps the learning rate constant.
        optimizer: whose settings are changed.
    """

    def __init__(self, make: MakeSchedule | None, optimizer: AnyOptimizer) -> None:
        self._scheduler: Any = None
        if make is not None:
            with _no_warnings():
                self._scheduler = make(optimizer.scheduled())

    def step(self, loss: float) -> None:
        """Set the learning rate of the next epoch, after one with this mean training loss."""
        if self._scheduler is None:
            return
        with _no_warnings():
            if isinstance(self._scheduler, ReduceLROnPlateau):
                self._scheduler.step(loss)
            else:
                self._scheduler.step()

    def replay(self, losses: Sequence[float]) -> None:
        """Move to where the schedule is after epochs with these losses; it must be new."""
        for loss in losses:
            self.step(loss)


def warm_up_cosine(optimizer: torch.optim.Optimizer, warm_up: int, epochs: int) -> SequentialLR:
    """Return a schedule that rises linearly for some epochs and then falls to 0 by a cosine.

    Args:
        optimizer: with its highest learning rate.
        warm_up: epochs of the rise, which begins at a tenth of the rate.
        epochs: of the whole schedule, more than `warm_up`.

    Raises:
        BadInput: the numbers of epochs are out of range.
    """
    if not 1 <= warm_up < epochs:
        raise BadInput(f"schedule.warm_up={warm_up}: must be from 1 to under schedule.epochs={epochs}")
    rise = LinearLR(optimizer, start_factor=0.1, total_iters=warm_up)
    fall = CosineAnnealingLR(optimizer, T_max=epochs - warm_up)
    return SequentialLR(optimizer, [rise, fall], milestones=[warm_up])


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Silence torch's warning on a schedule that moves before a step, as it does when it is replayed or stands in."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*", category=UserWarning)
        warnings.filterwarnings(
            "ignore", message=".*epoch parameter in `scheduler.step.*", category=UserWarning
        )
        yield
