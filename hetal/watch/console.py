"""Console output of a run: a live progress line on a terminal, else one plain line per round."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column, Table
from rich.text import Text

from hetal.errors import one_line
from hetal.experiment import Setup
from hetal.guard.footprint import Footprint
from hetal.record.history import History
from hetal.record.measures import OF_A_ROUND, shown_in
from hetal.record.schema import Round
from hetal.record.writer import Record
from hetal.watch.watcher import Watcher


class Display(Watcher):
    """Shows the progress of one run on standard output.

    Args:
        console: to write to.
        title: of the run.
        notes: messages to show before it starts.
    """

    def __init__(self, console: Console, title: str, notes: Sequence[str] = ()) -> None:
        self._console = console
        self._title = title
        self._notes = notes
        self._row: Round | None = None
        self._rounds_done = 0
        self._seconds: list[tuple[int, float]] = []
        self._progress = Progress(
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=8),
            TextColumn("{task.fields[state]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def start(self, setup: Setup, history: History) -> None:
        """Show the title, the notes, and how many rounds are on record already."""
        self._setup = setup
        self._budget = setup.budget
        self._began = time.perf_counter()
        self._bar = self._progress.add_task("", total=self._budget.n_rounds, state="")
        self._console.print(Text.assemble((self._title, "bold"), f"  {len(setup.pool):,} rows"))
        self._progress.start()
        for note in self._notes:
            self._note(note)
        if history.rounds:
            self._console.print(
                f"continuing: {len(history.rounds)} of {self._budget.n_rounds} rounds are on record"
            )
            self._rounds_done = len(history.rounds)
            self._row = history.rounds[-1]
        self._update("")

    def finish(self, summary: dict[str, Any] | None) -> None:
        """Remove the live line."""
        self._progress.stop()

    def _note(self, text: str) -> None:
        self._console.print(f"note: {one_line(text)}")

    def epoch(self, epoch: int, accuracy: float) -> None:
        """Show a finished epoch of the current round and its online train accuracy."""
        if not self._progress.disable:
            self._update(f"epoch {epoch} ({accuracy:.0%})")

    def round(self, row: Round) -> None:
        """Show a finished round."""
        now = time.perf_counter()
        self._seconds.append((row.n_labelled, now - self._began))
        self._began = now
        self._row = row
        self._rounds_done = row.round + 1
        if self._progress.disable:
            self._console.print(
                f"{_which(row.round, self._budget.n_rounds)}  {self._state(row)}  {self._time_left()}",
            )
        self._update("")
        if row.n_bought < row.n_asked:
            self._note(
                f"alg={self._setup.name} stopped early: it bought {row.n_bought} of the {row.n_asked} rows it was "
                "asked for"
            )

    def _update(self, now: str) -> None:
        done, total = self._rounds_done, self._budget.n_rounds
        state = [self._state(self._row) if self._row else "", now, self._time_left()]
        self._progress.update(
            self._bar,
            completed=done,
            description=_which(min(done, total - 1), total),
            state="  ".join(part for part in state if part),
        )

    def _state(self, row: Round) -> str:
        is_told = row.clean_share is not None and self._setup.oracle.clean_share < 1
        clean = f"  clean {row.clean_share:.0%}" if is_told else ""
        return f"labels {row.n_labelled}  accuracy {row.accuracy:.1%}{clean}"

    def _time_left(self) -> str:
        """Return the estimated time left, if a round's time is proportional to its labels."""
        left = range(self._rounds_done, self._budget.n_rounds)
        if not self._seconds or not left:
            return ""
        rate = sum(s for _, s in self._seconds) / sum(n for n, _ in self._seconds)
        seconds = round(rate * sum(self._budget.planned(t) for t in left))
        minutes, seconds = divmod(seconds, 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02} left"


def _which(t: int, n_rounds: int) -> str:
    """Return which round it is: by its number on record, from 0, and by its place among all."""
    return f"round {t} ({t + 1} of {n_rounds})"


