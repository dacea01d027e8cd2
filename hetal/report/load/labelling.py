"""Names for the strategies and settings of runs.

The settings of a run's config are of three kinds: its strategy, its *setting* (data, noise, factor, model), and the
rest. Where one strategy occurs in several forms within a setting, what differs of the rest becomes part of its label.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hetal.record.identity import times
from hetal.record.schema import marked
from hetal.report.load.configs import ABSENT, SETTING, Config, differing, group, value_text
from hetal.report.load.printable import plain

if TYPE_CHECKING:
    from hetal.report.load.records import Run

# A strategy with one config, by which its runs at all seeds are grouped.
Form = tuple[str, int]


def label(runs: Sequence[Run]) -> list[Run]:
    """Return the runs with names of strategy and setting, ordered by setting; different configs get different names.

    Runs of equal configs share one config object in the result, see `form_of`.
    """
    runs = _shared_configs(runs)
    setting_parts: dict[int, tuple[Any, ...]] = {}
    for run in runs:
        if id(run.config) not in setting_parts:
            items = sorted((k, v) for k, v in run.config.items() if group(k) in SETTING)
            setting_parts[id(run.config)] = tuple(items)
    settings: dict[tuple[Any, ...], list[Run]] = defaultdict(list)
    for run in runs:
        settings[(*_option_names(run), setting_parts[id(run.config)])].append(run)
    names = _setting_names(list(settings))
    labelled = []
    for key, members in settings.items():
        labels = _labels_within(members)
        labelled += [replace(run, label=labels[form_of(run)], setting=names[key]) for run in members]
    return labelled


def form_of(run: Run) -> Form:
    """Return the strategy of a run and the identity of its config object."""
    return run.choices["alg"], id(run.config)


def noise_of(run: Run) -> str:
    """Return the name of a run's noise, with its factor where it has one."""
    return " ".join([run.choices["noise"], *times({"factor": run.config.get("noise.factor")})])


def _shared_configs(runs: Sequence[Run]) -> list[Run]:
    """Let runs of equal configs hold the same object."""
    by_content: dict[str, Config] = {}
    by_id: dict[int, Config] = {}
    shared = []
    for run in runs:
        if id(run.config) not in by_id:
            by_id[id(run.config)] = by_content.setdefault(repr(sorted(run.config.items())), run.config)
        config = by_id[id(run.config)]
        shared.append(run if run.config is config else replace(run, config=config))
    return shared


def _option_names(run: Run) -> tuple[str, ...]:
    return run.choices["data"], noise_of(run), run.choices["model"]


def _setting_names(keys: Sequence[tuple[Any, ...]]) -> dict[tuple[Any, ...], str]:
    """Name every setting; where several share the names of their options, by the values that differ."""
    names = {}
    for options in dict.fromkeys(key[:-1] for key in keys):
        same_options = [key for key in keys if key[:-1] == options]
        configs = [dict(key[-1]) for key in same_options]
        differ = differing(configs)
        for key, config in zip(same_options, configs, strict=True):
            values = [f"{k.split('.', 1)[-1].removeprefix('parts.')}={value_text(config, k)}" for k in differ]
            names[key] = ", ".join([" ".join(options), *values])
    return _unique(names)


def _labels_within(members: Sequence[Run]) -> dict[Form, str]:
    """Label the forms of the strategies of one setting."""
    forms = {form_of(run): run for run in members}
    rest = rest_of(forms)
    labels: dict[Form, str] = {}
    for alg in sorted({alg for alg, _ in forms}):
        own = [form for form in forms if form[0] == alg]
        differ = differing([rest[form] for form in own])
        for form in own:
            name = marked(alg, forms[form].sees)
            labels[form] = ", ".join([name, *_parts(form, own, differ, rest, forms)])
    return _unique(labels)


def rest_of(forms: Mapping[Form, Run]) -> dict[Form, Config]:
    """Return the settings of each form that are not part of the setting in the sense of this module."""
    return {
        form: {k: v for k, v in run.config.items() if group(k) not in SETTING} for form, run in forms.items()
    }


def _parts(
    form: Form,
    own: Sequence[Form],
    differ: Sequence[str],
    rest: Mapping[Form, Config],
    forms: Mapping[Form, Run],
) -> list[str]:
    """Return how a form differs from others of its strategy: by option where that decides the value, else by value."""
    parts: dict[str, str] = {}
    for key in _telling_keys(rest[form], [rest[other] for other in own], differ):
        of = _chosen_group(key, forms[form].choices)
        options = {(forms[other].choices.get(of), str(rest[other].get(key, ABSENT))) for other in own}
        if of in forms[form].choices and len({option for option, _ in options}) == len(options):
            parts[of] = f"{of.replace('/', '.')}={forms[form].choices[of]}"
        else:
            parts[key] = f"{key.removeprefix('alg.')}={value_text(rest[form], key)}"
    return list(parts.values())


def _chosen_group(key: str, choices: Mapping[str, str]) -> str:
    """Return the config group that a setting belongs to, such as "train/loss" for train.loss.q."""
    nested = "/".join(key.split(".")[:2])
    return nested if nested in choices else group(key)


def _telling_keys(config: Config, configs: Sequence[Config], differ: Sequence[str]) -> list[str]:
    """Return which of the keys that differ among `configs` tell `config` from the others.

    A component that is null in some configs is told by its class in the others, and by its own settings only where
    those that have it differ in them.
    """
    keys: dict[str, None] = {}
    for key in differ:
        names = key.split(".")
        parts = [".".join(names[:k]) for k in range(1, len(names))]
        nulls = [part for part in parts if any(part in other for other in configs)]
        keys |= {part: None for part in nulls if part in config or f"{part}._target_" in config}
        values = {str(other[key]) for other in configs if key in other}
        if not nulls or (key in config and len(values) > 1 and names[-1] != "_target_"):
            keys[key] = None
    return list(keys)


def _unique(names: dict[Any, str]) -> dict[Any, str]:
    """Shorten names that are too long, and number equal ones."""
    unique, by_name = {}, defaultdict(list)
    for key, name in names.items():
        by_name[plain(name)].append(key)
    for name, keys in by_name.items():
        for i, key in enumerate(keys):
            unique[key] = f"{name} #{i + 1}" if len(keys) > 1 else name
    return unique
