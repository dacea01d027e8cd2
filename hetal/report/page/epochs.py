"""Rounds whose training ended at its cap of epochs, in words."""

from __future__ import annotations

from collections.abc import Sequence

from hetal.report.load.records import Run


def capped(runs: Sequence[Run]) -> str:
    """Return a sentence on the rounds that trained for as many epochs as `train.max_epochs` allows; empty without any.

    Rounds with fine-tuning are left out: their epochs are those of two trainings.
    """
    n_rounds, at_cap, caps = 0, 0, set()
    for run in runs:
        cap = run.config.get("train.max_epochs")
        known = [row["epochs"] for row in run.rounds if row.get("epochs") and row.get("n_pseudo") is None]
        n_rounds += len(known)
        reached = sum(epochs == cap for epochs in known)
        if isinstance(cap, int) and reached:
            at_cap += reached
            caps.add(cap)
    if not at_cap:
        return ""
    most = " or ".join(f"{cap:,}" for cap in sorted(caps))
    return (
        f"Training ended at the most epochs that it may take, {most} (train.max_epochs), in {at_cap:,} of {n_rounds:,} "
        "rounds; in the others by its stopping rule."
    )
