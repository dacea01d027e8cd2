"""Translation of numbers typed for the config group `mult` to overrides that Hydra accepts.

Hydra does not accept a number as the name of an option, so a number sets the factor: `mult=4` becomes `mult.factor=4`,
which is the same run as `mult=x4`. Of several words for `mult` the last counts, as for every setting.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeGuard

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, RangeSweep
from hydra.errors import HydraException
from omegaconf import OmegaConf

from hetal.errors import BadInput
from hetal.machine.installation import CONF

GROUP = "mult"
FACTOR = "mult.factor"
WORDS = (f"{GROUP}=", f"{FACTOR}=")


def as_options(overrides: Sequence[str]) -> list[str]:
    """Return overrides with the last one for `mult` translated, and without those before it.

    Args:
        overrides: as typed; all other settings are returned unchanged, and so is what Hydra refuses.

    Raises:
        BadInput: a sweep mixes numbers with options that hetal does not have.
    """
    last = max((i for i, word in enumerate(overrides) if word.startswith(WORDS)), default=-1)
    return [
        _translated(word) if i == last else word
        for i, word in enumerate(overrides)
        if i == last or not word.startswith(WORDS)
    ]


def options() -> dict[str, float]:
    """Return the factor of every option of `mult`, by name."""
    return {
        path.stem: OmegaConf.load(path).factor for path in sorted((CONF / GROUP).glob("*.yaml"), key=_size)
    }


def _translated(word: str) -> str:
    if not word.startswith(f"{GROUP}="):
        return word
    try:
        value = OverridesParser.create().parse_override(word).value()
    except HydraException:
        return word
    values: list[Any] = value.list if isinstance(value, ChoiceSweep) else [value]
    is_plain = isinstance(value, ChoiceSweep) and value.simple_form
    typed = word.partition("=")[2]
    if all(isinstance(one, RangeSweep | IntervalSweep) or _is_number(one) for one in values):
        return f"{FACTOR}={typed}"
    if not any(map(_is_number, values)):
        return word
    factors = options()
    if unknown := [one for one in values if not _is_number(one) and one not in factors]:
        raise BadInput(
            f"{word}: numbers go together with {', '.join(factors)}, not with {unknown[0]}; mult.factor=NUMBERS sweeps "
            "any numbers"
        )
    numbers = ",".join(str(one if _is_number(one) else factors[one]) for one in values)
    return f"{FACTOR}={numbers if is_plain else f'choice({numbers})'}"


def _size(path: Path) -> tuple[float, str]:
    """Return the number in the name of an option, by which options are listed, and the name."""
    number = path.stem.removeprefix("x")
    return (float(number) if number.replace(".", "", 1).isdigit() else 0.0), path.stem


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
