"""Tiny datasets in the exact on-disk formats, and torchvision classes that read them and touch no network.

`write_cifar10(root, n)` and its like write `n` training and `n // 2` test images, every class in both, as
torchvision expects them under `root`. An image is the pattern of its class plus a little noise, and so can be
learnt. There must be two images a class: `n >= 20`, 94 for EMNIST, 200 for CIFAR-100.

CIFAR and SVHN are verified by md5. The classes here are torchvision's own with the md5 of the tiny files, put
by the writers into `root/tiny_md5.json`, so the check is exercised. Every address is a closed port of this
machine. On the command line: `data=cifar10 data.root=ROOT data.train._target_=tests.tiny_data.CIFAR10
data.test._target_=tests.tiny_data.CIFAR10`. The files of the MNIST family need no class of this module.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path

import numpy as np
import scipy.io
import torchvision.datasets as real
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig

from hetal.rng import stream
from hetal.task import Task

CONF = Path(__file__).parents[1] / "conf"

NOWHERE = "http://127.0.0.1:9/"
SUMS = "tiny_md5.json"


def examples(n: int, n_classes: int, shape: tuple[int, ...], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (n, *shape) uint8 images and (n,) int64 labels, every class in them."""
    assert n >= n_classes, f"{n} images cannot show {n_classes} classes"
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % n_classes)
    shade = np.random.default_rng(n_classes).integers(20, 236, (n_classes, *shape))
    images = shade[labels] + rng.integers(-20, 20, (n, *shape))
    return images.astype(np.uint8), labels


def _record(root: Path, path: Path) -> None:
    sums = json.loads((root / SUMS).read_text()) if (root / SUMS).exists() else {}
    sums[path.name] = hashlib.md5(path.read_bytes()).hexdigest()
    (root / SUMS).write_text(json.dumps(sums))


def _pickle(root: Path, path: Path, content: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=2))
    _record(root, path)


