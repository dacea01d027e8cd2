"""Optimizers: fast Adam and AdamW by torch's fused functional implementation, or any optimizer of torch's.

Adam: Kingma, Ba (ICLR 2015). AdamW: Loshchilov, Hutter (ICLR 2019), with decoupled weight decay.

torch's class of Adam computes the same bits, but imports the compiler on first use (1.6 s) and adds 60 microseconds to
every step, a tenth of what a small network needs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.adamw import adamw

from hetal.errors import BadInput
from hetal.record.checkpoint import State


class Adam:
    """Adam; the weight decay is an L2 penalty, added to the gradients.

    Args:
        parameters: updated in place; each needs a gradient at every step.
        lr: learning rate.
        betas: decay of the moving averages of gradients and of their squares, each in [0, 1).
        eps: added to the denominator.
        weight_decay: factor of the penalty.

    Attributes:
        param_groups: one group with the settings, as optimizers of torch have; a schedule changes them.

    Raises:
        BadInput: a setting is out of range.
    """

    _function: ClassVar[Callable[..., None]] = staticmethod(adam)

    def __init__(
        self,
        parameters: Sequence[Tensor],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        if not lr > 0:
            raise BadInput(f"optimizer.lr={lr}: must be positive")
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise BadInput(f"optimizer.betas={list(betas)}: must be two numbers in [0, 1)")
        if not eps > 0:
            raise BadInput(f"optimizer.eps={eps}: must be positive")
        if not weight_decay >= 0:
            raise BadInput(f"optimizer.weight_decay={weight_decay}: must be at least 0")
        self._parameters = list(parameters)
        self.param_groups: list[dict[str, Any]] = [
            {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay}
        ]
        self._mean = [torch.zeros_like(p) for p in self._parameters]
        self._square = [torch.zeros_like(p) for p in self._parameters]
        self._steps = [torch.zeros((), device=p.device) for p in self._parameters]
        self._lr_1: Tensor | None = None  # the learning rate in memory of a GPU

    def in_graph(self) -> None:
        """Read the learning rate from memory of the GPU from now on, for a CUDA graph; `before_epoch` writes it."""
        self._lr_1 = torch.zeros((), device=self._parameters[0].device)
        self._in_graph = dict(self.param_groups[0])

    def before_epoch(self) -> None:
        """Write the learning rate to where a CUDA graph reads it.

        Raises:
            BadInput: a schedule has changed another setting, of which the graph keeps the value.
        """
        if self._lr_1 is None:
            return
        self._lr_1.fill_(self.param_groups[0]["lr"])
        for name in ("betas", "eps", "weight_decay"):
            if (now := self.param_groups[0][name]) != (before := self._in_graph[name]):
                raise BadInput(
                    f"train.graph=true: not with a schedule that changes {name}, here from {before} to {now}; one that "
                    "changes the learning rate alone, as one_cycle with schedule.cycle_momentum=false, can be in one"
                )

    @torch.no_grad()
    def step(self, gradients: list[Tensor]) -> None:
        """Take one step with `gradients`, one tensor per parameter, of its shape."""
        group = self.param_groups[0]
        beta1, beta2 = group["betas"]
        type(self)._function(
            self._parameters,
            [_laid_out_as(p, g) for p, g in zip(self._parameters, gradients, strict=True)],
            self._mean,
            self._square,
            [],
            self._steps,
            fused=True,
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=group["lr"] if self._lr_1 is None else self._lr_1,
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )

    def scheduled(self) -> torch.optim.Optimizer:
        """Return an optimizer of torch's that shares `param_groups`, for a schedule to change; it takes no steps."""
        parameter = torch.zeros(1, requires_grad=True)
        stand_in = torch.optim.Adam([{"params": [parameter], **self.param_groups[0]}])
        self.param_groups = stand_in.param_groups
        return stand_in

    def state_dict(self) -> State:
        """Return the moments and the step counts."""
        return {"mean": self._mean, "square": self._square, "steps": self._steps}

    def load_state_dict(self, state: State) -> None:
        """Restore what `state_dict` returned."""
        for tensors, values in zip((self._mean, self._square, self._steps), state.values(), strict=True):
            for tensor, value in zip(tensors, values, strict=True):
                tensor.copy_(value)


def _laid_out_as(parameter: Tensor, gradient: Tensor) -> Tensor:
    """Return a gradient in the memory layout of its parameter, which the fused functions take for granted."""
    return (
        gradient if gradient.stride() == parameter.stride() else torch.empty_like(parameter).copy_(gradient)
    )


class AdamW(Adam):
    """AdamW: as `Adam`, but the weight decay multiplies the weights by 1 - lr * weight_decay at every step."""

    _function = staticmethod(adamw)


class TorchOptimizer:
    """An optimizer of torch's with the interface of `Adam`.

    Args:
        optimizer: of `parameters`.
        parameters: in the order of the gradients.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, parameters: Sequence[Tensor]) -> None:
        self._optimizer = optimizer
        self._parameters = list(parameters)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of parameters with their settings."""
        return self._optimizer.param_groups

    def step(self, gradients: list[Tensor]) -> None:
        """Take one step with `gradients`, one tensor per parameter, of its shape."""
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = gradient
        self._optimizer.step()
        for parameter in self._parameters:
            parameter.grad = None  # so that a copy of the network has none

    def in_graph(self) -> None:
        """Refuse to be in a CUDA graph, which would keep numbers that such an optimizer may change at every step.

        Raises:
            BadInput: always.
        """
        name = type(self._optimizer).__name__
        raise BadInput(f"train.graph=true: not with {name}; with optimizer=adam or optimizer=adamw")

    def before_epoch(self) -> None:
        """Do nothing: settings are read where a schedule changes them."""

    def scheduled(self) -> torch.optim.Optimizer:
        """Return the optimizer for a schedule to change."""
        return self._optimizer

    def state_dict(self) -> State:
        """Return the state of the optimizer, its settings included, which it may change itself."""
        return self._optimizer.state_dict()

    def load_state_dict(self, state: State) -> None:
        """Restore what `state_dict` returned."""
        self._optimizer.load_state_dict(copy.deepcopy(state))


AnyOptimizer = Adam | TorchOptimizer
MakeOptimizer = Callable[[list[Tensor]], Adam | torch.optim.Optimizer]


def make_optimizer(make: MakeOptimizer, parameters: Sequence[Tensor]) -> AnyOptimizer:
    """Return a new optimizer of `parameters`.

    Raises:
        BadInput: it gives something that is no optimizer.
    """
    made: object = make(list(parameters))
    if isinstance(made, Adam):
        return made
    if isinstance(made, torch.optim.Optimizer):
        return TorchOptimizer(made, parameters)
    raise BadInput(
        f"optimizer: gives a {type(made).__name__}; it must give a torch.optim.Optimizer, or hetal.train.Adam or AdamW"
    )
