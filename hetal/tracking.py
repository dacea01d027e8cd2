"""Trackers: where learning curves are shown beside the record. The record never depends on them."""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from hetal import tracked
from hetal.errors import BadInput
from hetal.record import Record
from hetal.rounds import Round
from hetal.secrecy import redacted
from hetal.setup import Setup

# What wandb would send of its own accord is left out: which files the run was started from, what is installed, what
# was printed, what the machine is and how busy. `tracker.settings` can ask for any of it.
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
    "init_timeout": 30,
    "x_transaction_log_flush_interval": 0.5,
}


class Tracker(ABC):
    """Follows one run from start to finish."""

    @abstractmethod
    def start(self, record: Record, setup: Setup) -> None:
        """Begin, or go on with, the run of `setup` that `record` keeps; show what is on record and not shown yet."""

    @abstractmethod
    def log(self, row: Round) -> None:
        """Show a round that the record has entered."""

    @abstractmethod
    def finish(self, summary: dict[str, Any] | None) -> None:
        """End the run: with its summary, or with None where it was cut short."""

    def where(self) -> str | None:
        """Return a line that says where the curves are; None where there is nothing to say."""
        return None


class NullTracker(Tracker):
    """Tracks nothing."""

    def start(self, record: Record, setup: Setup) -> None:
        """Do nothing."""

    def log(self, row: Round) -> None:
        """Do nothing."""

    def finish(self, summary: dict[str, Any] | None) -> None:
        """Do nothing."""


class WandbTracker(Tracker):
    """One Weights & Biases run per run, with the number of labels as x axis and the round as step.

    The record is the truth, and W&B a copy of it, in which every round is there exactly once however often the run
    was killed: an offline log is written anew from the record; online, what the server lacks is sent.

    Args:
        project: W&B project; what W&B would refuse is refused here, before anything is trained.
        entity: W&B user or team; None is the account's default.
        mode: "offline" writes to the run's folder for a later `wandb sync`; "online" uploads; "disabled" does nothing.
        images: how many of the images bought are shown each round; 0 shows none.
        settings: of `wandb.Settings`, in place of hetal's own.

    Raises:
        BadInput: an unknown mode, a project's name that W&B refuses, or a negative number of images.
    """

    def __init__(
        self, project: str, entity: str | None, mode: str, images: int, settings: dict[str, Any]
    ) -> None:
        if mode not in ("online", "offline", "disabled"):
            raise BadInput(f"tracker.mode={mode}: must be online, offline or disabled")
        if len(project) > 128 or set(project) & set("/\\#?%:"):
            raise BadInput(
                f"tracker.project={project}: must be up to 128 characters, none of them / \\ # ? % :"
            )
        if images < 0:
            raise BadInput(f"tracker.images={images}: must not be negative")
        self.project = project
        self.entity = entity
        self.mode = mode
        self.images = images
        self.settings = settings
        self._opening: Future[Any] | None = None

    def start(self, record: Record, setup: Setup) -> None:
        """Open the W&B run. That takes a second or two, and goes on while the first round trains."""
        if self.mode == "disabled":
            return
        self._record, self._setup = record, setup
        thread = ThreadPoolExecutor(1)
        self._opening = thread.submit(self._open, tuple(record.rounds))
        thread.shutdown(wait=False)
        if self.mode == "online" or self.settings:
            self._opening.result()  # no account, no server, no such setting: said before the training, not after it

    def log(self, row: Round) -> None:
        """Log one history row."""
        if self._opening is not None:
            self._log(self._opening.result(), row)

    def finish(self, summary: dict[str, Any] | None) -> None:
        """Write the summary and close the run; without one, the run is marked as failed."""
        if self._opening is None or (summary is None and self._opening.exception() is not None):
            return
        run = self._opening.result()
        if summary is not None:
            run.summary.update(tracked.summary_values(self._record, summary))
        run.finish(exit_code=0 if summary is not None else 1)

    def where(self) -> str | None:
        """Say how to upload an offline run, or where an online one is."""
        if self._opening is None:
            return None
        run = self._opening.result()
        return str(run.url) if self.mode == "online" else f"wandb sync {Path(run.settings.sync_dir)}"

    def _open(self, rounds: tuple[Round, ...]) -> Any:
        """Open the run and show of `rounds` what it lacks."""
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # to its makers, of errors in wandb itself
        import wandb  # a second of imports, which other trackers need not pay

        record = self._record
        earlier = list((record.dir / "wandb").glob("run-*/files/media"))
        if self.mode == "offline":
            for old in (record.dir / "wandb").glob("offline-run-*"):
                shutil.rmtree(old, ignore_errors=True)
        try:
            run = wandb.init(
                project=self.project,
                entity=self.entity,
                mode=self.mode,  # type: ignore[arg-type]
                dir=record.dir,
                id=f"{record.hash}-{record.id}",
                resume="allow",
                name=record.title,
                group=record.group,
                job_type=record.choices["alg"],
                config=tracked.settings(record),
                settings=wandb.Settings(**{**QUIET, **self.settings}),
            )
        except Exception as error:  # errors of its service process are of no public class
            given = "".join(f" tracker.settings.{key}={value}" for key, value in self.settings.items())
            said = redacted(" ".join(str(error).split()))
            raise BadInput(f"tracker.mode={self.mode}{given}: W&B says: {said}") from None
        run.define_metric("n_labelled", hidden=True)
        run.define_metric("*", step_metric="n_labelled")
        if earlier and self.mode == "online":
            # What was killed may have sent a row and not its images; what is sent again replaces itself.
            for folder in earlier:
                shutil.copytree(folder, Path(run.dir) / "media", dirs_exist_ok=True)
            run.save(f"{run.dir}/media/*/*", base_path=run.dir, policy="now")
        for row in rounds[run.starting_step :]:
            self._log(run, row)
        return run

    def _log(self, run: Any, row: Round) -> None:
        import wandb

        bought = self._record.bought[: row.round + 2]  # the start set comes first
        values = tracked.history(row, bought, self._setup.oracle.clean_share)
        if row.bought_per_class is not None:
            edges = np.arange(len(row.bought_per_class) + 1) - 0.5
            values["bought_per_class"] = wandb.Histogram(np_histogram=(np.array(row.bought_per_class), edges))
        images_M = self._setup.pool.images_M
        if row.n_bought and self.images and tracked.are_pictures(images_M):
            values["bought"] = [
                wandb.Image(picture, caption=words)
                for picture, words in tracked.sample(bought[-1], images_M, self.images)
            ]
        # Committed at once: a row that waits for the next one would be lost in a kill.
        run.log(values, step=row.round, commit=True)
