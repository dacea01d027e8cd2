"""What is too large for memory: rows in unnamed files, which look like tensors, and give the same bits."""

from __future__ import annotations

import shutil
from collections import namedtuple

import numpy as np
import pytest
import torch

from hetal.acquisition import OuterProduct, double, greedy_design, k_center, kmeans_plusplus, points
from hetal.errors import BadInput
from hetal.machine import scratch
from hetal.noise import blank_noise, diverse_noise
from hetal.noise.pool import shuffled
from hetal.rng import stream
from hetal.task import Examples, Task, extremes, is_finite


@pytest.fixture
def no_memory(monkeypatch, tmp_path):
    """Nothing is held in memory; returns the folder of unnamed files."""
    monkeypatch.setattr(scratch, "MOST_IN_MEMORY", 0)
    monkeypatch.setattr(scratch, "NUMBERS_AT_ONCE", 64)
    monkeypatch.setattr(points, "_NUMBERS_TAKEN", 0)
    monkeypatch.setattr(double, "NUMBERS_HELD", 0)
    monkeypatch.setattr(double, "NUMBERS_AT_ONCE", 64)
    monkeypatch.setattr(scratch, "folder", lambda: tmp_path)
    return tmp_path


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.uint8])
def test_rows_in_a_file_are_those_in_memory(dtype, no_memory):
    rows = (torch.randn(50, 3, 2, generator=stream(0, "x")) * 50).to(dtype)
    ids = torch.randint(50, (70,), generator=stream(0, "ids"))
    found = scratch.gathered(rows, ids)
    assert torch.equal(found, rows[ids])
    assert found.dtype == dtype
    assert [*no_memory.iterdir()] == []  # it has no name
    found[3] = 1  # a private page
    assert bool((found[3] == 1).all())
    assert len(scratch.gathered(rows, ids[:0])) == 0


def test_without_room_on_disk_rows_are_in_memory_and_a_full_disk_is_one_line(no_memory, monkeypatch):
    rows = torch.arange(12.0).view(6, 2)

    def files() -> list[object]:
        made = []
        real = scratch.tempfile.TemporaryFile
        monkeypatch.setattr(
            scratch.tempfile, "TemporaryFile", lambda **how: made.append(real(**how)) or made[-1]
        )
        return made

    made = files()
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda folder: usage(0, 0, 10))
        assert torch.equal(scratch.stacked(rows.split(2), 6), rows)
    assert not made
    assert torch.equal(scratch.stacked(rows.split(2), 6), rows)
    assert len(made) == 1

    class Full:
        def write(self, content: object) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(scratch.tempfile, "TemporaryFile", lambda **how: Full())
    with pytest.raises(
        BadInput, match=rf"^cannot write to {no_memory}: No space left on device; TMPDIR names"
    ):
        scratch.stacked(rows.split(2), 6)


def test_the_folder_is_that_of_tmpdir_or_else_one_on_disk(monkeypatch, tmp_path):
    monkeypatch.setattr(scratch.tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert scratch.folder() == tmp_path
    monkeypatch.delenv("TMPDIR")
    assert str(scratch.folder()) == "/var/tmp"


def test_a_mapped_file_stays_as_it_is(tmp_path):
    content = np.arange(24, dtype=np.float16).reshape(6, 4)
    np.save(tmp_path / "x.npy", content)
    with open(tmp_path / "x.npy", "rb") as file:
        found = torch.from_numpy(scratch.mapped(file, np.float16, (6, 4), 128))
    assert torch.equal(found, torch.from_numpy(content))
    found.zero_()
    assert np.array_equal(np.load(tmp_path / "x.npy"), content)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.uint8])
