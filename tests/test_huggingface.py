"""Datasets of Hugging Face on disk: splits, columns, images and vectors, and what every fault says."""

from __future__ import annotations

import functools
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from omegaconf import OmegaConf
from PIL import Image

from hetal.data import load_huggingface
from hetal.errors import BadInput
from hetal.rng import stream
from hetal.task import Task
from tests.tiny_data import composed

N_DAMAGED = 40
NAMES = ("ant", "bee", "cow")


@pytest.fixture
def pa():
    return pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'hetal[huggingface]'")


@functools.cache
def defaults() -> dict[str, object]:
    """The settings of the YAML, which take a while to compose."""
    node = OmegaConf.to_container(composed("huggingface", "data.root=unset"))
    return {key: value for key, value in node.items() if key not in ("_target_", "_partial_", "name")}


def dataset(path: Path, *overrides: str, seed: int = 0) -> Task:
    typed = {"data.path": str(path), "data.root": str(path.parent / "cache")}
    typed |= {key: yaml.safe_load(value) for key, value in (text.split("=", 1) for text in overrides)}
    given = {key.removeprefix("data."): value for key, value in typed.items()}
    assert given.keys() <= defaults().keys()
    return load_huggingface(**(defaults() | given), rng=stream(seed, "data"))


def image(k: int, size: tuple[int, int] = (6, 5)) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(k).integers(0, 60, (*size, 3)) + 80 * (k % 3)
    Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def described(table, **columns):
    """The table with what the hub's library writes into the metadata of a file."""
    text = json.dumps({"info": {"features": columns}})
    return table.replace_schema_metadata({"huggingface": text})


def images(pa, n: int, **changes):
    table = pa.table(
        {
            "image": [{"bytes": image(k), "path": None} for k in range(n)],
            "label": [k % 3 for k in range(n)],
            "id": [str(k) for k in range(n)],
            **changes,
        }
    )
    return described(table, image={"_type": "Image"}, label={"_type": "ClassLabel", "names": list(NAMES)})


def write(pa, path: Path, table) -> Path:
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        parquet.write_table(table, path)
    else:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=4)
    return path


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("data/train-0000{}-of-00002.parquet", "data/test-00000-of-00001.parquet"),
        ("plain/train/000{}.parquet", "plain/test/0000.parquet"),
        ("train/data-0000{}-of-00002.arrow", "test/data-00000-of-00001.arrow"),  # save_to_disk
    ],
)
def test_splits_of_files(pa, tmp_path, train, test):
    table = images(pa, 12)
    write(pa, tmp_path / "set" / train.format(0), table.slice(0, 5))
    write(pa, tmp_path / "set" / train.format(1), table.slice(5))
    write(pa, tmp_path / "set" / test, images(pa, 6))
    write(pa, tmp_path / "set" / "train" / "cache-1.arrow", images(pa, 3))
    task = dataset(tmp_path / "set")
    assert task.class_names == NAMES
    assert task.train.labels.tolist() == [0, 1, 2] * 4
    assert task.test.labels.tolist() == [0, 1, 2] * 2
    want = np.asarray(Image.open(io.BytesIO(image(7)))).transpose(2, 0, 1)
    assert np.array_equal(task.train.images[7], want)
    assert torch.equal(task.test.images, task.train.images[:6])


def test_one_file_is_split(pa, tmp_path):
    task = dataset(write(pa, tmp_path / "mine.parquet", images(pa, 30)), "data.size=4", "data.color=grey")
    assert task.image_shape == (1, 4, 4)
    assert torch.bincount(task.test.labels).tolist() == [2, 2, 2]
    assert len(task.train) == 24


def test_images_that_cannot_be_read(pa, tmp_path):
    cells = [{"bytes": image(k), "path": None} for k in range(12)]
    cells[3] = {"bytes": b"x", "path": None}
    cells[5] = {"bytes": None, "path": "/etc/passwd"}
    path = write(pa, tmp_path / "train.parquet", images(pa, 12, image=cells))
    with pytest.raises(BadInput) as refusal:
        dataset(path)
    assert str(refusal.value) == (
        f"data.path={path}: 2 of 12 images cannot be read: row 3 of train (is no image, or damaged), "
        "row 5 of train (holds no image, or only the path of one); data.unreadable=skip leaves them out"
    )
    task = dataset(path, "data.unreadable=skip")
    assert len(task.train) + len(task.test) == 10
    assert task.notes[0].startswith("left out: 2 of 12")


@pytest.mark.parametrize("kind", ["list", "fixed", "half", "whole"])
def test_vectors_and_text_labels(pa, tmp_path, kind):
    x = np.arange(60.0).reshape(12, 5)
    types = {
        "list": pa.list_(pa.float64()),
        "fixed": pa.list_(pa.float32(), 5),
        "half": pa.list_(pa.float16()),
    }
    types["whole"] = pa.large_list(pa.int8())
    rows = [row.astype(np.float16) if kind == "half" else row for row in x]
    rows = [[int(v) for v in row] for row in x] if kind == "whole" else rows
    labels = pa.array([NAMES[k % 3] for k in range(12)]).dictionary_encode()
    table = pa.table({"vector": pa.array(rows, types[kind]), "kind": labels})
    write(pa, tmp_path / "set" / "train.arrow", table)
    write(pa, tmp_path / "set" / "val.arrow", table.slice(3))
    task = dataset(tmp_path / "set", "data.label=kind", "data.test=val", "data.standardise=all")
    assert torch.equal(task.train.images, torch.from_numpy(x).float())
    assert torch.equal(task.test.images, task.train.images[3:])
    assert task.class_names == NAMES
    assert task.mean == (29.5,)


