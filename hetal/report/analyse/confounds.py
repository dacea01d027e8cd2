"""Confounds: settings that differ between compared runs other than the strategy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from hetal.report.load.configs import (
    SETTING,
    always_set_by_strategy,
    differing,
    group,
    set_by_strategy,
    value_text,
)
from hetal.report.load.labelling import form_of, rest_of
from hetal.report.load.records import Run


def confounds_of_pair(first: Mapping[int, Run], second: Mapping[int, Run]) -> tuple[str, ...]:
    """Return the settings that differ between two strategies of one setting other than the strategy.

    What a strategy's own YAML sets belongs to the strategy, see `set_by_strategy`. Of one strategy in two forms, the
    group of settings in which these differ is what is compared, and no confound.

    Args:
        first: a strategy's runs by seed.
        second: the other's.
    """
    if not first or not second:
        return ()
    a, b = next(iter(first.values())), next(iter(second.values()))
    if a.choices["alg"] != b.choices["alg"]:
        differ = [key for key in differing([a.config, b.config]) if group(key) not in ("alg", *SETTING)]
        return tuple(key for key in differ if not set_by_strategy(a, b, key))
    differ = [key for key in differing([a.config, b.config]) if group(key) not in SETTING]
    return tuple(differ) if len({group(key) for key in differ}) > 1 else ()


def confounds_of(runs: Sequence[Run]) -> list[str]:
    """Return sentences on what differs along with the strategy, setting by setting.

    Args:
        runs: labelled, see `hetal.report.load.labelling.label`.
    """
    settings: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        settings[run.setting].append(run)
    return [
        f"{name}: {sentence}"
        for name, members in settings.items()
        for sentence in [*_differing_settings(members), *_not_comparable(members)]
    ]


def _differing_settings(members: Sequence[Run]) -> list[str]:
    """Return settings that differ between strategies, and neither within one nor because of them."""
    forms = {form_of(run): run for run in members}
    rest = rest_of(forms)
    within: set[str] = set()
    for alg in {alg for alg, _ in forms}:
        within |= set(differing([config for form, config in rest.items() if form[0] == alg]))
    others = [{k: v for k, v in config.items() if group(k) != "alg"} for config in rest.values()]
    return [
        _sentence(key, {alg: value_text(rest[alg, config], key) for alg, config in forms})
        for key in differing(others)
        if key not in within and not always_set_by_strategy(key, list(forms.values()))
    ]


def _not_comparable(members: Sequence[Run]) -> list[str]:
    """Return where runs of one setting have other versions, stopped early, or had other data at one seed."""
    sentences = []
    for key in sorted({key for run in members for key in run.made_by}):
        values: dict[str, str] = {}
        # A user's own code is on record only of the runs that it took part in; it is compared among these.
        for run in (run for run in members if key in run.made_by):
            version = run.made_by[key]
            values[run.label] = version if values.get(run.label, version) == version else "several"
        if len(set(values.values())) > 1 or "several" in values.values():
            sentences.append(_sentence(key, values))
    sentences += [
        f"{run.label} stopped early at seed {run.seed}, at {run.rounds[-1]['n_labelled']} labels: its mean ends there"
        for run in members
        if any(row.get("n_asked", 0) > row.get("n_bought", 0) for row in run.rounds)
    ]
    for label in dict.fromkeys(run.label for run in members):
        sees = dict.fromkeys(what for run in members if run.label == label for what in run.sees)
        sentences += [f"{label}: {what}" for what in sees]
    pools: dict[int, set[str]] = defaultdict(set)
    for run in members:
        pools[run.seed].add(run.data)
    if seeds := sorted(seed for seed, data in pools.items() if len(data) > 1):
        sentences.append(f"not all runs had the same data at seed {', '.join(map(str, seeds))}")
    return sentences


def _sentence(key: str, values: Mapping[str, str]) -> str:
    """Return a sentence on a value that differs along with the strategy."""
    texts = list(values.values())
    common = max(texts, key=texts.count)
    odd = [f"{value} with {name}" for name, value in values.items() if value != common]
    return f"{key} is {common}, but {', '.join(odd)}" if odd else f"{key} is {common}"