def write_cifar10(root: str | Path, n: int) -> None:
    """Five pickled training batches and a test batch of flat channel-first rows, and the class names."""
    root = Path(root)
    folder = root / "cifar-10-batches-py"
    images, labels = examples(n, 10, (3, 32, 32), seed=0)
    parts = zip(np.array_split(images, 5), np.array_split(labels, 5), strict=True)
    for i, (x, y) in enumerate(parts, start=1):
        _pickle(root, folder / f"data_batch_{i}", {"data": x.reshape(len(x), -1), "labels": y.tolist()})
    images, labels = examples(n // 2, 10, (3, 32, 32), seed=1)
    _pickle(root, folder / "test_batch", {"data": images.reshape(len(images), -1), "labels": labels.tolist()})
    _pickle(root, folder / "batches.meta", {"label_names": [str(c) for c in range(10)]})


def write_cifar100(root: str | Path, n: int) -> None:
    """One pickle each for train and test, with fine and coarse labels, and the class names."""
    root = Path(root)
    for seed, (name, m) in enumerate([("train", n), ("test", n // 2)]):
        images, labels = examples(m, 100, (3, 32, 32), seed)
        content = {
            "data": images.reshape(m, -1),
            "fine_labels": labels.tolist(),
            "coarse_labels": (labels // 5).tolist(),
        }
        _pickle(root, root / "cifar-100-python" / name, content)
    _pickle(root, root / "cifar-100-python" / "meta", {"fine_label_names": [str(c) for c in range(100)]})


def write_svhn(root: str | Path, n: int) -> None:
    """MATLAB files: X is (32, 32, 3, n), y is (n, 1) with 10 for the digit 0."""
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    for seed, (name, m) in enumerate([("train", n), ("test", n // 2)]):
        images, labels = examples(m, 10, (3, 32, 32), seed)
        path = root / f"{name}_32x32.mat"
        y = np.where(labels == 0, 10, labels).astype(np.uint8).reshape(-1, 1)
        scipy.io.savemat(path, {"X": images.transpose(2, 3, 1, 0), "y": y})
        _record(root, path)


def write_idx(path: Path, array: np.ndarray) -> None:
    """The format of MNIST: two zeros, the type (8 is uint8), the rank, the sizes big-endian, the bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes()
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def write_mnist(root: str | Path, n: int, name: str = "MNIST") -> None:
    """The four idx files of MNIST, FashionMNIST or KMNIST."""
    raw = Path(root) / name / "raw"
    for seed, (part, m) in enumerate([("train", n), ("t10k", n // 2)]):
        images, labels = examples(m, 10, (28, 28), seed)
        write_idx(raw / f"{part}-images-idx3-ubyte", images)
        write_idx(raw / f"{part}-labels-idx1-ubyte", labels)


def write_fashion_mnist(root: str | Path, n: int) -> None:
    write_mnist(root, n, "FashionMNIST")


def write_kmnist(root: str | Path, n: int) -> None:
    write_mnist(root, n, "KMNIST")


def write_emnist(root: str | Path, n: int, split: str = "balanced") -> None:
    """The four idx files of one split of EMNIST; `letters` counts its classes from 1."""
    raw = Path(root) / "EMNIST" / "raw"
    n_classes = {"balanced": 47, "letters": 26, "digits": 10}[split]
    for seed, (part, m) in enumerate([("train", n), ("test", n // 2)]):
        images, labels = examples(m, n_classes, (28, 28), seed)
        write_idx(raw / f"emnist-{split}-{part}-images-idx3-ubyte", images)
        write_idx(raw / f"emnist-{split}-{part}-labels-idx1-ubyte", labels + (split == "letters"))


def _sums(root: str | Path) -> dict[str, str]:
    path = Path(root) / SUMS
    return json.loads(path.read_text()) if path.exists() else {}


class _TinyCIFAR:
    def __init__(self, root: str | Path, train: bool = True, download: bool = False) -> None:
        sums = _sums(root)
        self.train_list = [[name, sums.get(name, md5)] for name, md5 in self.train_list]
        self.test_list = [[name, sums.get(name, md5)] for name, md5 in self.test_list]
        self.meta = {**self.meta, "md5": sums.get(self.meta["filename"], self.meta["md5"])}
        super().__init__(root, train=train, download=download)


class CIFAR10(_TinyCIFAR, real.CIFAR10):
    url = f"{NOWHERE}cifar-10-python.tar.gz"


class CIFAR100(_TinyCIFAR, real.CIFAR100):
    url = f"{NOWHERE}cifar-100-python.tar.gz"


class SVHN(real.SVHN):
    def __init__(self, root: str | Path, split: str = "train", download: bool = False) -> None:
        sums = _sums(root)
        self.split_list = {
            part: [NOWHERE + name, name, sums.get(name, md5)]
            for part, (_, name, md5) in real.SVHN.split_list.items()
        }
        super().__init__(root, split=split, download=download)


class MNIST(real.MNIST):
    mirrors = [NOWHERE]  # noqa: RUF012 (as in torchvision)


class FashionMNIST(real.FashionMNIST):
    mirrors = [NOWHERE]  # noqa: RUF012


class KMNIST(real.KMNIST):
    mirrors = [NOWHERE]  # noqa: RUF012


class EMNIST(real.EMNIST):
    url = f"{NOWHERE}gzip.zip"


def load(source: str, *overrides: str, seed: int = 0) -> Task:
    """The task of `conf/data/<source>.yaml`, as Hydra composes and instantiates it."""
    loader = instantiate(composed(source, *overrides))
    loader.keywords.pop("name", None)  # hetal's own, for titles
    return loader(rng=stream(seed, "data"))


def composed(source: str, *overrides: str) -> DictConfig:
    """The `data` node of a YAML in conf/data."""
    with initialize_config_dir(version_base=None, config_dir=str(CONF)):
        return compose(overrides=[f"+data={source}", *overrides]).data


#: Of each YAML in conf/data that reads files: the writer, the class, the number of classes, the shape.
FORMATS = {
    "mnist": (write_mnist, "MNIST", 10, (1, 28, 28)),
    "fashion_mnist": (write_fashion_mnist, "FashionMNIST", 10, (1, 28, 28)),
    "kmnist": (write_kmnist, "KMNIST", 10, (1, 28, 28)),
    "emnist": (write_emnist, "EMNIST", 47, (1, 28, 28)),
    "cifar10": (write_cifar10, "CIFAR10", 10, (3, 32, 32)),
    "cifar100": (write_cifar100, "CIFAR100", 100, (3, 32, 32)),
    "svhn": (write_svhn, "SVHN", 10, (3, 32, 32)),
}
