"""Hydra's launchers and sweepers from other packages, made to fit: what is not installed is named, and the death of
one Slurm job does not end the wait for the others.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Any

from omegaconf import DictConfig

from hetal.errors import BadInput

# hetal's extra that brings each plugin.
EXTRAS = {
    "hydra_joblib_launcher": "joblib",
    "hydra_submitit_launcher": "slurm",
    "hydra_ray_launcher": "ray",
    "hydra_optuna_sweeper": "optuna",
}


def prepare_launcher(hydra: DictConfig) -> None:
    """Check that the chosen launcher and sweeper are installed, and prepare Slurm's.

    Args:
        hydra: Hydra's own part of the config.

    Raises:
        BadInput: names what to install.
    """
    for kind in ("launcher", "sweeper"):
        plugin = hydra[kind]._target_.split(".")[1]
        if plugin in EXTRAS and not _is_there(f"hydra_plugins.{plugin}"):
            choice = hydra.runtime.choices[f"hydra/{kind}"]
            raise BadInput(f"hydra/{kind}={choice}: not installed; pip install -e '.[{EXTRAS[plugin]}]'")
    if hydra.launcher._target_.endswith(".SlurmLauncher"):
        _wait_for_every_job()
        print(
            "waiting for Slurm; squeue --me shows the jobs, and they go on if this is stopped",
            file=sys.stderr,
        )


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ModuleNotFoundError, ValueError):  # no plugin at all, or one that is blocked
        return False


def _wait_for_every_job() -> None:
    """Let a job that died count as one without a result; what became of it, the sweep's folder tells."""
    from hydra.core.utils import JobReturn, JobStatus
    from submitit import SlurmExecutor, SlurmJob
    from submitit.core.utils import FailedJobError, UncompletedJobError

    class PatientJob(SlurmJob[Any]):  # type: ignore[misc, unused-ignore]  # Any where submitit is not installed
        def results(self) -> list[Any]:
            try:
                found: list[Any] = super().results()
                return found
            except (FailedJobError, UncompletedJobError):
                return [JobReturn(_return_value=None, status=JobStatus.COMPLETED)]

    SlurmExecutor.job_class = PatientJob
