"""Profiler of a run's first round, operation by operation: `profile=true`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch.profiler import profile

from hetal.machine.files import temporary_path, write_atomically
from hetal.watch.watcher import Watcher

# The first epoch includes one-time costs, so it is left out.
FIRST_EPOCH, LAST_EPOCH = 2, 4


class Profiler(Watcher):
    """Traces a few epochs and the query of the first round that this process runs.

    Writes `trace-train.json` and `trace-query.json`, for https://ui.perfetto.dev or chrome://tracing, and for each a
    table of the operations that took the most time, as `.txt`.

    Args:
        folder: to write to.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._training: profile | None = None
        self._queried = False

    def finish(self, summary: dict[str, Any] | None) -> None:
        """End the trace in progress, if any."""
        self._end_training()

    def epoch(self, epoch: int, accuracy: float) -> None:
        """Start the trace before epoch `FIRST_EPOCH` and end it after `LAST_EPOCH`."""
        if self._queried:
            return
        if epoch == FIRST_EPOCH - 1 and self._training is None:
            self._training = profile()
            self._training.start()
        elif epoch == LAST_EPOCH:
            self._end_training()

    @contextmanager
    def query(self) -> Iterator[None]:
        """Trace the first query, which is made inside the `with` block."""
        if self._queried:
            yield
            return
        self._end_training()
        self._queried = True
        with profile() as traced:
            yield
        self._write(traced, "trace-query")

    def _end_training(self) -> None:
        if self._training is not None:
            self._training.stop()
            self._write(self._training, "trace-train")
            self._training = None

    def _write(self, traced: profile, name: str) -> None:
        temporary = temporary_path(self._folder / f"{name}.json")
        traced.export_chrome_trace(str(temporary))
        temporary.replace(self._folder / f"{name}.json")
        table = traced.key_averages().table(sort_by="self_cpu_time_total", row_limit=25)
        write_atomically(self._folder / f"{name}.txt", lambda file: file.write(table.encode()))
