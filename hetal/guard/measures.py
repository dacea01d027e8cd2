"""Measures of test predictions that are a user's own: called on copies, with seeded generators, values checked."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import BuiltinFunctionType, FunctionType, MethodType, SimpleNamespace

import numpy as np
import torch
from torch import Tensor

from hetal.errors import BadInput, describe_error
from hetal.guard.changes import state_digests
from hetal.machine.process import unchanged
from hetal.noise.pool import describe
from hetal.record.schema import LARGEST
from hetal.rng import seeded, stream

# Called with class probabilities (N, C), float32, and labels (N,), int64, on the CPU; returns a number.
OwnMeasure = Callable[[Tensor, Tensor], float]
OwnMeasures = Mapping[str, OwnMeasure]

FUNCTIONS = (FunctionType, BuiltinFunctionType, MethodType, functools.partial)


def own_values(
    measures: OwnMeasures, probs_NC: Tensor, labels_N: Tensor, seed: int, t: int, device: torch.device
) -> dict[str, float] | None:
    """Return the value of every measure in round `t`; None where there are none.

    Args:
        measures: by name.
        probs_NC: (N, C) class probabilities on the CPU; not changed.
        labels_N: (N,) int64; not changed.
        seed: of the run.
        t: the round.
        device: whose global generators are seeded for the measures too, and restored.

    Raises:
        BadInput: a measure fails, gives no finite number, changes settings of the process, or remembers something.
    """
    values = {}
    for name, measure in measures.items():
        rng = stream(seed, f"measures.{name}", t)
        values[name] = value = _called(name, measure, probs_NC, labels_N, rng, device, f" in round {t}")
        if not abs(value) <= LARGEST:
            raise BadInput(
                f"measures.{name} gives {value} in round {t}; it must give a finite number, within +-{LARGEST:.0e}"
            )
    return values or None


def check_measures(
    measures: OwnMeasures, n_classes: int, labels_N: Tensor, seed: int, device: torch.device
) -> None:
    """Try every measure on made-up probabilities of the test set, before any training; NaN is allowed.

    Raises:
        BadInput: as `own_values`.
    """
    for name, measure in measures.items():
        rng = stream(seed, f"check measures.{name}")
        probs_NC = torch.randn(len(labels_N), n_classes, generator=rng).softmax(1)
        _called(name, measure, probs_NC, labels_N, rng, device, "")


def _called(
    name: str,
    measure: OwnMeasure,
    probs_NC: Tensor,
    labels_N: Tensor,
    rng: torch.Generator,
    device: torch.device,
    when: str,
) -> float:
    """Return the value of one measure; `when` says in messages when it was called."""
    who = f"measures.{name}"
    holder = SimpleNamespace(measure=measure) if isinstance(measure, FUNCTIONS) else measure
    before = state_digests(holder)
    try:
        with unchanged(who), seeded(rng, device):
            value = _number(measure(probs_NC.float().clone(), labels_N.clone()))
    except BadInput:
        raise
    except Exception as error:  # a user's code may raise anything
        raise BadInput(f"{who} fails{when}: {describe_error(error)}") from error
    after = state_digests(holder)
    if changed := sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key)):
        raise BadInput(
            f"{who} changed {', '.join(changed)}, which a run that was killed would have lost; a measure remembers "
            "nothing"
        )
    if not isinstance(value, float):
        raise BadInput(f"{who} gives {describe(value)}{when}; it must give a number")
    return value


def _number(value: object) -> object:
    """Return a number of any kind, or an array of one, as a float; anything else as it is."""
    if isinstance(value, (Tensor, np.ndarray, np.generic)) and np.prod(value.shape) == 1:
        value = value.item()
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value
