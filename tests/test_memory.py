"""The peak of a round's memory."""

import sys

import pytest
import torch

from hetal.machine.memory import peak_mb, reset_peak

CPU = torch.device("cpu")


def test_the_peak_rises_by_what_was_held():
    before = peak_mb(CPU)
    held = torch.ones(64 * 2**20, dtype=torch.uint8)
    assert peak_mb(CPU) >= before
    assert held.sum() == 64 * 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux begins a peak anew")
def test_a_peak_can_be_forgotten():
    torch.ones(256 * 2**20, dtype=torch.uint8)
    high = peak_mb(CPU)
    reset_peak(CPU)
    low = peak_mb(CPU)
    assert low <= high - 200
    held = torch.ones(256 * 2**20, dtype=torch.uint8)
    assert peak_mb(CPU) >= low + 200
    assert held.sum() == 256 * 2**20
