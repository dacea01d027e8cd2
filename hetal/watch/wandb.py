"""Trackers: learning curves on Weights & Biases, copied from the record, which never depends on them."""

from __future__ import annotations

import os
import shutil
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from hetal.errors import BadInput
from hetal.experiment import Setup
from hetal.machine.files import remove_folders
from hetal.record.history import History
from hetal.record.redact import redacted
from hetal.record.schema import Round
from hetal.record.writer import Record
from hetal.watch import wandb_media
from hetal.watch.tracker import Tracker

# Switch off what wandb sends by default: source files, installed packages, console output, and the machine and its
# load. `tracker.settings` can switch any of it on.
QUIET = {
    "silent": True,
    "console": "off",
    "disable_git": True,
    "disable_code": True,
    "save_code": False,
    "program": "launch.py",
    "host": "",
    "x_disable_meta": True,
    "x_disable_machine_info": True,
    "x_disable_stats": True,
    "x_save_requirements": False,
    "x_transaction_log_flush_interval": 0.5,
}

# Older names of the modes, which W&B still accepts.
MODES = {"dryrun": "offline", "run": "online"}

# Environment variables that wandb and hetal set themselves.
INTERNAL_VARIABLES = ("WANDB_SERVICE", "WANDB_ERROR_REPORTING")


