"""Independent tasks in other processes, on all cores."""

from __future__ import annotations

import gc
import io
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.process import BaseProcess

Task = Callable[[], object]


@contextmanager
def in_background(tasks: Sequence[Task]) -> Iterator[Callable[[Task], None]]:
    """Run tasks in other processes while the body runs, to which it can add; on leaving, all are done.

    On Linux the processes are forked, which takes no time to start. Elsewhere, where forking is unsafe, and on a single
    core the tasks run here, after the body; so they do where a process is killed.

    Args:
        tasks: that can be pickled; run for the files that they write, in any order.

    Raises:
        Exception: of the first task that raises one; of the body, after which all processes are ended.
    """
    workers, all_tasks = min(len(tasks), os.cpu_count() or 1), [*tasks]
    if not sys.platform.startswith("linux") or workers < 2:
        yield all_tasks.append
        for task in all_tasks:
            task()
        return
    others = multiprocessing.active_children()
    executor = ProcessPoolExecutor(workers, multiprocessing.get_context("fork"), _begin)
    gc.freeze()  # a collection in a child would touch, and so copy, every page
    try:
        futures = [executor.submit(task) for task in tasks]

        def add(task: Task) -> None:
            all_tasks.append(task)
            futures.append(executor.submit(task))

        yield add
        for task, future in zip(all_tasks, futures, strict=True):
            if isinstance(future.exception(), BrokenProcessPool):
                task()
            else:
                future.result()
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        _end([child for child in multiprocessing.active_children() if child not in others])
        raise
    else:
        executor.shutdown()
    finally:
        gc.unfreeze()


def _end(children: Sequence[BaseProcess]) -> None:
    """End processes, also those that begin another task after the one that was interrupted."""
    while any(child.is_alive() for child in children):
        for child in children:
            child.terminate()
            child.join(0.1)


def _begin() -> None:
    """Leave Ctrl-C to the parent, and end by an exception, so that no half of a file stays; say nothing.

    What a task raises is raised by the parent. A process that is ended while it takes a task from the others' queue
    would print a traceback of its own.
    """
    sys.stderr = io.StringIO()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
