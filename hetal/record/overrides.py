"""Overrides of the command line on record, where they stand as Hydra takes them, and as users type them."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: Begins the override that adds a part of a noise that applies several, see `hetal.sweep.overrides`.
PART = "noise@noise.parts."

#: Matches the place of a strategy that another one wraps.
WRAPPED = r"alg(?:\.of)+"


def as_typed(overrides: Sequence[str]) -> list[str]:
    """Return overrides as users type them: alg.of=X, noise.symmetric.rate=0.2, and without what follows from others."""
    overrides = [re.sub(rf"^alg@({WRAPPED}=)", r"\1", word) for word in overrides]
    if not lists_of_parts(overrides) or not is_mixed(overrides):
        return [*overrides]
    typed = [word for word in overrides if not word.lstrip("+").startswith(PART)]
    return [re.sub(r"^(\+{0,2})noise\.parts\.(?=\w+\.)", r"\1noise.", word) for word in typed]


def as_needed(overrides: Sequence[str]) -> list[str]:
    """Return overrides as users type them, without settings of noise that `noise.of` does not name.

    A sweep over `noise.of` has them, and they change nothing; a command of one run that has them is refused.
    """
    typed = as_typed(overrides)
    if not (lists := lists_of_parts(typed)) or not is_mixed(typed):
        return typed
    names = parts_named(lists)
    settings = [(word, re.match(r"\+{0,2}noise\.(\w+)\.", word)) for word in typed]
    return [word for word, match in settings if match is None or match[1] in names]


def is_mixed(overrides: Sequence[str]) -> bool:
    """Return whether `noise.of` can add parts: the noise is `mixed`, or chosen by an experiment."""
    chosen = [word for word in overrides if word.startswith("noise=")]
    return not chosen or "mixed" in re.findall(r"[\w.-]+", chosen[-1])


def lists_of_parts(overrides: Sequence[str]) -> list[str]:
    """Return the overrides that set `noise.of`."""
    return [word for word in overrides if re.match(r"\+{0,2}noise\.of=", word)]


def parts_named(lists: Sequence[str]) -> list[str]:
    """Return the names in overrides that set `noise.of`, each once."""
    names = dict.fromkeys(name for word in lists for name in re.findall(r"[\w.-]+", word.partition("=")[2]))
    return [name for name in names if name not in ("choice", "null")]
