"""What a dry run checks: all that a run checks before it trains, and nothing twice that two jobs of a sweep share."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from hetal.app.compose import build
from hetal.errors import BadInput
from hetal.experiment import set_up
from hetal.machine.device import pick_device
from hetal.machine.gpus import check_places
from hetal.record.writer import Record
from hetal.rng import stream

# What `hetal.experiment.prepare` is given. The seed is left out: which rows it draws makes no setting wrong or right.
PREPARED = ("data", "noise", "model", "train", "finetune", "alg", "n_start", "n_query", "n_end", "device")

# By what was checked in this process: what a run would say, or None where it would begin.
_said: dict[str, str | None] = {}


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
    parts = build(config)
    device = pick_device(parts["device"], parts["threads"])
    check_places(parts["jobs_per_gpu"])
    stream(parts["seed"], "check")
    _check_folder(record)
    data, noise = _key(config, "data"), _key(config, "data", "noise")

    # By the names that the parts themselves have in messages.
    @functools.wraps(getattr(parts["data"], "func", parts["data"]))
    def load(**given: Any) -> Any:
        return _task.get(data, lambda: parts["data"](**given))

    @functools.wraps(getattr(parts["noise"], "func", parts["noise"]))
    def corrupt(*given: Any) -> Any:
        return _pool.get(noise, lambda: parts["noise"](*given))

    shared = {**parts, "data": load, "noise": corrupt}
    name = record.choices["alg"]
    # What was begun goes on with the same rows only.
    if (record.dir / "provenance.json").exists() and not force:
        record.check(device, set_up(parts, name, device).fingerprint)
        return
    key = _key(config, *PREPARED)
    if key not in _said:
        try:
            set_up(shared, name, device)
            _said[key] = None
        except BadInput as error:
            _said[key] = str(error)
    if (said := _said[key]) is not None:
        raise BadInput(said)


def _key(config: Mapping[str, Any], *names: str) -> str:
    return json.dumps({name: config[name] for name in names}, sort_keys=True)


def _check_folder(record: Record) -> None:
    there = next(folder for folder in (record.dir, *record.dir.parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise BadInput(
            f"root={record.config['root']}: cannot write {record.dir}: {there} is not to be written"
        )
