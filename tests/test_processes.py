"""What starts the tests' command lines."""

import os
import sys

import pytest

from tests.command_line import command


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_what_has_ended_leaves_no_descriptor_open():
    def n_open() -> int:
        command("--help")
        return len(os.listdir("/proc/self/fd"))

    n_open()  # which starts the process that all others are forked from
    assert n_open() == n_open()
