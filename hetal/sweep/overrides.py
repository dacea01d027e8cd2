"""Overrides as users type them, translated to the form that Hydra takes.

- An option of a config group inside another group is typed like any value: `train.loss=gce` becomes `train/loss=gce`,
  and null chooses the option `none` where there is one.
- So is the strategy that another one wraps: `alg.of=badge` becomes `alg@alg.of=badge`.
- A setting that has moved is known by its old name: `train.lr` is `optimizer.lr`.
- A setting of a group that is swept may be one that its default option lacks: `noise=pair,symmetric noise.rate=0.2`,
  and `alg.of=fisher,bait alg.of.ridge=0.5`.
- A number for `mult` sets its factor, see `hetal.sweep.mult`.
- The noise settings that `noise.of=[symmetric,blank]` names are added to `noise.parts`; their own settings are typed
  without that: `noise.symmetric.rate=0.2`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import cache, partial

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf

from hetal.machine.installation import CONF
from hetal.record.overrides import PART, WRAPPED, is_mixed, lists_of_parts, parts_named
from hetal.sweep import mult

MOVED = {"train.lr": "optimizer.lr"}


def as_options(overrides: Sequence[str]) -> list[str]:
    """Return overrides as Hydra takes them; what needs no translation is unchanged, and so is what Hydra refuses.

    Args:
        overrides: as typed.

    Raises:
        BadInput: a sweep over `mult` mixes numbers with options that hetal does not have.
    """
    words = mult.as_options(_with_parts_of_noise([_translated(word) for word in overrides]))
    return _of_swept_groups(words)


def _of_swept_groups(words: Sequence[str]) -> list[str]:
    """Return overrides in which settings of a group that is swept are swept too, over their one value.

    Hydra would try them on the group's default option first, which need not have them.
    """
    swept = {_place(word.partition("=")[0]) for word in words if "=" in word and _is_sweep(word)}
    return [
        f"{key}=choice({value})" if sep and swept & {*_above(_place(key))} and not _is_sweep(word) else word
        for word in words
        for key, sep, value in [word.partition("=")]
    ]


def _place(key: str) -> str:
    """Return where the key of an override puts its value: alg.of for alg@alg.of."""
    return key.lstrip("+").rpartition("@")[2]


def _above(place: str) -> list[str]:
    """Return what a place is inside: a and a.b for a.b.c."""
    names = place.split(".")
    return [".".join(names[:n]) for n in range(1, len(names))]


def _is_sweep(word: str) -> bool:
    try:
        return bool(OverridesParser.create().parse_override(word).is_sweep_override())
    except HydraException:
        return False


def _with_parts_of_noise(words: Sequence[str]) -> list[str]:
    """Return overrides with the options that `noise.of` names, and their settings, as parts of the noise."""
    lists = lists_of_parts(words)
    if not is_mixed(words) or not (lists or any(word.startswith("noise=") for word in words)):
        return [*words]
    there, names = _parts_of_mixed(), parts_named(lists)
    known = names if lists else there
    translated = [re.sub(r"^(\+{0,2})noise\.(\w+)\.", partial(_part, known), word) for word in words]
    added = [f"+{PART}{name}={name}" for name in names if name not in there]
    return [*translated, *(word for word in added if word not in words)]


@cache
def _parts_of_mixed() -> tuple[str, ...]:
    """Return the names of the parts that `noise=mixed` has of itself."""
    return tuple(name.partition("@")[0] for name in OmegaConf.load(CONF / "noise" / "mixed.yaml").defaults)


def _part(names: Collection[str], match: re.Match[str]) -> str:
    return f"{match[1]}noise.parts.{match[2]}." if match[2] in names else match[0]


@cache
def nested_groups() -> tuple[str, ...]:
    """Return the config groups inside other groups, such as "train/loss"."""
    folders = (path for path in CONF.glob("*/*") if path.is_dir() and path.parent.name != "hydra")
    return tuple(sorted(f"{path.parent.name}/{path.name}" for path in folders if any(path.glob("*.yaml"))))


def _translated(word: str) -> str:
    match = re.fullmatch(r"(\+{0,2})([\w.]+)=(.*)", word, re.DOTALL)
    if match is None:
        return word
    prefix, key, value = match.groups()
    if re.fullmatch(WRAPPED, key) and not value.startswith(("{", "[")):
        return f"alg@{key}={value}"
    if key in MOVED:
        return f"{prefix}{MOVED[key]}={value}"
    group = key.replace(".", "/")
    if group not in nested_groups() or value.startswith(("{", "[")):
        return word
    has_none = (CONF / group / "none.yaml").exists()
    options = re.sub(r"\bnull\b", "none", value) if has_none else value
    return f"{group}={options}"
