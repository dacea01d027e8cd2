"""What benchmarks of queries share: time and memory of a call, a process for each measurement, and text for a page."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Measured:
    """What one measurement gave.

    Attributes:
        seconds: of the whole query.
        peak: MiB resident above what the process held with its data in.
        n_made: picks really made; where fewer than asked for, `seconds` is extrapolated.
        private: MiB above the same, without pages of mapped files.
    """

    seconds: float
    peak: float
    n_made: int
    private: float


class Failed(Exception):
    """A measurement gave no result; the message says why, in a few words."""


def in_process(
    python: str, module: str, task: Mapping[str, Any], seconds: float | None = None
) -> dict[str, Any]:
    """Return what `python -m module TASK` prints in its last line, as JSON.

    Raises:
        Failed: it did not end within `seconds`, lacked memory, or failed.
    """
    command = [python, "-m", module, json.dumps(task)]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise Failed(f"over {human(seconds or 0)}") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        lacks_memory = (
            done.returncode == -9 or "MemoryError" in last or "can't allocate memory" in done.stderr
        )
        raise Failed("does not fit in memory" if lacks_memory else f"failed: {last}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def free_memory() -> int:
    """Return the bytes of memory that are free on this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")


def limit_memory(n_bytes: float) -> None:
    """Let allocations of this process fail beyond `n_bytes`, rather than the machine run out of memory."""
    resource.setrlimit(resource.RLIMIT_DATA, (int(n_bytes), int(n_bytes)))


def status(name: str) -> float:
    """Return a figure of the process's memory, "VmRSS" now or "VmHWM" at its peak, in MiB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def private_memory() -> float:
    """Return the memory that the process shares with no file now, in MiB."""
    _, resident, shared, *_ = map(int, Path("/proc/self/statm").read_text().split())
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE") / 2**20


class PrivateMemory(threading.Thread):
    """Watches how far private memory rises above what it was when `begin` was called last, in MiB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.begin()

    def begin(self) -> None:
        """Forget the peak so far."""
        self.before, self.peak = private_memory(), 0.0

    def run(self) -> None:
        while True:
            self.peak = max(self.peak, private_memory() - self.before)
            time.sleep(0.02)


def measure(prepare: Callable[[], Callable[[int], object]], n_picks: int, in_full: bool) -> Measured:
    """Time a query of `n_picks`: in full, thrice if quick; or 2 s of picks or more, and extrapolate.

    Args:
        prepare: returns what makes a query of so many picks; called before each, and not measured.
        n_picks: asked for.
        in_full: whether to make all of them; else time is taken to be a fixed part and as much for each pick.
    """
    peak, private = 0.0, 0.0
    watch = PrivateMemory()
    watch.start()

    def seconds(n: int) -> float:
        nonlocal peak, private
        run = prepare()
        Path("/proc/self/clear_refs").write_text("5")  # forgets the peak of what came before
        before = status("VmRSS")
        watch.begin()
        start = time.perf_counter()
        run(n)
        taken = time.perf_counter() - start
        peak, private = max(peak, status("VmHWM") - before), max(private, watch.peak)
        return taken

    if in_full:
        taken, n_made = seconds(n_picks), n_picks
        if taken < 20:
            taken = sorted([taken, seconds(n_made), seconds(n_made)])[1]
    else:
        few, n_made = 3, min(15, n_picks)
        first, last = seconds(few), seconds(n_made)
        while last - first < 2 and n_made < n_picks:
            n_made = min(4 * n_made, n_picks)
            last = seconds(n_made)
        taken = last + max(last - first, 0) / (n_made - few) * (n_picks - n_made)
    return Measured(taken, peak, n_made, private)


def human(seconds: float) -> str:
    """Say a duration in three digits."""
    for limit, unit, name in ((1, 1e-3, "ms"), (120, 1, "s"), (7200, 60, "min"), (float("inf"), 3600, "h")):
        if seconds < limit:
            return (
                f"{seconds / unit:.3g} {name}" if seconds / unit < 1000 else f"{seconds / unit:,.0f} {name}"
            )
    raise AssertionError


def times(ratio: float) -> str:
    """Say how many times as long something took."""
    return f"{ratio:,.0f}x" if ratio > 10 else f"{ratio:.1f}x"
