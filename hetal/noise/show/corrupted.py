"""The pool that a run with some settings has, made without a strategy, a network or a record."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from hetal.app.compose import build_part
from hetal.app.library import settings_of
from hetal.app.names import data_name, noise_name
from hetal.experiment import corrupted, load
from hetal.machine.device import pick_device
from hetal.noise.pool import NoisyPool, shuffled
from hetal.oracle import Oracle
from hetal.rng import stream
from hetal.task import Task


@dataclass(frozen=True)
class Corrupted:
    """The pool of a run.

    Attributes:
        title: noise, data and seed, for people.
        task: its training set is the clean one; without the classes that the noise takes out of the task.
        pool: rows in the order that the run has.
        oracle: what is known of every row.
    """

    title: str
    task: Task
    pool: NoisyPool
    oracle: Oracle

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes; their numbers where they have none."""
        return self.task.class_names or tuple(map(str, range(self.task.n_classes)))


def corrupted_by(*overrides: str, config_dir: str | os.PathLike[str] | None = None) -> Corrupted:
    """Return the pool of the run that these words start.

    Args:
        overrides: words of the command line, such as "noise=symmetric", "noise.rate=0.2".
        config_dir: a folder of the user's own configs.

    Raises:
        BadInput: in one line; the settings, the data or the noise are wrong.
    """
    config, choices = settings_of(*overrides, config_dir=config_dir)
    pick_device("cpu", config["threads"])
    seed, cpu = config["seed"], torch.device("cpu")
    task = load(build_part(config, "data"), seed, cpu)
    task, pool = corrupted(task, build_part(config, "noise"), seed, cpu)
    pool = shuffled(pool, stream(seed, "order"))
    factor = config["noise"].get("factor")
    names = noise_name(config, choices["noise"]), data_name(config, choices["data"])
    title = f"noise {names[0]}{'' if factor is None else f' x{factor:g}'}, data {names[1]}, seed {seed}"
    return Corrupted(title, task, pool, Oracle(pool))
