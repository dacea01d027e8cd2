"""Vectors and arrays in .npy files: what is read, what is mapped, what every fault says; and runs on mapped data."""

from __future__ import annotations

import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from hetal.data import load_features, load_npy
from hetal.errors import BadInput
from hetal.machine import scratch
from hetal.rng import stream
from hetal.task import Task
from tests.command_line import records, run_here
from tests.test_npz import arrays
from tests.test_scratch import no_memory  # noqa: F401
from tests.tiny_data import load


def vectors(dtype: str = "f2", n: int = 60, width: int = 5) -> dict[str, np.ndarray]:
    """Clusters of three classes with names."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % 3
    x = (rng.normal(size=(n, width)) + 2 * y[:, None]).astype(dtype)
    names = np.array(["ant", "bee", "cat"])[y]
    return {"x_train": x, "y_train": names, "x_test": x[: n // 2] + 0, "y_test": names[: n // 2]}


def in_folder(folder: Path, content: dict[str, np.ndarray]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, array in content.items():
        np.save(folder / f"{name}.npy", array)
    return folder


def in_npz(path: Path, content: dict[str, np.ndarray], save=np.savez) -> Path:
    save(path, **content)
    return path


PLAIN = {"labels": None, "n_train": None, "mean": None, "std": None}


def read(path: Path, **how: object) -> Task:
    return load_features(str(path), **{**PLAIN, "standardise": "all", **how}, rng=stream(0, "data"))


@pytest.mark.parametrize("is_mapped", [False, True])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f2", "u1"])
def test_vectors_are_read_as_they_were_saved(dtype, is_mapped, tmp_path, monkeypatch):
    content = vectors(dtype)
    paths = [
        in_folder(tmp_path / "folder", content),
        in_npz(tmp_path / "a.npz", content),
        in_npz(tmp_path / "b.npz", content, np.savez_compressed),
        in_folder(tmp_path / "fortran", {k: np.asfortranarray(v) for k, v in content.items()}),
        in_npz(tmp_path / "fortran.npz", {k: np.asfortranarray(v) for k, v in content.items()}),
    ]
    if is_mapped:
        monkeypatch.setattr(scratch, "MOST_IN_MEMORY", 0)
        monkeypatch.setattr(scratch, "NUMBERS_AT_ONCE", 33)
    kept = {"f2": "float16", ">f2": "float16", "u1": "uint8"}.get(dtype, "float32")
    for path in paths:
        task = read(path)
        assert task.train.images.is_contiguous()
        np.testing.assert_array_equal(task.train.images.numpy(), content["x_train"].astype(kept))
        assert str(task.train.images.dtype) == f"torch.{kept}"
        assert task.class_names == ("ant", "bee", "cat")
        assert task.std == pytest.approx((content["x_train"].astype(float).std(),), rel=1e-6)
    assert len(read(paths[0], standardise="feature").std) == 5
    assert torch.bincount(read(paths[0], n_train=9).train.labels).tolist() == [3, 3, 3]


def test_images_in_npy_files_are_those_of_npz(tmp_path):
    content = arrays(human=np.arange(12) % 3)
    one = load("npz", f"data.path={in_npz(tmp_path / 'a.npz', content)}", "data.labels=human")
    other = load("npy", f"data.path={in_folder(tmp_path / 'a', content)}", "data.labels=human")
    assert torch.equal(one.train.images, other.train.images)
    assert (one.mean, one.std, one.notes) == (other.mean, other.std, other.notes)


def fault(source: str, path: object) -> str:
    with pytest.raises(BadInput) as caught:
        load(source, f"data.path={path}")
    message = str(caught.value)
    assert message.startswith(f"data.path={path}: ")
    assert "\n" not in message
    return message


def test_every_fault_of_a_folder_is_one_line(tmp_path, monkeypatch):
    folder = in_folder(tmp_path / "ok", vectors())
    (tmp_path / "empty").mkdir()
    assert "has no array x_train, y_train, x_test, y_test; " in fault("npy", tmp_path / "empty")
    assert "there is no such folder" in fault("npy", tmp_path / "none")
    assert "there is no such file" in fault("features", tmp_path / "none")
    assert "is a file; it must be a folder with x_train.npy" in fault("npy", folder / "x_train.npy")
    with pytest.raises(BadInput, match=r"^data\.path is not set: data\.path=FOLDER with"):
        load("npy")
    with pytest.raises(BadInput, match=r"^data\.path is not set: data\.path=FILE\.npz or FOLDER"):
        load("features")
    assert "x_train has shape (12, 2, 5, 5); features are vectors, (n, D)" in fault(
        "features", in_npz(tmp_path / "images.npz", arrays())
    )
    for name, what in {
        "text": b"1,2,3\n",
        "torn": (folder / "x_train.npy").read_bytes()[:-9],
        "objects": None,
        "": b"",
    }.items():
        broken = in_folder(tmp_path / f"broken{name}", vectors())
        if what is None:
            np.save(broken / "x_train.npy", np.array([None, {}]), allow_pickle=True)
        else:
            (broken / "x_train.npy").write_bytes(what)
        said = "x_train.npy holds Python objects" if what is None else "x_train.npy cannot be read as .npy ("
        assert said in fault("npy", broken)
    np.savez(folder / "x", a=np.zeros(3))
    (folder / "x.npz").rename(folder / "x_train.npy")
    assert "x_train.npy is not a .npy file" in fault("npy", folder)
    nan = vectors("f2")
    nan["x_test"][3, 2] = np.nan
    assert "x_test holds NaN, infinity" in fault("features", in_folder(tmp_path / "nan", nan))


def test_a_damaged_member_that_is_streamed_is_one_line(tmp_path, monkeypatch):
    content = bytearray(in_npz(tmp_path / "a.npz", vectors("f4", 300)).read_bytes())
    content[content.index(b"NUMPY") + 1000] ^= 1
    (tmp_path / "a.npz").write_bytes(content)
    monkeypatch.setattr(scratch, "MOST_IN_MEMORY", 0)
    assert "x_train cannot be read as .npz (BadZipFile: Bad CRC-32" in fault("features", tmp_path / "a.npz")


def test_folders_with_any_bytes_changed_load_or_say_why(tmp_path, monkeypatch):
    rng = random.Random(0)
    folder = in_folder(tmp_path / "fuzz", vectors())
    sound = {path: path.read_bytes() for path in sorted(folder.glob("*.npy"))}
    archive = in_npz(tmp_path / "fuzz.npz", vectors()).read_bytes()
    said: set[object] = set()
    for k in range(300):
        monkeypatch.setattr(scratch, "MOST_IN_MEMORY", 2**28 * (k % 2))
        path = rng.choice([*sound, tmp_path / "fuzz.npz"])
        content = bytearray(sound.get(path, archive))
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(content)) if rng.random() < 0.5 else rng.randrange(min(len(content), 128))
            content[at : at + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 3))
        path.write_bytes(content)
        where = str(folder if path in sound else path)
        try:
            if k % 3 and path in sound:
                load_npy(where, layout="NCHW", standardise=None, rng=stream(0, "data"), **PLAIN)
            else:
                read(Path(where))
        except BadInput as error:
            said.add(str(error).startswith(f"data.path={where}: ") or str(error))
        if path in sound:
            path.write_bytes(sound[path])
    assert said == {True}


@pytest.mark.parametrize("alg", ["badge", "fisher"])
def test_a_run_on_mapped_data_is_the_run_in_memory(alg, tmp_path, request):
    path = in_folder(tmp_path / "words", vectors(n=300))
    how = (
        "data=features", f"data.path={path}", "model=linear", f"alg={alg}", "noise=blank", "mult=1", "tracker=none",
        "device=cpu", "n_start=20", "n_query=20", "n_end=60", "train.max_epochs=3",
    )  # fmt: skip
    run_here(*how, root=tmp_path / "memory")
    request.getfixturevalue("no_memory")
    run_here(*how, root=tmp_path / "disk")
    (one,), (other,) = (records(tmp_path / name).values() for name in ("memory", "disk"))
    assert one == other
    names = [next((tmp_path / name / "default").iterdir()).name for name in ("memory", "disk")]
    assert names[0] == names[1]
    assert names[0].startswith(f"{alg}-words-blank-x1-linear")


def test_a_header_of_too_many_numbers_is_one_line(tmp_path, recwarn):
    folder = in_folder(tmp_path / "a", vectors())
    with open(folder / "x_train.npy", "wb") as file:
        header = {"descr": "<f2", "fortran_order": False, "shape": (10**19, 3)}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(bytes(100))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for path in folder.glob("*.npy"):
            archive.write(path, path.name)
    assert "x_train.npy cannot be read as .npy (" in fault("npy", folder)
    assert "x_train cannot be read as .npz (" in fault("npz", tmp_path / "a.npz")
    assert not recwarn.list
