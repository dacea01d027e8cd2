"""What a dry run checks: all that a run checks before it trains, and nothing twice that two jobs of a sweep share."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from hetal.app.compose import build_experiment, build_part
from hetal.errors import BadInput
from hetal.experiment import Experiment
from hetal.machine.device import pick_device
from hetal.machine.gpus import check_slots
from hetal.record.writer import Record
from hetal.rng import stream

# What `Experiment.prepare` depends on. The seed is left out: which rows it draws makes no setting wrong or right.
PREPARED = ("data", "noise", "model", "train", "finetune", "alg", "n_start", "n_query", "n_end", "device")

# By what was checked in this process: what a run would say, or None where it would begin.
_refusals: dict[str, str | None] = {}


class _Last:
    """The one thing made last; a sweep comes to jobs that share it one after the other."""

    def __init__(self) -> None:
        self._key: str | None = None
        self._value: Any = None

    def get(self, key: str, make: Callable[[], Any]) -> Any:
        """Return what was made for `key`, or make it."""
        if self._key != key:
            self._key = self._value = None  # two need not be in memory
            self._value = make()
            self._key = key
        return self._value


_task, _pool = _Last(), _Last()


def check_run(config: Mapping[str, Any], record: Record, force: bool) -> None:
    """Check what a run would check before its first round. Nothing is written.

    Args:
        config: the resolved config, whose types have been checked.
        record: its record, not finished.
        force: it would begin anew, whatever is on record.

    Raises:
        BadInput: what the run would say.
    """
    build_part(config, "tracker")
    experiment = build_experiment(config, record.choices["alg"])
    device = pick_device(config["device"], config["threads"])
    check_slots(config["jobs_per_gpu"])
    stream(config["seed"], "check")
    _check_folder(record)
    # What was begun goes on with the same rows only.
    if (record.dir / "provenance.json").exists() and not force:
        record.check(device, experiment.prepare(device).fingerprint)
        return
    key = _key(config, *PREPARED)
    if key not in _refusals:
        try:
            _sharing(experiment, config).prepare(device)
            _refusals[key] = None
        except BadInput as error:
            _refusals[key] = str(error)
    if (refusal := _refusals[key]) is not None:
        raise BadInput(refusal)


def _sharing(experiment: Experiment, config: Mapping[str, Any]) -> Experiment:
    """Return an experiment that takes its task and its pool from the one before where these are the same."""
    data, noise = _key(config, "data"), _key(config, "data", "noise")

    # By the names that the parts themselves have in messages.
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
    there = next(folder for folder in (record.dir, *record.dir.parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise BadInput(
            f"root={record.config['root']}: cannot write {record.dir}: {there} is not to be written"
        )