@pytest.mark.parametrize("noise", [blank_noise, diverse_noise])
def test_pools_of_mapped_vectors_are_those_in_memory(noise, dtype, monkeypatch, tmp_path):
    x = (torch.rand(40, 5, generator=stream(0, "x")) * 9 + 3).to(dtype)
    train = Examples(x, torch.arange(40) % 3)
    how = {"factor": 1.5} | ({"n_colors": 6, "labels_per_color": 2} if noise is diverse_noise else {})
    pools = []
    for most in (2**28, 0):
        monkeypatch.setattr(scratch, "MOST_IN_MEMORY", most)
        monkeypatch.setattr(scratch, "folder", lambda: tmp_path)
        pools.append(shuffled(noise(train, 3, stream(0, "noise"), **how), stream(0, "order")))
    for key, of_one in vars(pools[0]).items():
        other = getattr(pools[1], key)
        assert (
            torch.equal(of_one, other)
            if isinstance(of_one, torch.Tensor)
            else callable(of_one) or of_one == other
        )
    assert pools[0].images_M.dtype == dtype
    low, high = x.amin(0), x.amax(0)
    assert bool(((low <= pools[0].images_M) & (pools[0].images_M <= high)).all())


@pytest.mark.parametrize(
    "ids", [slice(None, 3), slice(1, None, 2), torch.tensor([True, False] * 3), torch.tensor([-1, 2])]
)
def test_examples_are_taken_as_rows_of_a_tensor_are(ids, no_memory):
    examples = Examples(torch.arange(12.0).view(6, 2), torch.arange(6), {"votes": torch.eye(6)})
    some = examples[ids]
    assert torch.equal(some.images, examples.images[ids])
    assert torch.equal(some.labels, examples.labels[ids])
    assert torch.equal(some.columns["votes"], examples.columns["votes"][ids])


def test_float16_is_checked_as_float32_is():
    assert not is_finite(torch.tensor([[1.0, torch.inf]]).half())
    assert not is_finite(torch.tensor([[torch.nan, 1.0], [2.0, 3.0]]))
    images = torch.randn(9, 3, 4, 4, generator=stream(0, "x"))
    assert torch.equal(
        torch.stack(extremes(images)), torch.stack([images.amin((0, 2, 3)), images.amax((0, 2, 3))])
    )
    x = torch.tensor([[1e4], [3.0]]).half()
    examples = Examples(x, torch.tensor([0, 1]))
    assert Task(examples, examples, 2, std=(1.0,)).train.images.dtype == torch.float16
    with pytest.raises(BadInput, match="beyond what float32 holds"):
        Task(examples, examples, 2, std=(1e-36,))
    with pytest.raises(BadInput, match=r"must be uint8, float16 or float32, not torch\.float64"):
        Task(Examples(x.double(), examples.labels), examples, 2)


def test_points_taken_without_a_copy_are_the_points(no_memory):
    draw = stream(0, "x")
    probs, features = torch.randn(300, 4, generator=draw), torch.randn(300, 7, generator=draw).half()
    rows = torch.randperm(300, generator=draw)[:200]
    whole = OuterProduct(probs, features)
    taken, copied = whole.take(rows), OuterProduct(probs[rows], features[rows])
    assert taken.factors[0] is whole.factors[0]
    assert len(taken) == 200
    again = taken.take(torch.tensor([5, 2]))
    assert torch.equal(again[:].factors[1], features[rows[[5, 2]]].float())
    assert torch.equal(k_center(taken, 20, centers=copied[:3]), k_center(copied, 20, centers=taken[:3]))
    assert torch.equal(k_center(copied, 9, centers=taken.take(rows[:0])), k_center(taken, 9))
    draws = [kmeans_plusplus(some, 30, stream(0, "query")).tolist() for some in (taken, copied)]
    assert draws[0] == draws[1]


@pytest.mark.parametrize("copies", [None, torch.arange(200) % 3])
def test_a_design_in_blocks_picks_what_a_design_in_memory_picks(copies, monkeypatch):
    draw = stream(0, "x")
    x, weight = torch.randn(200, 6, generator=draw), torch.rand(200, generator=draw)
    candidates = torch.randperm(200, generator=draw)[:150]

    def picks() -> list[int]:
        return greedy_design(
            x, weight, 40, known=torch.tensor([3, 9]), candidates=candidates, ridge=0.1, copies=copies
        ).tolist()

    whole = picks()
    monkeypatch.setattr(double, "NUMBERS_HELD", 0)
    monkeypatch.setattr(double, "NUMBERS_AT_ONCE", 70)
    assert picks() == whole
