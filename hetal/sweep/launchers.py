"""Preparation of Hydra's launchers and sweepers before a sweep starts.

Jobs on one machine run under hetal's own launcher, missing plugins are named with how to install them, and on Slurm or
Ray a job that dies does not end the wait for the others.
"""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace
from typing import Any

from hydra.core.plugins import Plugins
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from hetal.errors import BadInput
from hetal.machine.cores import cores
from hetal.machine.installation import how_to_install
from hetal.sweep.local import LocalLauncher

# The extra of hetal that installs each plugin.
EXTRAS = {
    "hydra_submitit_launcher": "slurm",
    "hydra_ray_launcher": "ray",
    "hydra_optuna_sweeper": "optuna",
}

LOCAL = f"{LocalLauncher.__module__}.{LocalLauncher.__name__}"

# Launchers for one machine that hetal's own replaces, since with these one job that dies would take others with it.
REPLACED = (".BasicLauncher", ".JoblibLauncher")


def prepare_launcher(config: DictConfig) -> None:
    """Check that the chosen launcher and sweeper are installed and can start, and prepare them.

    Args:
        config: of the sweep, including Hydra's part, in which the launcher may be replaced.

    Raises:
        BadInput: names what to install, or the setting that is wrong.
    """
    hydra = config.hydra
    for kind in ("launcher", "sweeper"):
        plugin = hydra[kind]._target_.split(".")[1]
        if plugin in EXTRAS and not is_installed(f"hydra_plugins.{plugin}"):
            choice = hydra.runtime.choices[f"hydra/{kind}"]
            raise BadInput(f"hydra/{kind}={choice}: not installed; {how_to_install(EXTRAS[plugin])}")
    if hydra.launcher._target_.endswith(REPLACED):
        n_jobs = OmegaConf.select(hydra.launcher, "n_jobs", default=1)
        with read_write(config), open_dict(config):
            hydra.launcher = {"_target_": LOCAL, "n_jobs": n_jobs, "start": None}
    if hydra.launcher._target_ == LOCAL:
        _register()
        with read_write(config), open_dict(config):
            hydra.launcher.n_jobs = _n_jobs(hydra.launcher)
        if hydra.launcher.start not in (None, "fork", "spawn"):
            raise BadInput(f"hydra.launcher.start={hydra.launcher.start}: must be fork, spawn or null")
    if hydra.launcher._target_.endswith(".SlurmLauncher"):
        _wait_for_every_job()
        print(
            "waiting for Slurm; squeue --me shows the jobs, and they go on if this is stopped",
            file=sys.stderr,
        )
    if hydra.launcher._target_.endswith(".RayLauncher"):
        _wait_for_every_ray_job()


def _register() -> None:
    """Register hetal's launcher with Hydra, which accepts plugins only from the package `hydra_plugins`.

    An installed package of that name would be scanned by every Hydra application of the environment.
    """
    try:
        package = importlib.import_module("hydra_plugins")
    except ImportError:  # no other plugin is installed
        package = sys.modules["hydra_plugins"] = ModuleType("hydra_plugins")
        package.__path__ = []
    name = LocalLauncher.__module__
    sys.modules[name] = sys.modules[prepare_launcher.__module__]
    setattr(package, name.split(".")[1], sys.modules[name])
    Plugins.instance().register(LocalLauncher)


def _n_jobs(launcher: DictConfig) -> int:
    """Return the number of jobs to run at once; -1 means one per core."""
    try:
        n: Any = launcher.n_jobs
    except OmegaConfBaseException as error:  # raised by its resolver, on device, threads or jobs_per_gpu
        raise BadInput(f"hydra.launcher.n_jobs: {' '.join(str(error).split())}") from None
    if n == -1:
        n = cores()
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise BadInput(f"hydra.launcher.n_jobs={n}: must be at least 1, or -1 for one job a core")
    return n


def is_installed(module: str) -> bool:
    """Return whether a module is installed; `find_spec` itself fails if its parent package is not."""
    try:
        return find_spec(module) is not None
    except (ModuleNotFoundError, ValueError):  # no plugin at all, or a blocked one
        return False


def _wait_for_every_job() -> None:
    """Make a Slurm job that died return no result instead of raising; its state is in the sweep's folder."""
    from hydra.core.utils import JobReturn, JobStatus
    from submitit import SlurmExecutor, SlurmJob
    from submitit.core.utils import FailedJobError, UncompletedJobError

    class PatientJob(SlurmJob[Any]):  # type: ignore[misc, unused-ignore]  # Any where submitit is not installed
        def results(self) -> list[Any]:
            try:
                results: list[Any] = super().results()
                return results
            except (FailedJobError, UncompletedJobError):
                return [JobReturn(_return_value=None, status=JobStatus.COMPLETED)]

    SlurmExecutor.job_class = PatientJob


def _wait_for_every_ray_job() -> None:
    """Make a Ray job that died, retries included, return no result instead of raising."""
    import ray
    from hydra.core.utils import JobReturn, JobStatus
    from ray.exceptions import RayError

    def get(run: Any) -> Any:
        try:
            return ray.get(run)
        except RayError:  # the state of the job is in the sweep's folder
            return JobReturn(_return_value=None, status=JobStatus.COMPLETED)

    core: Any = importlib.import_module("hydra_plugins.hydra_ray_launcher._core")
    core.ray = SimpleNamespace(get=get)
