"""Independent pieces of work on all cores at once."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

Task = Callable[[], object]


@contextmanager
def at_once(tasks: Sequence[Task]) -> Iterator[None]:
    """Do tasks in other processes while the body runs; on leaving, all are done.

    On Linux processes are forked: they see all that is in memory, and nothing is copied to them. Elsewhere, on a single
    core, or where a process fails, the tasks are done here, so that their errors are raised here.

    Args:
        tasks: done for what they write; the order does not matter.
    """
    workers = min(len(tasks), os.cpu_count() or 1)
    if not sys.platform.startswith("linux") or workers < 2:
        yield
        for task in tasks:
            task()
        return
    context = multiprocessing.get_context("fork")
    shares = [tasks[i::workers] for i in range(workers)]
    gc.freeze()  # a collection in a child would touch, and so copy, every page
    children = [context.Process(target=_work, args=(share,), daemon=True) for share in shares]
    try:
        for child in children:
            child.start()
        yield
        for child, share in zip(children, shares, strict=True):
            child.join()
            if child.exitcode:
                _do(share)
    finally:
        gc.unfreeze()
        for child in children:
            if child.is_alive():
                child.terminate()
                child.join()


def _do(tasks: Sequence[Task]) -> None:
    for task in tasks:
        task()


def _work(tasks: Sequence[Task]) -> None:
    """Do tasks in a process of their own; Ctrl-C is its parent's matter, which then ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # an exception, so that no half of a file stays
    try:
        _do(tasks)
    except Exception:
        raise SystemExit(1) from None