def test_faults(pa, tmp_path):
    write(pa, tmp_path / "set" / "train.parquet", images(pa, 12))
    write(pa, tmp_path / "set" / "val.parquet", images(pa, 6))
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no more")
    (tmp_path / "text.csv").write_text("a,b\n")
    vector = pa.table({"x": [[1.0, 2.0], [3.0]] * 3, "label": [0, 1] * 3})
    write(pa, tmp_path / "ragged.parquet", vector)
    write(pa, tmp_path / "null.parquet", pa.table({"x": [[1.0], None] * 3, "label": [0, 1] * 3}))
    write(pa, tmp_path / "labels.parquet", pa.table({"x": [[1.0]] * 6, "label": [0, 1, None] * 2}))
    write(pa, tmp_path / "lists.parquet", pa.table({"x": [[1.0]] * 6, "label": [[0], [1], [1]] * 2}))
    write(pa, tmp_path / "two.parquet", pa.table({"x": [[1.0]] * 6, "y": [[1.0]] * 6, "label": [0, 1] * 3}))
    write(pa, tmp_path / "unlike" / "0.parquet", pa.table({"x": [[1.0]] * 6, "label": [0, 1] * 3}))
    write(pa, tmp_path / "unlike" / "1.parquet", pa.table({"z": [[1.0]] * 6, "label": [0, 1] * 3}))
    for name, typed, words in [
        ("nowhere/at/all", [], "there is no such file or folder"),
        ("nowhere.parquet", [], "there is no such file or folder"),
        ("empty", [], "must be a file .parquet or .arrow, or a folder with such files"),
        ("text.csv", [], "must be a file .parquet or .arrow"),
        ("bad.parquet", [], "cannot be read (Arrow"),
        ("set", [], "has no split test; it has train, val: data.test=val takes that"),
        ("set", ["data.train=a", "data.test=val"], "has no split a; data.train= must be one of train, val"),
        ("set", ["data.test=train"], "data.test=train: must be another split than data.train"),
        (
            "set",
            ["data.test=val", "data.label=x"],
            "data.label=x: there is no such column; there are image, label",
        ),
        (
            "set",
            ["data.test=val", "data.input=id"],
            "data.input=id: holds string; it must hold encoded images",
        ),
        ("ragged.parquet", [], "x holds lists of 1 to 2 numbers; all must be of one length"),
        ("null.parquet", [], "x has rows with missing values"),
        ("labels.parquet", [], "label of labels: 2 labels are missing"),
        ("lists.parquet", [], "label of lists holds list; labels must be"),
        ("two.parquet", [], "data.input is not set; it must be the column of images or vectors: x, y"),
        ("unlike", [], f"{tmp_path / 'unlike' / '1.parquet'} has no column x, which"),
        ("two.parquet", ["data.input=x", "data.size=0"], "data.size=0: must be"),
    ]:
        with pytest.raises(BadInput) as refusal:
            dataset(tmp_path / name, *typed)
        said = str(refusal.value)
        assert words in said
        assert said.startswith(words if words.startswith("data.") else f"data.path={tmp_path / name}: ")


def test_damaged_files_never_cause_anything_but_a_line(pa, tmp_path):
    rng = np.random.default_rng(0)
    paths = [write(pa, tmp_path / f"x{end}", images(pa, 9)) for end in (".parquet", ".arrow")]
    whole = [path.read_bytes() for path in paths]
    n_refused = 0
    for k in range(N_DAMAGED):
        path, damaged = paths[k % 2], bytearray(whole[k % 2])
        for at in rng.integers(0, len(damaged), 3):
            damaged[at] = rng.integers(256)
        path.write_bytes(damaged[: rng.integers(len(damaged))] if k % 5 == 0 else damaged)
        try:
            dataset(path, "data.size=4", "data.unreadable=skip", "data.test_share=0.3")
        except BadInput as fault:
            n_refused += "\n" not in str(fault)
    assert n_refused > N_DAMAGED / 5


def test_what_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BadInput) as refusal:
        dataset(tmp_path)
    assert (
        str(refusal.value)
        == f"data.path={tmp_path}: needs the package datasets: pip install 'hetal[huggingface]'"
    )
    with pytest.raises(BadInput, match=r"^data\.path is not set"):
        dataset(tmp_path, "data.path=null")


def test_a_folder_saved_by_datasets(tmp_path):
    datasets = pytest.importorskip(
        "datasets", reason="datasets is not installed: pip install 'hetal[huggingface]'"
    )
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(NAMES))})
    rows = {
        "image": [Image.open(io.BytesIO(image(k))) for k in range(12)],
        "label": [k % 3 for k in range(12)],
    }
    one = datasets.Dataset.from_dict(rows, features=features)
    both = datasets.DatasetDict(train=one, test=one.select([3, 1, 2]))
    both.save_to_disk(tmp_path / "saved")
    task = dataset(tmp_path / "saved")
    assert task.class_names == NAMES
    assert task.test.labels.tolist() == [0, 1, 2]
    assert torch.equal(task.test.images, task.train.images[[3, 1, 2]])
    one.shuffle(seed=0).save_to_disk(tmp_path / "single")
    assert len(dataset(tmp_path / "single").test) == 3
