"""A sample of the faults that `python -m tests.faults` injects by the hundred."""

import os
import subprocess
import sys

import pytest

from tests.command_line import REPOSITORY


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("seed", [1])
def test_broken_runs_end_in_the_same_bits(seed):
    few = [
        "--kills", "1", "--operations", "2", "--damages", "2", "--edits", "2", "--others", "1", "--deaths", "1",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", *few, "--seed", str(seed)],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "all survived" in done.stdout
