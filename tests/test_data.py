"""Every source of data: the embedded ones as they are, the others on tiny files in their exact format."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import socket
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from hetal.data import vision
from hetal.data.npz import mean_and_std
from hetal.errors import BadInput
from hetal.rng import stream
from hetal.task import Examples, Task, stratified
from tests import tiny_data

CONF = Path(__file__).parents[1] / "conf"
DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    """A proxy of the machine must not answer for an address that is meant to be dead."""
    monkeypatch.setenv("no_proxy", "*")


def load(source: str, *overrides: str, seed: int = 0) -> Task:
    """The task as its YAML and Hydra give it."""
    with initialize_config_dir(version_base=None, config_dir=str(CONF)):
        config = compose(overrides=[f"+data={source}", *overrides])
    return instantiate(config.data)(rng=stream(seed, "data"))


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


# ---- all YAML files


@pytest.mark.parametrize("path", sorted((CONF / "data").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_yaml_sets_a_budget_and_says_what_it_is(path):
    lines = path.read_text().splitlines()
    assert lines[0] == "# @package _global_"
    assert lines[1].startswith("# ")
    config = OmegaConf.load(path)
    assert set(config) == {"n_start", "n_query", "n_end", "data"}
    assert 0 < config.n_start < config.n_end
    assert (config.n_end - config.n_start) % config.n_query == 0
    assert config.data.n_train is None


# ---- digits


def test_digits_are_scikit_learns():
    task = load("digits")
    assert (len(task.train), len(task.test), task.n_classes) == (1297, 500, 10)
    assert task.image_shape == (1, 8, 8)
    assert task.train.images.dtype == torch.uint8
    images = torch.cat([task.train.images, task.test.images])
    # 0..16 scaled to 0..255 and rounded, and no image in both sets.
    assert torch.equal(images.unique(), torch.arange(17).mul(255 / 16).round().to(torch.uint8))
    assert len(torch.unique(images, dim=0)) == 1797
    share = torch.bincount(task.train.labels + 0.0 > -1) and torch.bincount(task.train.labels) / 1297
    assert torch.allclose(share, torch.bincount(task.test.labels) / 500, atol=0.002)


def test_digits_constants_are_those_of_the_training_set():
    task = load("digits")
    mean, std = mean_and_std(task.train.images)
    assert task.mean == pytest.approx(mean, abs=0.005)
    assert task.std == pytest.approx(std, abs=0.005)


def test_n_train_is_a_seeded_share_of_each_class_and_leaves_the_test_set():
    whole = load("digits")
    one, same, other = (load("digits", "data.n_train=130", seed=s) for s in (0, 0, 1))
    assert torch.equal(one.train.images, same.train.images)
    assert not torch.equal(one.train.images, other.train.images)
    assert int((torch.bincount(one.train.labels) - 13).abs().max()) <= 1
    for task in (one, other):
        assert torch.equal(task.test.images, whole.test.images)


@pytest.mark.parametrize("value", ["9", "1298", "-1", "200.5", "many"])
def test_an_impossible_n_train_is_refused(value):
    with pytest.raises(BadInput, match=rf"^data\.n_train={value}: must be a whole number in 10\.\.1297$"):
        load("digits", f"data.n_train={value}")


@given(
    counts=st.lists(st.integers(0, 30), min_size=1, max_size=8).filter(any),
    share=st.floats(0, 1),
    seed=st.integers(0, 9),
)
@settings(max_examples=60, deadline=None)
def test_stratified_draws_what_it_says(counts, share, seed):
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    least = sum(c > 0 for c in counts)
    n = least + int(share * (len(labels) - least))
    drawn = stratified(labels, n, stream(seed, "data"))
    assert len(torch.unique(drawn)) == n
    quota = torch.bincount(labels[drawn], minlength=len(counts))
    assert all(1 <= q <= c for q, c in zip(quota.tolist(), counts, strict=True) if c)
    exact = torch.tensor(counts) * n / len(labels)
    if bool((exact[torch.tensor(counts) > 0] >= 1).all()):
        assert float((quota - exact).abs().max()) < 1 + 1e-4


@pytest.mark.parametrize("setting", ["mean", "std"])
@pytest.mark.parametrize("value", ["[.nan]", "[.inf]", "[1,2]"])
def test_bad_constants_are_refused(setting, value):
    with pytest.raises(BadInput, match=rf"^data\.{setting}: "):
        load("digits", f"data.{setting}={value.replace('.', '')}")


# ---- four_moons


def test_four_moons_is_two_pairs_and_the_test_set_is_all_of_it():
    task = load("four_moons")
    assert task.n_classes == 4
    assert task.image_shape == (2,)
    assert task.train.images.dtype == torch.float32
    assert torch.bincount(task.train.labels).tolist() == [3000] * 4
    assert torch.equal(task.train.images, task.test.images)
    assert torch.equal(task.train.labels, task.test.labels)
    first, second = task.train.images.split(6000)
    torch.testing.assert_close(second - first, torch.tensor([4.0, 0.0]).expand(6000, 2))
    # Each point lies within five standard deviations of its half circle of radius 1.
    centre = torch.tensor([[0.0, 0.0], [1.0, 0.5], [4.0, 0.0], [5.0, 0.5]])[task.train.labels]
    radius = (task.train.images - centre).norm(dim=1)
    assert float((radius - 1).abs().max()) < 0.5
    assert float((radius - 1).std()) == pytest.approx(0.1, abs=0.005)
    assert (task.mean, task.std) == ((0.0,), (1.0,))


def test_four_moons_are_the_same_points_at_every_seed():
    one, other = (load("four_moons", "data.n_train=400", seed=s) for s in (0, 1))
    assert torch.equal(one.test.images, other.test.images)
    assert not torch.equal(one.train.images, other.train.images)
    assert torch.bincount(one.train.labels).tolist() == [100] * 4


def test_four_moons_with_its_noise_is_the_published_pool():
    task = load("four_moons")
    noise = instantiate(OmegaConf.load(CONF / "noise" / "copies.yaml"))
    pool = noise(task.train, task.n_classes, 1.5, stream(0, "noise"))
    assert len(pool) == 30_000
    assert len(pool.images_M) == 12_000
    assert int(pool.is_noisy_N.sum()) == 21_000
    assert torch.bincount(torch.bincount(pool.source_N)).tolist() == [0, 9000, 0, 0, 0, 0, 0, 3000]


@pytest.mark.parametrize(
    "bad", ["data.n_per_pair=0", "data.jitter=-1", "data.point_seed=-1", "data.jitter=abc"]
)
def test_four_moons_refuses(bad):
    with pytest.raises(BadInput, match=bad.replace(".", r"\.")):
        load("four_moons", bad)


# ---- torchvision's, on tiny files


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
    with initialize_config_dir(version_base=None, config_dir=str(CONF)):
        return list(compose(overrides=[f"+data={source}"]).data.files)


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


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may read and write anything")
@pytest.mark.parametrize("download", ["true", "false"])
def test_a_root_without_permission_is_refused(download, roots, tmp_path):
    shutil.copytree(roots["mnist"], tmp_path / "shut")
    (tmp_path / "shut").chmod(0)
    try:
        assert "data.root=" in fault_of("mnist", tmp_path / "shut", f"data.download={download}")
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
    with initialize_config_dir(version_base=None, config_dir=str(CONF)):
        assert compose(overrides=["+data=mnist"]).data.root == "~/.cache/hetal"


def test_a_test_label_that_training_lacks_is_refused(tmp_path):
    tiny_data.write_mnist(tmp_path, 40)
    images, labels = tiny_data.examples(40, 10, (28, 28), 0)
    tiny_data.write_idx(tmp_path / "MNIST/raw/train-labels-idx1-ubyte", np.where(labels == 4, 5, labels))
    assert "data.test: label 4 is in the test set but not" in fault_of("mnist", tmp_path)


def test_what_is_no_uint8_image_is_refused():
    class Fake:
        data, targets = np.zeros((3, 4, 4), dtype=np.float32), [0, 1, 2]

    with pytest.raises(BadInput, match=r"^data: Fake holds torch\.float32 images \(3, 1, 4, 4\)"):
        vision._arrays(Fake())


# ---- downloading, from files on this machine


@pytest.fixture
def mirror(roots, tmp_path) -> Path:
    """A folder of archives, as the sites offer them."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    for path in (roots["kmnist"] / "KMNIST/raw").iterdir():
        (folder / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    with tarfile.open(folder / "cifar-10-python.tar.gz", "w:gz") as archive:
        archive.add(roots["cifar10"] / "cifar-10-batches-py", "cifar-10-batches-py")
    return folder


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def kmnist_of(mirror: Path) -> type:
    resources = [(name, md5(mirror / name)) for name, _ in torchvision.datasets.KMNIST.resources]
    here = {"mirrors": [mirror.as_uri() + "/"], "resources": resources}
    return type("KMNIST", (torchvision.datasets.KMNIST,), here)


def cifar10_of(mirror: Path, roots: dict[str, Path], url: str | None = None) -> type:
    sums = tiny_data._sums(roots["cifar10"])
    archive = mirror / "cifar-10-python.tar.gz"
    here = {
        "url": archive.as_uri() if url is None else url,
        "tgz_md5": md5(archive),
        "train_list": [[f"data_batch_{i}", sums[f"data_batch_{i}"]] for i in range(1, 6)],
        "test_list": [["test_batch", sums["test_batch"]]],
        "meta": {**torchvision.datasets.CIFAR10.meta, "md5": sums["batches.meta"]},
    }
    return type("CIFAR10", (torchvision.datasets.CIFAR10,), here)


def fetch(source: str, dataset: type, root: Path) -> Task:
    with initialize_config_dir(version_base=None, config_dir=str(CONF)):
        data = compose(overrides=[f"+data={source}", f"data.root='{root}'"]).data
    parts = {part: vision.partial(dataset, train=part == "train") for part in ("train", "test")}
    rest = {k: v for k, v in data.items() if k not in ("_target_", "_partial_", "train", "test")}
    return vision.load(**parts, **rest, rng=stream(0, "data"))


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
    with pytest.raises(BadInput, match="downloading failed"):
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
    mean, std = mean_and_std(task.train.images)
    assert task.mean == pytest.approx(mean, abs=0.05)
    assert task.std == pytest.approx(std, abs=0.05)


# ---- npz


def arrays(**changes: np.ndarray) -> dict[str, np.ndarray]:
    """A valid file's arrays: 12 training and 6 test images of 3 classes."""
    rng = np.random.default_rng(0)
    valid = {
        "x_train": rng.integers(0, 256, (12, 2, 5, 5), dtype=np.uint8),
        "y_train": np.arange(12) % 3,
        "x_test": rng.integers(0, 256, (6, 2, 5, 5), dtype=np.uint8),
        "y_test": np.arange(6) % 3,
    }
    return {**valid, **changes}


def npz(path: Path, *overrides: str) -> Task:
    return load("npz", f"data.path='{path}'", *overrides)


def saved(tmp_path: Path, content: dict[str, np.ndarray]) -> Path:
    path = tmp_path / "own.npz"
    np.savez(path, **content)
    return path


def test_npz_is_read_as_it_was_saved(tmp_path):
    content = arrays()
    task = npz(saved(tmp_path, content))
    assert task.n_classes == 3
    assert torch.equal(task.train.images, torch.from_numpy(content["x_train"]))
    assert torch.equal(task.test.labels, torch.from_numpy(content["y_test"]))
    np.testing.assert_allclose(task.mean, content["x_train"].mean(axis=(0, 2, 3)))
    np.testing.assert_allclose(task.std, content["x_train"].std(axis=(0, 2, 3)))
    compressed = tmp_path / "compressed.npz"
    np.savez_compressed(compressed, **content)
    assert torch.equal(npz(compressed).train.images, task.train.images)


@pytest.mark.parametrize(
    ("shape", "image_shape"),
    [((5, 4), (1, 5, 4)), ((3, 5, 4), (3, 5, 4)), ((7,), (7,)), ((1, 9, 1), (1, 9, 1))],
)
@pytest.mark.parametrize("dtype", ["u1", "<f8", ">f8", "f4", "f2", "g"])
def test_npz_layouts_and_types(tmp_path, shape, image_shape, dtype):
    x_train, x_test = np.full((12, *shape), 3, dtype), np.full((6, *shape), 3, dtype)
    x_train[0] = 5
    task = npz(saved(tmp_path, arrays(x_train=x_train, x_test=x_test)))
    assert task.image_shape == image_shape
    assert task.train.images.dtype == (torch.uint8 if dtype == "u1" else torch.float32)
    assert bool((task.train.images[0] == 5).all())
    assert bool((task.test.images == 3).all())


@pytest.mark.parametrize("dtype", ["i1", "u1", ">i4", "u8", "i8"])
def test_npz_labels_of_any_whole_type(tmp_path, dtype):
    task = npz(saved(tmp_path, arrays(y_train=(np.arange(12) % 3).astype(dtype))))
    assert task.train.labels.tolist() == [0, 1, 2] * 4


def test_npz_constants_may_be_given_and_a_constant_feature_has_std_1(tmp_path):
    x_train = np.stack([np.full(12, 1e9), np.arange(12) % 2], axis=1)
    path = saved(tmp_path, arrays(x_train=x_train, x_test=x_train[:6]))
    task = npz(path)
    assert task.mean == (1e9, 0.5)
    assert task.std == (1.0, 0.5)
    task = npz(path, "data.mean=[1]", "data.std=[2,3]")
    assert (task.mean, task.std) == ((1,), (2, 3))


def test_mean_and_std_add_up_over_slices():
    images = torch.randn(9000, 3, 2, 2, generator=stream(0, "x")) * 4 + 1000
    mean, std = mean_and_std(images)
    torch.testing.assert_close(torch.tensor(mean), images.double().mean((0, 2, 3)).float())
    torch.testing.assert_close(torch.tensor(std), images.double().std((0, 2, 3), correction=0).float())


def test_npz_n_train_and_the_home_folder(tmp_path, monkeypatch):
    saved(tmp_path, arrays())
    monkeypatch.setenv("HOME", str(tmp_path))
    assert torch.bincount(npz(Path("~/own.npz"), "data.n_train=6").train.labels).tolist() == [2, 2, 2]


FAULTS = {
    "x_train is int64; it must be uint8 or a float type": {"x_train": np.zeros((12, 2, 5, 5), dtype=int)},
    "x_test is bool": {"x_test": np.zeros((6, 2, 5, 5), dtype=bool)},
    "x_train is complex128": {"x_train": np.zeros((12, 2, 5, 5), dtype=complex)},
    "x_train is <U1": {"x_train": np.full((12, 2), "a")},
    "x_train has shape (12,)": {"x_train": np.zeros(12)},
    "x_train has shape ()": {"x_train": np.array(1.0)},
    "x_train has shape (12, 2, 5, 5, 1)": {"x_train": np.zeros((12, 2, 5, 5, 1))},
    "x_train has shape (0, 2, 5, 5)": {"x_train": np.zeros((0, 2, 5, 5))},
    "x_train has shape (12, 0)": {"x_train": np.zeros((12, 0))},
    "x_train has shape (12, 8, 8, 3), channels last": {"x_train": np.zeros((12, 8, 8, 3))},
    "x_train holds NaN": {"x_train": np.full((12, 2, 5, 5), np.nan)},
    "x_test holds NaN, infinity": {"x_test": np.full((6, 2, 5, 5), 1e39)},
    "y_train has 11 labels for 12 images": {"y_train": np.arange(11) % 3},
    "y_test has 7 labels for 6 images": {"y_test": np.arange(7) % 3},
    "y_train is float64 of shape (12,)": {"y_train": np.zeros(12)},
    "y_train is bool": {"y_train": np.arange(12) % 2 == 0},
    "y_train is int64 of shape (12, 3)": {"y_train": np.eye(12, 3, dtype=int)},
    "y_train holds labels -1..2": {"y_train": np.arange(12) % 4 - 1},
    "y_train holds labels 0..18446744073709551615": {
        "y_train": np.array([0] * 11 + [2**64 - 1], dtype=np.uint64)
    },
    "y_train holds labels up to 3 but none is 2": {"y_train": np.array([0, 1, 3] * 4)},
    "y_train holds labels up to 12 but none is 0": {"y_train": np.arange(1, 13)},
    "y_train holds one class only": {"y_train": np.zeros(12, dtype=int)},
    "y_test holds label 3; the classes in y_train are 0..2": {"y_test": np.arange(6) % 4},
    "x_train holds uint8 (2, 5, 5) and x_test float32 (2, 5, 5)": {"x_test": np.zeros((6, 2, 5, 5))},
    "and x_test uint8 (2, 5, 4)": {"x_test": np.zeros((6, 2, 5, 4), dtype=np.uint8)},
    "cannot be read as .npz (ValueError: Object arrays": {"x_train": np.array([None] * 12)},
}


def npz_fault(path: Path) -> str:
    with pytest.raises(BadInput) as caught:
        npz(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"data.path={path}: ")
    return message


@pytest.mark.parametrize("fault", FAULTS)
def test_npz_names_its_fault(fault, tmp_path):
    assert fault in npz_fault(saved(tmp_path, arrays(**FAULTS[fault])))


@pytest.mark.parametrize("key", ["x_train", "y_train", "x_test", "y_test"])
def test_npz_names_a_missing_array(key, tmp_path):
    content = arrays()
    del content[key]
    assert f"has no array {key}; it must hold x_train, " in npz_fault(saved(tmp_path, content))


def test_npz_files_that_are_none(tmp_path):
    assert "there is no such file" in npz_fault(tmp_path / "absent.npz")
    assert "cannot be read" in npz_fault(tmp_path)
    (tmp_path / "empty.npz").write_bytes(b"")
    assert "cannot be read" in npz_fault(tmp_path / "empty.npz")
    (tmp_path / "text.npz").write_text("label,pixel0\n1,2\n")
    assert "cannot be read" in npz_fault(tmp_path / "text.npz")
    np.save(tmp_path / "single.npy", np.zeros(3))
    assert "not an .npz file but a single array" in npz_fault(tmp_path / "single.npy")
    path = saved(tmp_path, arrays())
    path.write_bytes(path.read_bytes()[:-200])
    assert "cannot be read" in npz_fault(path)


def test_npz_without_a_path_says_what_to_give():
    with pytest.raises(BadInput, match=r"^data\.path is not set: data\.path=FILE\.npz"):
        load("npz")


VALID = io.BytesIO()
np.savez(VALID, **arrays())


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_npz_survives_any_bytes(data, tmp_path_factory):
    """Random bytes, or a valid file with a few bytes changed, cut or put in: a task, or one line."""
    content = bytearray(VALID.getvalue())
    if data.draw(st.booleans(), label="random"):
        content = bytearray(data.draw(st.binary(max_size=200)))
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(content)))
            cut = data.draw(st.integers(0, 3) | st.integers(0, len(content)))
            content[at : at + cut] = data.draw(st.binary(max_size=4))
    path = tmp_path_factory.mktemp("fuzz") / "own.npz"
    path.write_bytes(content)
    from hetal.data.npz import load as load_npz

    try:
        task = load_npz(str(path), n_train=None, mean=None, std=None, rng=stream(0, "data"))
    except BadInput as fault:
        assert str(fault).startswith(f"data.path={path}: ")
    else:
        assert isinstance(task.train, Examples)


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_npz_survives_any_arrays(data, tmp_path_factory):
    """Well-formed files of arrays of any type and shape: a task that can be standardised, or one line."""
    from hetal.data.npz import load as load_npz

    def draw(key: str, dtypes: str, ranks: tuple[int, int]) -> np.ndarray:
        dtype = data.draw(st.sampled_from(dtypes.split()), label=key)
        shape = data.draw(st.lists(st.integers(0, 4), min_size=ranks[0], max_size=ranks[1]))
        size = int(np.prod(shape))
        raw = data.draw(st.binary(min_size=0, max_size=max(size, 1) * np.dtype(dtype).itemsize))
        raw = raw.ljust(size * np.dtype(dtype).itemsize, b"\0")
        return np.frombuffer(raw, dtype=dtype, count=size).reshape(shape)

    content = arrays()
    for key in data.draw(st.sets(st.sampled_from(sorted(content)), min_size=1)):
        content[key] = draw(key, "u1 f2 f4 >f8 i8 u8 ? c8 S3 U2 M8[s] V4", (0, 5))
    path = saved(tmp_path_factory.mktemp("fuzz"), content)
    try:
        task = load_npz(str(path), n_train=None, mean=None, std=None, rng=stream(0, "data"))
    except BadInput as fault:
        assert str(fault).startswith(f"data.path={path}: ")
    else:
        assert all(np.isfinite([*task.mean, *task.std]))
