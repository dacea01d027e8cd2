"""Torchvision datasets, downloaded, verified and read by torchvision."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hetal.errors import BadInput
from hetal.machine.files import move
from hetal.machine.locks import wait_for_lock
from hetal.task import Examples, Task, per_channel, stratified

#: Timeout of a download's connection in seconds; on networks that drop packets there is never an answer.
TIMEOUT = 30.0


def load_torchvision(
    train: partial[Any],
    test: partial[Any],
    root: str,
    download: bool,
    files: Sequence[str],
    source: str,
    n_train: int | None,
    mean: Sequence[float],
    std: Sequence[float],
    rng: torch.Generator,
) -> Task:
    """Load a torchvision dataset as uint8 (n, C, H, W), its labels renumbered 0..C-1 in their own order.

    Args:
        train: the torchvision class of the training set, called as `train(root=..., download=...)`; it must have all
            images in `.data` and their labels in `.targets` or `.labels`.
        test: the same for the test set.
        root: the folder of all datasets; `~` is the home folder.
        download: whether to download missing files.
        files: the files of the dataset, relative to `root`.
        source: where `files` can be downloaded by hand, for messages.
        n_train: size of the class-stratified training subset; None takes all.
        mean, std: per channel, in 0..255.
        rng: draws the subset.

    Raises:
        BadInput: the data are absent and cannot be downloaded, are damaged, or are not such images; or `n_train` is out
            of range. The message says which file belongs where.
    """
    store = Store(Path(os.path.expanduser(str(root))), files, source)
    train_images, train_labels = _arrays(store.open(train, download))
    test_images, test_labels = _arrays(store.open(test, download))
    if torch.equal(train_images, test_images):
        raise BadInput("data.test: has the images of data.train; the test set must be another")
    classes, train_labels = torch.unique(train_labels, return_inverse=True)
    if len(unseen := test_labels[~torch.isin(test_labels, classes)]):
        raise BadInput(f"data.test: label {int(unseen[0])} is in the test set but not in the training set")
    examples = Examples(train_images, train_labels)
    return Task(
        train=examples[stratified(train_labels, n_train, rng)],
        test=Examples(test_images, torch.searchsorted(classes, test_labels)),
        n_classes=len(classes),
        mean=per_channel("data.mean", mean),
        std=per_channel("data.std", std),
    )


def _arrays(dataset: Any) -> tuple[Tensor, Tensor]:
    """Return (n, C, H, W) uint8 images and (n,) int64 labels of a torchvision dataset."""
    name = type(dataset).__name__
    images = torch.as_tensor(np.asarray(dataset.data))
    labels = torch.as_tensor(np.asarray(dataset.targets if hasattr(dataset, "targets") else dataset.labels))
    if images.dim() == 3:
        images = images.unsqueeze(1)
    elif images.dim() == 4 and images.shape[1] > 4 >= images.shape[3]:
        images = images.permute(0, 3, 1, 2)  # CIFAR is stored channels last, SVHN channels first
    if images.dim() != 4 or images.dtype != torch.uint8 or labels.shape != images.shape[:1]:
        raise BadInput(
            f"data: {name} holds {images.dtype} images {tuple(images.shape)}, labels {tuple(labels.shape)}; "
            "hetal reads uint8 images, one label each"
        )
    return images.contiguous(), labels.long()


class Store:
    """The folder of datasets: reads a dataset from it, downloads it, and describes what is missing.

    Args:
        root: the folder; created for a download.
        files: the files of the dataset, relative to `root`.
        source: where the files can be downloaded by hand.
    """

    def __init__(self, root: Path, files: Sequence[str], source: str) -> None:
        self.root, self.files, self.source = root, tuple(files), source

    def open(self, dataset: partial[Any], download: bool) -> Any:
        """Return the dataset read from `root`, downloaded first if it is absent and `download` is true.

        Raises:
            BadInput: the dataset is absent or damaged, and downloading is not allowed or failed.
        """
        name = dataset.func.__name__
        where = f"data.root={self.root}"
        if self.root.exists() and not self.root.is_dir():
            raise BadInput(f"{where}: is a file; it must be a folder to hold {name}")
        # The exception of a loader depends on the damage of a file, so any is caught and reported.
        try:
            return dataset(root=str(self.root), download=False)
        except Exception as error:
            if isinstance(error, (TypeError, ValueError)) and self._absent():
                # torchvision checks its arguments before it looks for files.
                raise BadInput(f"data.train, data.test: {name} says {_one_line(error)}") from error
            fault = self._fault(error)
            if not download:
                raise BadInput(
                    f"{where}: {name} {fault}, and data.download=false; "
                    f"set data.download=true or {self._by_hand()}"
                ) from error
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            # One process of a sweep downloads, while the others wait for it.
            with wait_for_lock(self.root / f".{name}.lock", _say):
                try:
                    return dataset(root=str(self.root), download=False)
                except Exception:
                    self._download(dataset)
                return dataset(root=str(self.root), download=False)
        except Exception as error:
            raise BadInput(
                f"{where}: {name} {fault}, and downloading failed ({_one_line(error)}); {self._by_hand()}"
            ) from error

    def _fault(self, error: Exception) -> str:
        """Return what is wrong with the files: absent, or damaged if all exist."""
        try:
            absent = self._absent()
        except OSError as unreadable:
            return f"cannot be looked for ({_one_line(unreadable)})"
        if absent:
            more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
            return f"is not there (no {absent[0]}{more})"
        return f"is damaged or not readable ({_one_line(error)})"

    def _absent(self) -> list[str]:
        return [file for file in self.files if not (self.root / file).is_file()]

    def _by_hand(self) -> str:
        return f"put {', '.join(self.files)} under that folder yourself, from {self.source}"

    def _download(self, dataset: partial[Any]) -> None:
        """Let torchvision download and unpack into a temporary folder, then move the complete files."""
        staging = Path(tempfile.mkdtemp(prefix=".download-", dir=self.root))
        try:
            self._offer_archives(staging)
            with _timeout():
                dataset(root=str(staging), download=True)
            for file in self.files:
                if (staging / file).is_file():  # torchvision downloads SVHN's two files separately
                    (self.root / file).parent.mkdir(parents=True, exist_ok=True)
                    move(staging / file, self.root / file)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _offer_archives(self, staging: Path) -> None:
        """Link archives under `root` into the temporary folder, where torchvision uses those with the right md5."""
        for folder in {Path(file).parent for file in self.files} | {Path()}:
            for suffix in ("*.gz", "*.tgz", "*.zip"):
                for archive in (self.root / folder).glob(suffix):
                    (staging / folder).mkdir(parents=True, exist_ok=True)
                    with suppress(OSError):  # without symbolic links, the archive is downloaded again
                        (staging / folder / archive.name).symlink_to(archive.resolve())


@contextmanager
def _timeout() -> Iterator[None]:
    """Set the default timeout of sockets inside the `with` block; urllib by itself has none."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _one_line(error: Exception) -> str:
    """Return the type and the message of an error as one line of limited length."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