class WandbTracker(Tracker):
    """Weights & Biases: one W&B run per run, with the number of labels as x axis and the round as step.

    W&B gets a copy of the record, with every round exactly once however often the run was killed: an offline log is
    written again from the record; online, the rounds that the server lacks are sent. Under the agent of a W&B sweep,
    the W&B run is the agent's, and gets all rounds on record.

    Args:
        project: W&B project; names that W&B refuses are refused here, before training.
        entity: W&B user or team; None is the account's default.
        mode: "offline" writes to the run's folder for a later `wandb sync`; "online" uploads; "disabled" does nothing.
        group: W&B group; None groups the runs that differ only in the seed.
        job_type: W&B job type; None is the strategy.
        run_name: W&B name of the run; None is hetal's title.
        images: number of bought images shown per round; 0 shows none.
        settings: `wandb.Settings` that override hetal's.

    Raises:
        BadInput: an unknown mode, a name that W&B refuses, a negative number of images, or the agent of a W&B sweep
            offline.
    """

    def __init__(
        self,
        project: str,
        entity: str | None,
        mode: str,
        group: str | None,
        job_type: str | None,
        run_name: str | None,
        images: int,
        settings: dict[str, Any],
    ) -> None:
        self.mode = MODES.get(mode, mode)
        if self.mode not in ("online", "offline", "disabled"):
            raise BadInput(f"{_shown('mode', mode)}: must be online, offline or disabled")
        for name, value in (("project", project), ("entity", entity)):
            if value is not None and (not 0 < len(value.strip()) <= 128 or set(value) & set("/\\#?%:")):
                raise BadInput(
                    f"{_shown(name, value)}: must be up to 128 characters, none of them / \\ # ? % :"
                )
        if images < 0:
            raise BadInput(f"tracker.images={images}: must not be negative")
        if self.mode == "offline" and (sweep := os.environ.get("WANDB_SWEEP_ID")):
            raise BadInput(
                f"{_shown('mode', mode)}: the agent of W&B sweep {sweep} (WANDB_SWEEP_ID) gets nothing from a run that "
                "is offline; set tracker.mode=online or WANDB_MODE=online"
            )
        self.project = project
        self.entity = entity
        self.group = group
        self.job_type = job_type
        self.run_name = run_name
        self.images = images
        self.settings = settings
        self._opening: Future[Any] | None = None

    def start(self, setup: Setup, history: History) -> None:
        """Open the W&B run in a thread, since it takes a second or two, while the first round trains."""
        assert isinstance(history, Record)
        self._start(history, history.rounds, setup.oracle.clean_share, setup.pool.images_M)

    def show_finished(self, record: Record, rounds: list[Round], summary: dict[str, Any]) -> None:
        """Send a run that was finished before to the agent of a W&B sweep, without images."""
        if _sweep_agent_run() is not None:
            self._start(record, rounds, summary["base_rate"], None)
            self.finish(summary)

    def _start(self, record: Record, rounds: list[Round], base_rate: float, images_M: Tensor | None) -> None:
        if self.mode == "disabled":
            return
        if _sweep_agent_run() is not None and _in_sweep():
            raise BadInput(
                f"WANDB_SWEEP_ID={os.environ['WANDB_SWEEP_ID']}: the agent of a W&B sweep has one W&B run for one run "
                "of hetal; leave -m out of its command"
            )
        self._record, self._base_rate, self._images_M = record, base_rate, images_M
        thread = ThreadPoolExecutor(1)
        self._opening = thread.submit(self._open, tuple(rounds))
        thread.shutdown(wait=False)
        if self.mode == "online" or self.settings or _user_variables():
            self._opening.result()  # errors such as a missing account are reported before training, not after it

    def round(self, row: Round) -> None:
        """Log the metrics of one round."""
        if self._opening is not None:
            self._log(self._opening.result(), row)

    def finish(self, summary: dict[str, Any] | None) -> None:
        """Write the summary and close the W&B run; without a summary it is marked as failed."""
        if self._opening is None or (summary is None and self._opening.exception() is not None):
            return
        run = self._opening.result()
        if summary is not None:
            run.summary.update(wandb_media.summary_values(self._record, summary))
        run.finish(exit_code=0 if summary is not None else 1)

    def where(self) -> str | None:
        """Return the command that uploads an offline run, or the address of an online one."""
        if self._opening is None:
            return None
        run = self._opening.result()
        return str(run.url) if self.mode == "online" else f"wandb sync {Path(run.settings.sync_dir)}"

    def _open(self, rounds: tuple[Round, ...]) -> Any:
        """Open the W&B run and log those of `rounds` that it lacks."""
        os.environ.setdefault(
            "WANDB_ERROR_REPORTING", "false"
        )  # no reports on wandb's own errors to its developers
        # The wandb service of the parent process, which may have ended since.
        inherited = "wandb" not in sys.modules and "WANDB_SERVICE" in os.environ
        import wandb  # takes a second, so only where it is used

        record = self._record
        agents = _sweep_agent_run()
        name = agents or f"{record.hash}-{record.id}"
        folder = record.dir / "wandb"
        earlier = list(folder.glob(f"run-*-{name}/files/media"))
        if self.mode == "offline":
            remove_folders(folder, f"offline-run-*-{name}")
        defaults = {**QUIET, **({} if os.environ.get("WANDB_INIT_TIMEOUT") else {"init_timeout": 30})}

        def init() -> Any:
            return wandb.init(
                # The agent's environment says which run is its own.
                project=None if agents else self.project,
                entity=None if agents else self.entity,
                id=None if agents else name,
                mode=self.mode,  # type: ignore[arg-type]
                dir=record.dir,
                resume="allow",
                name=self.run_name or record.title,
                group=self.group or record.group,
                job_type=self.job_type or record.strategy,
                config=wandb_media.settings(record),
                settings=wandb.Settings(**{**defaults, **self.settings}),
            )

        try:
            try:
                run = init()
            except Exception:
                if not inherited:
                    raise
                os.environ.pop("WANDB_SERVICE", None)
                run = init()
        except Exception as error:  # errors of wandb's service process have no public class
            settings = "".join(f" tracker.settings.{key}={value}" for key, value in self.settings.items())
            variables = f" (set, and read by it: {', '.join(names)})" if (names := _user_variables()) else ""
            message = redacted(" ".join(str(error).split()))
            raise BadInput(f"tracker.mode={self.mode}{settings}: W&B says: {message}{variables}") from None
        run.define_metric("n_labelled", hidden=True)
        run.define_metric("*", step_metric="n_labelled")
        if earlier and self.mode == "online":
            # A killed process may have sent a row without its images; files that are sent again replace themselves.
            for folder in earlier:
                shutil.copytree(folder, Path(run.dir) / "media", dirs_exist_ok=True)
            run.save(f"{run.dir}/media/*/*", base_path=run.dir, policy="now")
        for row in rounds[run.starting_step :]:
            self._log(run, row)
        return run

    def _log(self, run: Any, row: Round) -> None:
        import wandb

        purchases = self._record.purchases[: row.round + 2]  # the start set comes first
        values = wandb_media.history(row, purchases, self._base_rate, self._record.pool)
        if row.bought_per_class is not None:
            edges = np.arange(len(row.bought_per_class) + 1) - 0.5
            values["bought_per_class"] = wandb.Histogram(np_histogram=(np.array(row.bought_per_class), edges))
        images_M = self._images_M
        if row.n_bought and self.images and images_M is not None and wandb_media.are_pictures(images_M):
            values["bought"] = [
                wandb.Image(picture, caption=caption)
                for picture, caption in wandb_media.sample(purchases[-1], images_M, self.images)
            ]
        # Committed at once: a pending row would be lost if the process were killed.
        run.log(values, step=row.round, commit=True)


def _shown(setting: str, value: str) -> str:
    """Return the setting and its value, and the environment variable that the value comes from, if any."""
    variable = f"WANDB_{setting.upper()}"
    return f"tracker.{setting}={value}" + (f" ({variable})" if os.environ.get(variable) == value else "")


def _user_variables() -> list[str]:
    """Return the names of the W&B environment variables that the user has set."""
    return sorted(name for name in os.environ if name.startswith("WANDB_") and name not in INTERNAL_VARIABLES)


def _sweep_agent_run() -> str | None:
    """Return the id of the W&B run that the agent of a W&B sweep has begun; None without an agent."""
    sweep, run = (os.environ.get(f"WANDB_{name}_ID") for name in ("SWEEP", "RUN"))
    if sweep and not run:
        raise BadInput(f"WANDB_SWEEP_ID={sweep}: set, but no WANDB_RUN_ID as by `wandb agent`; unset it")
    return run if sweep else None


def _in_sweep() -> bool:
    """Return whether this run is a job of a hetal sweep."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN
