"""Translation of numbers typed for the config group `mult` to overrides that Hydra accepts.

Hydra does not accept a number as the name of an option. So `mult=4` becomes `mult=x4`, the option of that factor, and a
number without an option sets the factor itself: `mult=2.5` becomes `mult.factor=2.5`. The run is the same either way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, RangeSweep
from hydra.errors import HydraException
from omegaconf import OmegaConf

from hetal.machine.installation import CONF

GROUP = "mult"
FACTOR = "mult.factor"


def as_options(overrides: Sequence[str]) -> list[str]:
    """Return overrides with numbers for `mult` translated.

    Args:
        overrides: as typed; others than `mult=` are returned unchanged, and so are those that Hydra refuses.
    """
    return [_translated(word) if word.startswith(f"{GROUP}=") else word for word in overrides]


def options() -> dict[str, float]:
    """Return the factor of every option of `mult`, by name."""
    return {path.stem: OmegaConf.load(path).factor for path in sorted((CONF / GROUP).glob("*.yaml"))}


def _translated(word: str) -> str:
    try:
        value = OverridesParser.create().parse_override(word).value()
    except HydraException:
        return word
    if _is_number(value):
        return _override_for([value], options(), "{}") or word
    if isinstance(value, ChoiceSweep) and not value.tags and not value.shuffle:
        return _override_for(value.list, options(), "{}" if value.simple_form else "choice({})") or word
    has_numbers = isinstance(value, RangeSweep | IntervalSweep) or (
        isinstance(value, ChoiceSweep) and all(map(_is_number, value.list))
    )
    return f"{FACTOR}={word.partition('=')[2]}" if has_numbers else word


def _override_for(values: Sequence[Any], factors: Mapping[str, float], form: str) -> str | None:
    """Return the override for these values: by name if all have one, else by factor; None if one has neither."""
    names = {factor: name for name, factor in factors.items()}
    pairs: list[tuple[str | None, Any]] = []
    for value in values:
        if _is_number(value):
            pairs.append((names.get(value), value))
        elif isinstance(value, str):
            pairs.append((value, factors.get(value)))
        else:
            return None
    for key, column in zip((GROUP, FACTOR), zip(*pairs, strict=True), strict=True):
        if None not in column:
            return f"{key}={form.format(','.join(map(str, column)))}"
    return None


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