def rounds_table(rounds: list[Round], base_rate: float | None = None) -> Table:
    """Return the table of `rounds`, one row per round, without columns in which there is nothing to see.

    Args:
        rounds: of one run.
        base_rate: share of clean rows in the pool, if known; where it is 1, so are those of queries.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    measures = [
        measure
        for measure in shown_in("display", OF_A_ROUND)
        if any(measure.value(vars(row)) is not None for row in rounds)
        and not (measure.key == "clean_share" and base_rate == 1)
    ]
    for measure in measures:
        table.add_column(measure.heading or measure.name, justify="right")
    for row in rounds:
        written = {measure.key: measure.written(measure.value(vars(row))) for measure in measures}
        if row.n_bought:
            written["n_distinct"] += f" of {row.n_bought}"
        table.add_row(*written.values())
    return table


def explanation(rounds: Sequence[Round], config: Mapping[str, Any]) -> str:
    """Return what the table of `rounds` does not say by itself: the start set, and epochs at their cap."""
    said = ["round 0 is trained on the start set"]
    train = config.get("train") or {}
    cap = train.get("max_epochs")
    # With fine-tuning, epochs are those of two trainings.
    if any(row.epochs == cap and row.n_pseudo is None for row in rounds):
        said.append(f"{cap} epochs are the most that a round trains (train.max_epochs)")
    return "; ".join(said)


def show_skipped(
    console: Console,
    record: Record,
    rounds: list[Round],
    summary: dict[str, Any],
    made_by: Mapping[str, str],
    brief: bool,
) -> None:
    """Show that a run is finished already, and its results; with `brief`, as in a sweep, in one line.

    Args:
        console: to write to.
        record: that holds the run.
        rounds: of this run; `record` may hold a longer one.
        summary: of `rounds`.
        made_by: versions that would compute it now, see `hetal.record.provenance.made_by`.
        brief: leave the table out.
    """
    line = f"{record.title}  finished already; force=true runs it again"
    if len(record.rounds) > len(rounds):
        line += f"\nnote: it is part of a run on record that goes on to {record.rounds[-1].n_labelled} labels"
    if changed := record.changed(made_by):
        line += f"\nnote: it {changed}"
    if record.config["keep_network"] and not (record.dir / "network.pt").exists():
        line += "\nnote: it kept no network"
    held = set.intersection(*({*(row.measures or {})} for row in rounds)) if rounds else set()
    if absent := [name for name in record.config["measures"] if name not in held]:
        line += f"\nnote: not all of its rounds hold measures.{absent[0]}"
    console.print(line, soft_wrap=True)
    if not brief:
        show_finished(console, record, rounds, summary, None)


def show_dry(
    console: Console,
    record: Record,
    state: str,
    expected_seconds: float | None,
    memory: Footprint,
    brief: bool,
) -> None:
    """Show what a run would do, for a dry run; with `brief`, in one line, without what it holds in memory."""
    duration = "" if expected_seconds is None else f", about {expected_seconds:,.0f} s"
    console.print(f"{record.title}  {state}: {record.dir}{duration}", soft_wrap=True)
    if not brief:
        text = f"memory of the device, without what the strategy computes with: {memory}"
        console.print(text, style="dim", soft_wrap=True)


def show_finished(
    console: Console,
    record: Record,
    rounds: list[Round],
    summary: dict[str, Any],
    where: str | None,
) -> None:
    """Print the table of a finished run, its accuracy and clean share, and where its files are.

    Args:
        console: to write to.
        record: that holds the run.
        rounds: of this run; `record` may hold a longer one.
        summary: of `rounds`.
        where: its curves are on W&B; None if nowhere.
    """
    clean, base_rate = summary["queried_clean_share"], summary["base_rate"]
    console.print(rounds_table(rounds, base_rate))
    console.print(explanation(rounds, record.config), style="dim", soft_wrap=True)
    said = [
        f"final accuracy {summary['final_accuracy']:.1%}, mean over labels {summary['area_under_curve']:.1%}",
    ]
    if clean is not None and base_rate != 1:
        said.append(f"{clean:.0%} of the rows that queries bought are clean")
        if base_rate is not None:
            said.append(f"{base_rate:.0%} of the pool is, the share that random choice buys")
    if record.is_bound:
        said.append("a bound, which saw hidden labels")
    console.print("; ".join(said), soft_wrap=True)
    for name, location in (("plot", record.dir / "curve.png"), ("record", record.dir), ("W&B", where)):
        if location is not None:
            console.print(f"{name:7}{location}", soft_wrap=True)
