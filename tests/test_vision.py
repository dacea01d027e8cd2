"""torchvision's datasets on tiny files in their exact format: read, absent, damaged, downloaded."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import socket
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from omegaconf import OmegaConf

from hetal.data import load_torchvision, vision
from hetal.data.standardise import statistics
from hetal.errors import BadInput
from hetal.rng import stream
from hetal.task import Task
from tests import tiny_data
from tests.tiny_data import CONF, composed, load

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    """A proxy of the machine must not answer for an address that is meant to be dead."""
    monkeypatch.setenv("no_proxy", "*")


def tiny(source: str, root: Path, *overrides: str, seed: int = 0) -> Task:
    """The task of a YAML in conf/data, read by the class of `tests.tiny_data`."""
    target = f"tests.tiny_data.{tiny_data.FORMATS[source][1]}"
    which = [f"data.{part}._target_={target}" for part in ("train", "test")]
    return load(source, *which, f"data.root='{root}'", *overrides, seed=seed)


def fault_of(*args, **kwargs) -> str:
    """The message of the BadInput that `tiny(...)` ends in: one line."""
    with pytest.raises(BadInput) as caught:
        tiny(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture(scope="module")
def roots(tmp_path_factory) -> dict[str, Path]:
    """One folder a format, 240 training and 120 test images in each."""
    made = {}
    for source, (write, *_) in tiny_data.FORMATS.items():
        made[source] = tmp_path_factory.mktemp(source)
        write(made[source], 240)
    return made


def test_every_yaml_with_files_has_a_tiny_twin():
    reads_files = {
        path.stem for path in (CONF / "data").glob("*.yaml") if "files" in OmegaConf.load(path).data
    }
    assert reads_files == set(tiny_data.FORMATS)


@pytest.mark.parametrize("source", tiny_data.FORMATS)
def test_the_arrays_are_what_was_written(source, roots):
    _, _, n_classes, shape = tiny_data.FORMATS[source]
    task = tiny(source, roots[source], "data.download=false")
    written = shape if shape[0] == 3 else shape[1:]
    for seed, (examples, n) in enumerate([(task.train, 240), (task.test, 120)]):
        images, labels = tiny_data.examples(n, n_classes, written, seed)
        assert torch.equal(examples.images, torch.from_numpy(images.reshape(n, *shape)))
        assert torch.equal(examples.labels, torch.from_numpy(labels))
        assert examples.images.is_contiguous()
    assert task.n_classes == n_classes
    assert len(task.mean) == len(task.std) == shape[0]
    assert all(0 < value < 255 for value in (*task.mean, *task.std))


@pytest.mark.parametrize("source", tiny_data.FORMATS)
def test_the_yaml_lists_exactly_the_files_of_the_format(source, roots):
    files = load_files(source)
    there = {str(p.relative_to(roots[source])) for p in roots[source].rglob("*") if p.is_file()}
    assert set(files) == {p for p in there if p != tiny_data.SUMS and not p.startswith(".")}


def load_files(source: str) -> list[str]:
    return list(composed(source).files)


@pytest.mark.parametrize("source", tiny_data.FORMATS)
def test_what_is_there_is_not_downloaded(source, roots):
    before = sorted(roots[source].rglob("*"))
    assert len(tiny(source, roots[source], "data.download=true", "data.n_train=100").train) == 100
    assert sorted(roots[source].rglob("*")) == before


@pytest.mark.parametrize("source", ["mnist", "fashion_mnist", "kmnist", "emnist"])
def test_the_yaml_as_it_is_reads_the_mnist_family(source, roots):
    assert len(load(source, f"data.root={roots[source]}", "data.download=false").train) == 240


def test_emnist_letters_are_counted_from_0(tmp_path):
    tiny_data.write_emnist(tmp_path, 60, "letters")
    task = tiny("emnist", tmp_path, "data.train.split=letters", "data.download=false")
    assert task.n_classes == 26
    assert torch.equal(task.train.labels, torch.from_numpy(tiny_data.examples(60, 26, (28, 28), 0)[1]))


@pytest.mark.parametrize("source", tiny_data.FORMATS)
def test_absent_data_say_what_goes_where(source, tmp_path):
    message = fault_of(source, tmp_path / "none", "data.download=false")
    assert message.startswith(f"data.root={tmp_path / 'none'}: {tiny_data.FORMATS[source][1]} is not there")
    assert "data.download=true" in message
    assert "http" in message
    assert all(file in message for file in load_files(source))
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("source", tiny_data.FORMATS)
def test_no_network_says_what_goes_where_and_leaves_nothing_behind(source, tmp_path):
    message = fault_of(source, tmp_path / "new", "data.download=true")
    assert "downloading failed" in message
    assert "refused" in message.lower()
    assert "data.download=true" not in message
    assert all(file in message for file in load_files(source))
    assert [p for p in (tmp_path / "new").rglob("*") if p.suffix != ".lock"] == []
    assert socket.getdefaulttimeout() is None


@pytest.mark.parametrize("source", tiny_data.FORMATS)
@pytest.mark.parametrize("download", ["true", "false"])
def test_a_damaged_file_is_told_from_an_absent_one(source, download, roots, tmp_path):
    shutil.copytree(roots[source], tmp_path, dirs_exist_ok=True)
    damaged = tmp_path / load_files(source)[0]
    damaged.write_bytes(damaged.read_bytes()[:-100])
    message = fault_of(source, tmp_path, f"data.download={download}")
    assert "is damaged or not readable" in message
    assert "is not there" not in message


@pytest.mark.parametrize("source", ["cifar10", "cifar100", "svhn"])
def test_one_changed_byte_is_noticed_where_torchvision_knows_the_md5(source, roots, tmp_path):
    shutil.copytree(roots[source], tmp_path, dirs_exist_ok=True)
    path = tmp_path / load_files(source)[0]
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)
    assert "is damaged" in fault_of(source, tmp_path, "data.download=false")


def test_one_absent_file_is_named(roots, tmp_path):
    shutil.copytree(roots["kmnist"], tmp_path, dirs_exist_ok=True)
    (tmp_path / "KMNIST/raw/t10k-labels-idx1-ubyte").unlink()
    message = fault_of("kmnist", tmp_path, "data.download=false")
    assert "is not there (no KMNIST/raw/t10k-labels-idx1-ubyte)" in message


@pytest.mark.parametrize("download", ["true", "false"])
def test_a_root_that_is_a_file_is_refused(download, tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    assert f"data.root={path}: is a file" in fault_of("cifar10", path, f"data.download={download}")
    assert "NotADirectory" in fault_of("cifar10", path / "below", "data.download=true")
    assert "is not there" in fault_of("cifar10", path / "below", "data.download=false")


@pytest.mark.parametrize("download", ["true", "false"])
def test_a_root_without_permission_is_refused(download, roots, tmp_path):
    shutil.copytree(roots["mnist"], tmp_path / "shut")
    (tmp_path / "shut").chmod(0)
    try:
        if os.access(tmp_path / "shut", os.R_OK):
            pytest.skip("this user may read anything")
        message = fault_of("mnist", tmp_path / "shut", f"data.download={download}")
        assert message.startswith(f"data.root={tmp_path / 'shut'}: MNIST ")
        assert "ermission" in message
    finally:
        (tmp_path / "shut").chmod(0o755)


def test_a_relative_root_and_the_home_folder(roots, monkeypatch):
    monkeypatch.chdir(roots["svhn"].parent)
    assert len(tiny("svhn", Path(roots["svhn"].name)).train) == 240
    monkeypatch.setenv("HOME", str(roots["svhn"].parent))
    assert len(tiny("svhn", Path("~") / roots["svhn"].name).train) == 240


def test_the_root_is_taken_from_the_environment(roots, monkeypatch):
    monkeypatch.setenv("HETAL_DATA", str(roots["mnist"]))
    assert len(load("mnist", "data.download=false").train) == 240
    monkeypatch.delenv("HETAL_DATA")
    assert composed("mnist").root == "~/.cache/hetal"


def test_a_test_label_that_training_lacks_is_refused(tmp_path):
    tiny_data.write_mnist(tmp_path, 40)
    _, labels = tiny_data.examples(40, 10, (28, 28), 0)
    tiny_data.write_idx(tmp_path / "MNIST/raw/train-labels-idx1-ubyte", np.where(labels == 4, 5, labels))
    assert "data.test: label 4 is in the test set but not" in fault_of("mnist", tmp_path)


def test_what_is_no_uint8_image_is_refused():
    class Fake:
        data, targets = np.zeros((3, 4, 4), dtype=np.float32), [0, 1, 2]

    with pytest.raises(BadInput, match=r"^data: Fake holds torch\.float32 images \(3, 1, 4, 4\)"):
        vision._arrays(Fake())


# ---- downloading, from a server on this machine


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def mirror(roots, tmp_path) -> Iterator[Path]:
    """A folder of archives, as the sites offer them, served at `ADDRESS[folder]`."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    for path in (roots["kmnist"] / "KMNIST/raw").iterdir():
        (folder / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    with tarfile.open(folder / "cifar-10-python.tar.gz", "w:gz") as archive:
        archive.add(roots["cifar10"] / "cifar-10-batches-py", "cifar-10-batches-py")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    ADDRESS[folder] = f"http://127.0.0.1:{server.server_port}/"
    yield folder
    server.shutdown()
    server.server_close()
    thread.join()


ADDRESS: dict[Path, str] = {}


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def kmnist_of(mirror: Path) -> type:
    resources = [(name, md5(mirror / name)) for name, _ in torchvision.datasets.KMNIST.resources]
    here = {"mirrors": [ADDRESS[mirror]], "resources": resources}
    return type("KMNIST", (torchvision.datasets.KMNIST,), here)


def cifar10_of(mirror: Path, roots: dict[str, Path], url: str | None = None) -> type:
    sums = tiny_data._sums(roots["cifar10"])
    archive = mirror / "cifar-10-python.tar.gz"
    here = {
        "url": url or ADDRESS[mirror] + archive.name,
        "tgz_md5": md5(archive),
        "train_list": [[f"data_batch_{i}", sums[f"data_batch_{i}"]] for i in range(1, 6)],
        "test_list": [["test_batch", sums["test_batch"]]],
        "meta": {**torchvision.datasets.CIFAR10.meta, "md5": sums["batches.meta"]},
    }
    return type("CIFAR10", (torchvision.datasets.CIFAR10,), here)


def fetch(source: str, dataset: type, root: Path) -> Task:
    data = composed(source, f"data.root='{root}'")
    parts = {part: partial(dataset, train=part == "train") for part in ("train", "test")}
    rest = {k: v for k, v in data.items() if k not in ("_target_", "_partial_", "train", "test")}
    return load_torchvision(**parts, **rest, rng=stream(0, "data"))


def left(root: Path) -> set[str]:
    return {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file() and p.suffix != ".lock"}


def test_a_download_leaves_the_files_and_nothing_else(mirror, roots, tmp_path):
    assert len(fetch("kmnist", kmnist_of(mirror), tmp_path / "root").train) == 240
    assert len(fetch("cifar10", cifar10_of(mirror, roots), tmp_path / "root").train) == 240
    assert left(tmp_path / "root") == {*load_files("kmnist"), *load_files("cifar10")}
    assert [p for p in (tmp_path / "root").iterdir() if p.name.startswith(".download")] == []


def test_a_damaged_file_is_downloaded_again(mirror, roots, tmp_path):
    shutil.copytree(roots["kmnist"], tmp_path / "root")
    (tmp_path / "root/KMNIST/raw/train-images-idx3-ubyte").write_bytes(b"half")
    assert len(fetch("kmnist", kmnist_of(mirror), tmp_path / "root").train) == 240


def test_a_download_that_breaks_off_leaves_nothing(mirror, tmp_path):
    dataset = kmnist_of(mirror)
    (mirror / "t10k-labels-idx1-ubyte.gz").write_bytes(b"not what the md5 says")
    with pytest.raises(BadInput, match=r"downloading failed .*File not found or corrupted"):
        fetch("kmnist", dataset, tmp_path / "root")
    assert left(tmp_path / "root") == set()


def test_an_archive_put_under_the_root_by_hand_is_unpacked(mirror, roots, tmp_path):
    (tmp_path / "root").mkdir()
    shutil.copy(mirror / "cifar-10-python.tar.gz", tmp_path / "root")
    dataset = cifar10_of(mirror, roots, url=tiny_data.NOWHERE)
    assert len(fetch("cifar10", dataset, tmp_path / "root").train) == 240
    assert left(tmp_path / "root") == {*load_files("cifar10"), "cifar-10-python.tar.gz"}


# ---- the real Fashion-MNIST


def test_the_real_fashion_mnist(tmp_path):
    if not DEBIAN_FASHION_MNIST.is_dir():
        pytest.skip(f"no {DEBIAN_FASHION_MNIST}: apt-get install dataset-fashion-mnist")
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for path in DEBIAN_FASHION_MNIST.glob("*.gz"):
        (raw / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    task = load("fashion_mnist", f"data.root={tmp_path}", "data.download=false", "data.n_train=4000")
    assert torch.bincount(task.train.labels).tolist() == [400] * 10
    task = load("fashion_mnist", f"data.root={tmp_path}", "data.download=false")
    assert (len(task.train), len(task.test), task.n_classes) == (60_000, 10_000, 10)
    assert task.image_shape == (1, 28, 28)
    mean, std = statistics(task.train.images, "feature")
    assert task.mean == pytest.approx(mean, abs=0.05)
    assert task.std == pytest.approx(std, abs=0.05)
