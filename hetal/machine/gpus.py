"""Which GPU a job takes, so that none holds more jobs than it should, whoever started them.

A place on a GPU is a lock file: the kernel gives it to one process and takes it back when that process ends, however
it ends.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from hetal.errors import BadInput
from hetal.machine.files import make_folder
from hetal.machine.locks import Lock
from hetal.machine.signals import Supervisor

# Between two looks at whether a place has become free.
SECONDS = 0.5

# Each place is a file that a job may have to try.
MAX_JOBS = 1000


@contextmanager
def hold_gpu(device: torch.device, jobs_per_gpu: int, say: Callable[[str], None]) -> Iterator[torch.device]:
    """Hold a place on one of the visible GPUs for a while; other devices are shared as they are.

    Args:
        device: what was chosen, without a number.
        jobs_per_gpu: that may share one GPU.
        say: told once where there is no place yet.

    Raises:
        BadInput: `jobs_per_gpu` is not in 1..`MAX_JOBS`.
    """
    check_slots(jobs_per_gpu)
    if device.type != "cuda":
        yield device
        return
    # By identity, not by number: two processes may see different GPUs.
    names = [str(torch.cuda.get_device_properties(i).uuid) for i in range(torch.cuda.device_count())]
    with hold_slot(names, jobs_per_gpu, _folder(), say) as i:
        torch.cuda.set_device(i)
        yield torch.device("cuda", i)


def check_slots(jobs_per_gpu: int) -> None:
    """Refuse, with BadInput, a number of jobs a GPU that is not in 1..`MAX_JOBS`."""
    if not 1 <= jobs_per_gpu <= MAX_JOBS:
        raise BadInput(f"jobs_per_gpu={jobs_per_gpu}: must be in 1..{MAX_JOBS}")


@contextmanager
def hold_slot(names: Sequence[str], each: int, folder: Path, say: Callable[[str], None]) -> Iterator[int]:
    """Hold one of `each` places on one of the things called `names`, and yield the thing's number.

    The emptiest come first. Where all places are held, wait for one.

    Args:
        names: file names, all different.
        each: places on every thing.
        folder: where the locks are; the same for all who compete.
        say: told once that this waits.

    Raises:
        BadInput: there can be no locks in `folder`.
        Stopped: the sweep that this process works for is to stop.
    """
    make_folder(folder)
    locks = [(i, Lock(folder / f"{name}-{k}.lock")) for k in range(each) for i, name in enumerate(names)]
    said = False
    while True:
        for i, lock in locks:
            try:
                taken = lock.try_acquire()
            except OSError as error:
                raise BadInput(f"cannot lock {lock.path}: {error.strerror or error}") from None
            if taken:
                try:
                    yield i
                finally:
                    lock.release()
                return
        if not said:
            advice = next(filter(None, (lock.advice() for _, lock in locks)), "")
            say(
                f"waiting: {len(names)} GPUs hold {each} jobs each, and jobs_per_gpu={each} allows no more{advice}"
            )
            said = True
        Supervisor.check()
        time.sleep(SECONDS)


def _folder() -> Path:
    """Return where all processes of this user on this machine look for places."""
    try:
        above = Path(tempfile.gettempdir())
    except OSError as error:
        raise BadInput(f"TMPDIR={os.environ.get('TMPDIR', '')}: {error.strerror or error}") from None
    # By number, since a container's user need not have a name.
    return above / f"hetal-{os.getuid() if hasattr(os, 'getuid') else os.environ.get('USERNAME', '')}"
