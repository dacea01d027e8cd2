"""One run from its parts to its record, with everything that watches it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from rich.console import Console

from hetal.experiment import set_up
from hetal.loop import run
from hetal.machine.signals import SafeStop
from hetal.record.writer import Record
from hetal.train.precision import lacks_bfloat16
from hetal.watch.console import Display, show_finished
from hetal.watch.curve import draw_curve
from hetal.watch.profiler import Trace


def conduct(
    parts: Mapping[str, Any],
    record: Record,
    device: torch.device,
    console: Console,
    also: Callable[[], bool] | None = None,
) -> dict[str, Any] | None:
    """Run the experiment of `parts`, or what is missing of it, and finish its record.

    Where a shorter run is on record, what a longer one makes alike is kept.

    Args:
        parts: see `hetal.app.compose.build`.
        record: not finished.
        device: where to compute.
        console: where to show how it goes.
        also: a reason to stop that is no signal, asked after every epoch.

    Returns:
        The summary; None where nothing was left to do, since another process has been faster.

    Raises:
        Held: another process holds the record.
        BadInput: the parts do not fit together, or the record cannot be written.
        Stopped: it was asked to stop; all finished rounds are on record.
        Diverged: a loss was not finite.
    """
    tracker = parts["tracker"]
    setup = set_up(parts, record.choices["alg"], device)
    stop = SafeStop(also=also or (lambda: False))
    trace = Trace(record.dir if parts["profile"] else None)
    with stop, record.hold(device, setup.fingerprint, parts["force"], setup.budget):
        if record.finished(setup.budget) is not None:
            return None
        summary = None
        try:
            tracker.start(record, setup)
            with trace, Display(record.title, setup.budget, len(setup.pool), console) as display:
                if setup.learner.precision == "bf16" and lacks_bfloat16(device):
                    display.note("train.precision=bf16 is slow here: this device computes it in software")
                if absent := setup.absent_classes:
                    display.note(f"the start set holds no label of class {', '.join(map(str, absent))}")
                for note in record.notes:
                    display.note(note)
                display.resume(record.rounds)
                summary = run(setup, record, tracker, display, stop, trace, parts["keep_network"])
        finally:
            tracker.finish(summary)
        draw_curve(record.rounds, summary["base_rate"], record.title, record.dir / "curve.png")
        record.finish(summary)
    show_finished(console, record.rounds, summary, record.dir, tracker.where())
    return summary
