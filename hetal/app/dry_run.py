"""Dry runs: all checks that a run makes before training, without repeating those that jobs of a sweep share."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from hetal.app.compose import GROUPS, build_experiment, build_part
from hetal.errors import BadInput
from hetal.experiment import Experiment
from hetal.guard.footprint import Footprint
from hetal.machine.device import pick_device
from hetal.machine.gpus import check_slots
from hetal.record.writer import Record
from hetal.rng import stream

# Settings that decide whether `Experiment.prepare` succeeds. The seed is left out: it only changes which rows are
# drawn.
PREPARED = (
    *(group for group in GROUPS if group != "tracker"), "n_start", "n_query", "n_end", "measures", "device"
)  # fmt: skip

# By the settings checked in this process: the error message of a run, or what it holds in memory if it would start.
_checked: dict[str, str | Footprint] = {}


class _LastValue:
    """A cache of one value, the last: jobs of a sweep that share it usually follow one another."""

    def __init__(self) -> None:
        self._key: str | None = None
        self._value: Any = None

    def get(self, key: str, make: Callable[[], Any]) -> Any:
        """Return the cached value of `key`, or make it."""
        if self._key != key:
            self._key = self._value = None  # so that two are never in memory
            self._value = make()
            self._key = key
        return self._value


_task, _pool = _LastValue(), _LastValue()


def check_run(config: Mapping[str, Any], record: Record, force: bool) -> Footprint:
    """Make all checks of a run before its first round, and return the memory that it holds; nothing is written.

    Args:
        config: the resolved config, whose types have been checked.
        record: of the run, not finished.
        force: whether the run would replace what is on record.

    Raises:
        BadInput: the error that the run would raise.
    """
    build_part(config, "tracker")
    experiment = build_experiment(config, record.choices["alg"])
    device = pick_device(config["device"], config["threads"])
    check_slots(config["jobs_per_gpu"])
    stream(config["seed"], "check")
    _check_folder(record)
    # A run that was begun can only continue with the same data.
    if (record.dir / "provenance.json").exists() and not force:
        setup = experiment.prepare(device)
        record.check(device, setup.fingerprint)
        return setup.memory
    key = _key(config, *PREPARED)
    if key not in _checked:
        try:
            _checked[key] = _with_cache(experiment, config).prepare(device).memory
        except BadInput as error:
            _checked[key] = str(error)
    if isinstance(found := _checked[key], str):
        raise BadInput(found)
    return found


def _with_cache(experiment: Experiment, config: Mapping[str, Any]) -> Experiment:
    """Return the experiment with its task and corrupted pool cached for the next job, if these are the same."""
    data, noise = _key(config, "data"), _key(config, "data", "noise")

    # `wraps` keeps the names of the parts for messages.
    @functools.wraps(getattr(experiment.data, "func", experiment.data))
    def load(**given: Any) -> Any:
        return _task.get(data, lambda: experiment.data(**given))

    @functools.wraps(getattr(experiment.noise, "func", experiment.noise))
    def corrupt(*given: Any) -> Any:
        return _pool.get(noise, lambda: experiment.noise(*given))

    return dataclasses.replace(experiment, data=load, noise=corrupt)


def _key(config: Mapping[str, Any], *names: str) -> str:
    return json.dumps({name: config[name] for name in names}, sort_keys=True)


def _check_folder(record: Record) -> None:
    existing = next(folder for folder in (record.dir, *record.dir.parents) if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise BadInput(
            f"root={record.config['root']}: cannot write {record.dir}: {existing} is not to be written"
        )
