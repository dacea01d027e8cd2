"""GPU slots: a lock file per job, so that no GPU holds more jobs than allowed.

Slots are shared by all processes of a user. The kernel gives a lock to one process, and releases it when that process
ends, however it ends.
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

# Between two attempts to get a slot.
POLL_SECONDS = 0.5

# Each slot is a file that a job may have to try.
MAX_JOBS = 1000


@contextmanager
def hold_gpu(device: torch.device, jobs_per_gpu: int, say: Callable[[str], None]) -> Iterator[torch.device]:
    """Hold a slot on one of the visible GPUs inside a `with` block, and yield that GPU; other devices have no slots.

    Args:
        device: the chosen device, without an index.
        jobs_per_gpu: number of jobs that may share one GPU.
        say: called once with a message if all slots are taken.

    Raises:
        BadInput: `jobs_per_gpu` is not in 1..`MAX_JOBS`.
    """
    check_slots(jobs_per_gpu)
    if device.type != "cuda":
        yield device
        return
    # By UUID, not by index: two processes may see different GPUs.
    names = [str(torch.cuda.get_device_properties(i).uuid) for i in range(torch.cuda.device_count())]
    with hold_slot(names, jobs_per_gpu, _folder(), say) as i:
        torch.cuda.set_device(i)
        yield torch.device("cuda", i)


def check_slots(jobs_per_gpu: int) -> None:
    """Raise BadInput if the number of jobs per GPU is not in 1..`MAX_JOBS`."""
    if not 1 <= jobs_per_gpu <= MAX_JOBS:
        raise BadInput(f"jobs_per_gpu={jobs_per_gpu}: must be in 1..{MAX_JOBS}")


@contextmanager
def hold_slot(names: Sequence[str], each: int, folder: Path, say: Callable[[str], None]) -> Iterator[int]:
    """Hold one of the `each` slots of one of the GPUs called `names` inside a `with` block, and yield its index.

    GPUs with the most free slots come first. If all slots are taken, wait for one.

    Args:
        names: file names, all different.
        each: slots per GPU.
        folder: of the lock files; the same for all competing processes.
        say: called once with a message if this waits.

    Raises:
        BadInput: locks cannot be created in `folder`.
        Stopped: the supervisor of this process wants it to stop.
    """
    make_folder(folder)
    locks = [(i, Lock(folder / f"{name}-{k}.lock")) for k in range(each) for i, name in enumerate(names)]
    has_said = False
    while True:
        for i, lock in locks:
            try:
                is_held = lock.try_acquire()
            except OSError as error:
                raise BadInput(f"cannot lock {lock.path}: {error.strerror or error}") from None
            if is_held:
                try:
                    yield i
                finally:
                    lock.release()
                return
        if not has_said:
            advice = next(filter(None, (lock.advice() for _, lock in locks)), "")
            say(
                f"waiting: {len(names)} GPUs hold {each} jobs each, and jobs_per_gpu={each} allows no more{advice}"
            )
            has_said = True
        Supervisor.check()
        time.sleep(POLL_SECONDS)


def _folder() -> Path:
    """Return the folder of the slots of this user on this machine."""
    try:
        parent = Path(tempfile.gettempdir())
    except OSError as error:
        raise BadInput(f"TMPDIR={os.environ.get('TMPDIR', '')}: {error.strerror or error}") from None
    # By user id, since a container's user need not have a name.
    return parent / f"hetal-{os.getuid() if hasattr(os, 'getuid') else os.environ.get('USERNAME', '')}"
