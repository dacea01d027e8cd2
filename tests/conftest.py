"""What all tests share: one thread, Ctrl-C, and temporary folders in memory."""

import os
import shutil
import signal
import tempfile
from pathlib import Path

import torch

# One thread, so that two test processes on two cores do not wait for each other.
torch.set_num_threads(1)

# A shell that starts the tests in the background has them ignore SIGINT, and all they start with them.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Every write of a record waits for its disk, some 30 times a run. Where TMPDIR does not say otherwise and there is room
# for the folders of a few hundred runs, those of tests lie in memory.
MEMORY = Path("/dev/shm")
if "TMPDIR" not in os.environ and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 4 * 2**30:
    os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)
