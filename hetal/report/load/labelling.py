"""Names for strategies and settings, and what differs between runs that are compared.

A run's settings are split in three: its strategy, the *setting* it was tried in (data, noise, factor, model), and the
rest. What of the rest differs between runs of one setting becomes part of the strategy's label where one strategy comes
in several forms, and is flagged where it merely goes along with the strategy and the strategy did not bring it along.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hetal.report.analyse.confounds import ABSENT, SETTING, Config, all_brought, differing, group
from hetal.report.load.plain import plain

if TYPE_CHECKING:
    from hetal.report.load.records import Run

# Characters of a value in a name.
LONGEST_VALUE = 80


def label(runs: Sequence[Run]) -> tuple[list[Run], list[str]]:
    """Name every run's strategy and setting so that different configs have different names.

    Returns:
        The runs, labelled, and sentences on what differs along with the strategy.
    """
    runs = _shared_configs(runs)
    own: dict[int, tuple[Any, ...]] = {}
    for run in runs:
        if id(run.config) not in own:
            own[id(run.config)] = tuple(sorted((k, v) for k, v in run.config.items() if group(k) in SETTING))
    settings: dict[tuple[Any, ...], list[Run]] = defaultdict(list)
    for run in runs:
        settings[(*_names(run), own[id(run.config)])].append(run)
    names = _setting_names(list(settings))
    labelled, flags = [], []
    for key, members in settings.items():
        labels, flagged = _label_within(members)
        here = [replace(run, label=labels[_form(run)], setting=names[key]) for run in members]
        labelled += here
        flags += [f"{names[key]}: {flag}" for flag in [*flagged, *_not_paired(here)]]
    return labelled, flags


def _form(run: Run) -> tuple[str, int]:
    return run.choices["alg"], id(run.config)


def _shared_configs(runs: Sequence[Run]) -> list[Run]:
    """Let runs of equal configs hold the same object, by which they are then grouped."""
    known: dict[str, Config] = {}
    seen: dict[int, Config] = {}
    shared = []
    for run in runs:
        if id(run.config) not in seen:
            seen[id(run.config)] = known.setdefault(repr(sorted(run.config.items())), run.config)
        config = seen[id(run.config)]
        shared.append(run if run.config is config else replace(run, config=config))
    return shared


def _names(run: Run) -> tuple[str, ...]:
    return run.choices["data"], noise_of(run), run.choices["model"]


def noise_of(run: Run) -> str:
    """Name the noise of a run, with its factor where it has one."""
    factor = run.config.get("noise.factor", 0)
    return run.choices["noise"] + (f" x{factor:g}" if isinstance(factor, (int, float)) and factor else "")


def _setting_names(keys: Sequence[tuple[Any, ...]]) -> dict[tuple[Any, ...], str]:
    """Name every setting, by what differs where options of one name were changed by hand."""
    named = {}
    for name in {key[:-1] for key in keys}:
        alike = [key for key in keys if key[:-1] == name]
        configs = [dict(key[-1]) for key in alike]
        differ = differing(configs)
        for key, config in zip(alike, configs, strict=True):
            extra = [f"{k.split('.', 1)[-1]}={_said(config, k)}" for k in differ]
            named[key] = ", ".join([" ".join(name), *extra])
    return _told_apart(named)


def _label_within(members: Sequence[Run]) -> tuple[dict[tuple[str, int], str], list[str]]:
    """Label the forms of the strategies of one setting."""
    forms = {_form(run): run for run in members}
    rest = {
        form: {k: v for k, v in run.config.items() if group(k) not in SETTING} for form, run in forms.items()
    }
    labels: dict[tuple[str, int], str] = {}
    within: set[str] = set()
    for alg in sorted({alg for alg, _ in forms}):
        mine = [form for form in forms if form[0] == alg]
        differ = differing([rest[form] for form in mine])
        within |= set(differ)
        for form in mine:
            labels[form] = ", ".join([alg, *_parts(form, mine, differ, rest, forms)])
    others = [{k: v for k, v in config.items() if group(k) != "alg"} for config in rest.values()]
    flags = [
        _along(key, {alg: _said(rest[alg, of], key) for alg, of in forms})
        for key in differing(others)
        if key not in within and not all_brought(key, list(forms.values()))
    ]
    return _told_apart(labels), flags


def _parts(
    form: tuple[str, int],
    mine: Sequence[tuple[str, int]],
    differ: Sequence[str],
    rest: Mapping[tuple[str, int], Config],
    forms: Mapping[tuple[str, int], Run],
) -> list[str]:
    """Say in what a form differs from others of its strategy: by option where the option decides, else by value."""
    parts: dict[str, str] = {}
    for key in _to_say(rest[form], [rest[other] for other in mine], differ):
        of = group(key)
        options = {(forms[other].choices.get(of), str(rest[other].get(key, ABSENT))) for other in mine}
        if of in forms[form].choices and len({option for option, _ in options}) == len(options):
            parts[of] = f"{of}={forms[form].choices[of]}"
        else:
            parts[key] = f"{key.removeprefix('alg.')}={_said(rest[form], key)}"
    return list(parts.values())


def _to_say(config: Config, alike: Sequence[Config], differ: Sequence[str]) -> list[str]:
    """Return which of the keys in which forms differ tell `config` from the others.

    A part that is null in some forms is told by what it is in the others, and by its own settings only where those
    that have it differ in them.
    """
    keys: dict[str, None] = {}
    for key in differ:
        names = key.split(".")
        parts = [".".join(names[:k]) for k in range(1, len(names))]
        nulls = [part for part in parts if any(part in other for other in alike)]
        keys |= {part: None for part in nulls if part in config or f"{part}._target_" in config}
        values = {str(other[key]) for other in alike if key in other}
        if not nulls or (key in config and len(values) > 1 and names[-1] != "_target_"):
            keys[key] = None
    return list(keys)


def _not_paired(runs: Sequence[Run]) -> list[str]:
    """Say where runs of one setting were not computed alike: by other versions, or on other data at one seed."""
    flags = []
    for key in sorted({key for run in runs for key in run.made_by}):
        values: dict[str, str] = {}
        # Code of a user's own is asked for only where it computed something: others are beside it with good reason.
        for run in (run for run in runs if key in run.made_by):
            said = run.made_by[key]
            values[run.label] = said if values.get(run.label, said) == said else "several"
        if len(set(values.values())) > 1 or "several" in values.values():
            flags.append(_along(key, values))
    flags += [
        f"{run.label} stopped early at seed {run.seed}, at {run.rounds[-1]['n_labelled']} labels, which its mean is of"
        for run in runs
        if any(row.get("n_asked", 0) > row.get("n_bought", 0) for row in run.rounds)
    ]
    pools: dict[int, set[str]] = defaultdict(set)
    for run in runs:
        pools[run.seed].add(run.data)
    if odd := sorted(seed for seed, found in pools.items() if len(found) > 1):
        flags.append(f"not all runs had the same data at seed {', '.join(map(str, odd))}")
    return flags


def _along(key: str, values: Mapping[str, str]) -> str:
    """Say that a setting differs along with the strategy."""
    said = list(values.values())
    common = max(said, key=said.count)
    odd = [f"{value} with {name}" for name, value in values.items() if value != common]
    return f"{key} is {common}, but {', '.join(odd)}" if odd else f"{key} is {common}"


def _said(config: Config, key: str) -> str:
    if key not in config and f"{key}._target_" in config:
        key = f"{key}._target_"
    value = config.get(key, ABSENT)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return plain(str(value).rsplit(".", 1)[-1] if key.endswith("_target_") else value, LONGEST_VALUE)


def _told_apart(names: dict[Any, str]) -> dict[Any, str]:
    """Shorten names that are too long, and number those that more than one thing has."""
    found, seen = {}, defaultdict(list)
    for key, name in names.items():
        seen[plain(name)].append(key)
    for name, keys in seen.items():
        for i, key in enumerate(keys):
            found[key] = f"{name} #{i + 1}" if len(keys) > 1 else name
    return found
