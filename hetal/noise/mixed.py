"""Mixed noise: several noise settings applied one after another, each to the rows that are still clean."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import wraps

import torch

from hetal.errors import BadInput
from hetal.noise.corrupt import Corrupt, Named, one_by_one, stream_of
from hetal.noise.pool import NoisyPool
from hetal.task import Examples


def mixed(
    train: Examples, n_classes: int, rng: torch.Generator, *, of: Sequence[str], parts: Mapping[str, Corrupt]
) -> NoisyPool:
    """Apply noise settings in order.

    Each draws from a stream of its own, named after it, so that others before or after it do not change its draws as
    long as they leave it the same rows.

    Args:
        train: the clean rows.
        n_classes: number of classes.
        rng: CPU generator; its seed and the names decide all draws.
        of: names of the settings, in the order in which they are applied.
        parts: the settings by name.

    Raises:
        BadInput: `of` is empty, repeats a name, or names no part; or a setting fails.
    """
    if not of:
        raise BadInput("noise.of=[]: must name at least one noise setting, such as [symmetric,blank]")
    for i, name in enumerate(of):
        if name in of[:i]:
            raise BadInput(f"noise.of: names {name} twice")
        if name not in parts:
            raise BadInput(
                f"noise.of: names {name}, which is none of noise.parts: {', '.join(parts) or 'it is empty'}"
            )
    settings = [Named(name, _naming(name, parts[name]), stream_of(rng, name)) for name in of]
    return one_by_one(settings, train, n_classes)


def _naming(name: str, noise: Corrupt) -> Corrupt:
    """Return a noise setting whose messages name its settings as they are typed: noise.symmetric.rate."""

    @wraps(noise)
    def named(train: Examples, n_classes: int, rng: torch.Generator) -> NoisyPool:
        try:
            pool = noise(train, n_classes, rng)
        except BadInput as error:
            raise BadInput(re.sub(r"^noise\.", f"noise.{name}.", str(error))) from error.__cause__
        if getattr(pool, "parts", None) is not None:
            raise BadInput(f"noise.of: {name} is a mixture itself; its parts can be named instead")
        return pool

    return named
