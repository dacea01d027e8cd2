"""Which GPU a job takes, so that none holds more jobs than it should, whoever started them.

A place on a GPU is a lock file: the kernel gives it to one process and takes it back when that process ends, however
it ends.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from getpass import getuser
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from hetal.errors import BadInput
from hetal.files import make_folder
from hetal.interrupt import Watched

# Between two looks at whether a place has become free.
SECONDS = 0.5


@contextmanager
def one_gpu(device: torch.device, jobs_per_gpu: int, say: Callable[[str], None]) -> Iterator[torch.device]:
    """Hold a place on one of the visible GPUs for a while; other devices are shared as they are.

    Args:
        device: what was chosen, without a number.
        jobs_per_gpu: that may share one GPU.
        say: told once where there is no place yet.

    Raises:
        BadInput: `jobs_per_gpu` is under 1.
    """
    check_places(jobs_per_gpu)
    if device.type != "cuda":
        yield device
        return
    # By identity, not by number: two processes may see different GPUs.
    names = [str(torch.cuda.get_device_properties(i).uuid) for i in range(torch.cuda.device_count())]
    with place(names, jobs_per_gpu, Path(tempfile.gettempdir()) / f"hetal-{getuser()}", say) as i:
        torch.cuda.set_device(i)
        yield torch.device("cuda", i)


def check_places(jobs_per_gpu: int) -> None:
    """Refuse a number of jobs a GPU under 1, with BadInput."""
    if jobs_per_gpu < 1:
        raise BadInput(f"jobs_per_gpu={jobs_per_gpu}: must be at least 1")


@contextmanager
def place(names: Sequence[str], each: int, folder: Path, say: Callable[[str], None]) -> Iterator[int]:
    """Hold one of `each` places on one of the things called `names`, and yield the thing's number.

    The emptiest come first. Where all places are held, wait for one.

    Args:
        names: file names, all different.
        each: places on every thing.
        folder: where the locks are; the same for all who compete.
        say: told once that this waits.

    Raises:
        Stopped: the sweep that this process works for is to stop.
    """
    make_folder(folder)
    locks = [(i, FileLock(folder / f"{name}-{k}.lock")) for k in range(each) for i, name in enumerate(names)]
    said = False
    while True:
        for i, lock in locks:
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            try:
                yield i
            finally:
                lock.release()
            return
        if not said:
            say(f"waiting: {len(names)} GPUs hold {each} jobs each, and jobs_per_gpu={each} allows no more")
            said = True
        Watched.check()
        time.sleep(SECONDS)
