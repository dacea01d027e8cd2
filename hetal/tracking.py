"""Trackers: where learning curves are shown beside the record. The record never depends on them."""

from __future__ import annotations

import dataclasses
import shutil
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from hetal.errors import BadInput
from hetal.record import Record
from hetal.rounds import Round


class Tracker(ABC):
    """Follows one run from start to finish."""

    @abstractmethod
    def start(self, record: Record, base_rate: float) -> None:
        """Begin, or go on with, the run that `record` keeps, and show what is on record and not shown yet.

        `base_rate` is the pool's share of clean rows.
        """

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

    def start(self, record: Record, base_rate: float) -> None:
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
        project: W&B project.
        entity: W&B user or team; None is the account's default.
        mode: "offline" writes to the run's folder for a later `wandb sync`; "online" uploads; "disabled".

    Raises:
        BadInput: an unknown mode.
    """

    def __init__(self, project: str, entity: str | None, mode: str) -> None:
        if mode not in ("online", "offline", "disabled"):
            raise BadInput(f"tracker.mode={mode}: must be online, offline or disabled")
        self.project = project
        self.entity = entity
        self.mode = mode
        self._run: Any = None
        self._base_rate = 0.0

    def start(self, record: Record, base_rate: float) -> None:
        """Open the W&B run; grouped by all that a seed does not change."""
        import wandb  # a second of imports, which other trackers need not pay

        self._base_rate = base_rate
        choices = record.choices
        if self.mode == "offline":
            for old in (record.dir / "wandb").glob("offline-run-*"):
                shutil.rmtree(old, ignore_errors=True)
        try:
            self._run = wandb.init(
                project=self.project,
                entity=self.entity,
                mode=self.mode,  # type: ignore[arg-type]
                dir=record.dir,
                id=f"{record.hash}-{record.id}",
                resume="allow",
                name=record.dir.name,
                group=record.group,
                job_type=choices["alg"],
                tags=[f"{group}:{choice}" for group, choice in choices.items()],
                config={**record.config, "choice": choices},
                settings=wandb.Settings(
                    silent=True,
                    init_timeout=30,
                    x_transaction_log_flush_interval=0.5,
                    disable_git=True,
                    console="off",
                ),
            )
        except Exception as error:  # errors of its service process are of no public class
            raise BadInput(f"tracker.mode={self.mode}: W&B says: {' '.join(str(error).split())}") from None
        self._run.define_metric("n_labelled", hidden=True)
        self._run.define_metric("*", step_metric="n_labelled")
        for row in record.rounds[self._run.starting_step :]:
            self.log(row)

    def log(self, row: Round) -> None:
        """Log one history row."""
        values = dataclasses.asdict(row)
        values.pop("bought_per_class")
        flat = {k: v for k, v in values.items() if v is not None and not isinstance(v, dict)}
        seconds = {f"seconds/{phase}": s for phase, s in row.seconds.items()}
        # Committed at once: a row that waits for the next one would be lost in a kill.
        self._run.log({**flat, **seconds, "base_rate": self._base_rate}, step=row.round, commit=True)

    def finish(self, summary: dict[str, Any] | None) -> None:
        """Write the summary and close the run; without one, the run is marked as failed."""
        if self._run is None:
            return
        if summary is not None:
            self._run.summary.update({k: v for k, v in summary.items() if v is not None})
        self._run.finish(exit_code=0 if summary is not None else 1)

    def where(self) -> str | None:
        """Say how to upload an offline run, or where an online one is."""
        if self._run is None or self.mode == "disabled":
            return None
        if self.mode == "online":
            return str(self._run.url)
        return f"wandb sync {Path(self._run.settings.sync_dir)}"
