"""One run of an experiment, written to its record and followed by the console, the tracker and other watchers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from rich.console import Console

from hetal.experiment import Experiment, Setup
from hetal.loop import run
from hetal.machine.signals import SafeStop
from hetal.record.writer import Record
from hetal.train.precision import lacks_bfloat16
from hetal.watch.console import Display, show_finished
from hetal.watch.curve import draw_curve
from hetal.watch.pictures import Pictures
from hetal.watch.profiler import Profiler
from hetal.watch.tracker import Tracker
from hetal.watch.watcher import StopBetweenEpochs, Watcher, Watchers


def run_on_record(
    experiment: Experiment,
    record: Record,
    tracker: Tracker,
    device: torch.device,
    console: Console,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any] | None:
    """Run an experiment, or its missing rounds, and finish its record.

    If a shorter run is on record, the rounds that are the same in the longer one are kept.

    Args:
        experiment: what to run.
        record: of the run, not finished.
        tracker: shows its learning curve.
        device: to compute on.
        console: to show progress on.
        should_stop: a reason to stop besides signals, called after epochs.

    Returns:
        The summary; None if another process has finished the run meanwhile.

    Raises:
        RecordLocked: another process holds the record.
        BadInput: the parts do not fit together, or the record cannot be written.
        Stopped: the run was stopped; all finished rounds are on record.
        Diverged: a loss is not finite.
    """
    config = record.config
    setup = experiment.prepare(device)
    held = record.hold(
        device,
        setup.fingerprint,
        config["force"],
        setup.budget,
        setup.sees,
        setup.task.class_names,
        setup.pool_content,
    )
    with SafeStop(should_stop) as stop, held:
        if record.finished(setup.budget) is not None:
            return None
        following: list[Watcher] = [
            tracker,
            Display(console, record.title, [*notes_on(setup, device), *record.notes]),
            *([Profiler(record.dir)] if config["profile"] else []),
            Pictures(record, config["keep_network"]),
            StopBetweenEpochs(stop),
        ]
        watchers, summary = Watchers(following), None
        try:
            watchers.start(setup, record)
            summary = run(setup, record, watchers)
        finally:
            watchers.finish(summary)
        draw_curve(record.rounds, summary["base_rate"], record.title, record.dir / "curve.png")
        record.finish(summary)
    show_finished(console, record, record.rounds, summary, tracker.where())
    return summary


def notes_on(setup: Setup, device: torch.device) -> Iterator[str]:
    """Yield warnings to show before a run starts."""
    yield from setup.sees
    yield from setup.task.notes
    if setup.learner.precision == "bf16" and lacks_bfloat16(device):
        yield "train.precision=bf16 is slow here: this device computes it in software"
    if absent := setup.absent_classes:
        names = setup.task.class_names
        yield f"the start set holds no label of class {', '.join(names[c] if names else str(c) for c in absent)}"
