"""A folder of images, one subfolder a class, with folders of a training and a test set or without."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from hetal.data.decoded import OnFault, check_unreadable, decoded, left_out
from hetal.data.images import SUFFIXES, Color, Form, Resize
from hetal.data.sets import named, split_rows, task_of
from hetal.errors import BadInput, Unreadable, one_line, reason_of
from hetal.machine.files import read_bytes
from hetal.record.digests import digest_of
from hetal.task import Task

# Left in folders by operating systems, besides names that begin with a dot.
SYSTEM = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


def load_folder(
    path: str | None,
    train: str | None,
    test: str | None,
    size: int | Sequence[int] | None,
    resize: Resize,
    color: Color,
    unreadable: OnFault,
    test_share: float,
    root: str,
    n_train: int | None,
    standardise: str,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    rng: torch.Generator,
) -> Task:
    """Load images as uint8 (n, C, H, W), in the order of their names; the class of one is the name of its folder.

    Images in folders further below are of the class too; links are followed; hidden files are left out.

    Args:
        path: the folder; `~` is the home folder.
        train, test: names of its folders that hold the classes of the training and of the test set, in upper or lower
            case. Without a folder of the first name, or with None, `path` holds the classes itself; without one of
            the second, test images are drawn.
        size, resize, color: see `hetal.data.images.Form`.
        unreadable: "refuse" or "skip" images that cannot be decoded.
        test_share: share of each class to draw for the test set, see `hetal.data.split.test_rows`.
        root: the folder of all data sets, where decoded images are kept; `~` is the home folder.
        n_train: size of the class-stratified training subset; None takes all.
        standardise: see `hetal.data.standardise.statistics`.
        mean, std: per channel, in 0..255. None computes them over all training images, before `n_train`.
        rng: draws the subset.

    Raises:
        BadInput: names `data.path` and what is wrong with the folder, or another setting that is none of the allowed.
    """
    if path is None:
        raise BadInput("data.path is not set: data.path=FOLDER with one folder of images for each class")
    form, where, folder = (
        Form.of(size, resize, color),
        f"data.path={path}",
        Path(os.path.expanduser(str(path))),
    )
    check_unreadable(unreadable)
    try:
        before = digest_of(folder)
        if before is None or not folder.is_dir():
            raise BadInput(f"{where}: " + ("is a file" if folder.is_file() else "there is no such folder"))
        sets = _sets(folder, train, test, where)
        listed = [_images(folder, within) for within in sets]
        names = [name for images, _ in listed for name in images]
        notes = [note for _, notes in listed for note in notes]
        if not names:
            raise BadInput(
                f"{where}: holds no folder of images; it must hold one for each class, or {train}/ and {test}/"
            )
        content = "\0".join([before, *map(_text, names)])
        images = decoded(
            list(map(_text, names)), lambda i: _read(folder / names[i]), form, content, root, where
        )
        if digest_of(folder) != before:
            raise BadInput(f"{where}: was changed while it was read")
    except (OSError, ValueError) as error:
        raise BadInput(f"{where}: cannot be read: {reason_of(error)}") from None
    notes += left_out(images, list(map(_text, names)), unreadable, where)
    kept = [names[i] for i in images.kept]
    is_test = torch.tensor([i >= len(listed[0][0]) for i in images.kept]) if len(sets) > 1 else None
    classes = _classes([name.split("/")[1 if sets[0] else 0] for name in kept])
    try:
        split = split_rows(
            classes, is_test, test_share, f"{sets[0]}/" if sets[0] else "the folder", f"{sets[-1]}/"
        )
    except BadInput as fault:
        raise named(where, fault) from None
    return task_of(
        torch.from_numpy(images.images),
        split.labels,
        split.is_test,
        n_train=n_train,
        rng=rng,
        standardise=standardise,
        mean=mean,
        std=std,
        class_names=split.names,
        notes=(*notes, *split.notes),
    )


def _sets(folder: Path, train: str | None, test: str | None, where: str) -> list[str]:
    """Return the folders of the sets, [""] or [train] or [train, test]; "" is `folder` itself.

    Raises:
        BadInput: there is a training set and no test set, but other folders that may be one.
    """
    found = [name for name in sorted(os.listdir(folder), key=os.fsencode) if not _is_hidden(name)]
    folders = [name for name in found if (folder / name).is_dir()]
    train_set, test_set = _named(train, folders), _named(test, folders)
    if train_set is None:
        return [""]
    if test_set is not None and test_set != train_set:
        return [train_set, test_set]
    others = [_text(name) for name in folders if name != train_set]
    if others and test is not None:
        raise BadInput(
            f"{where}: holds {train_set}/ and {_few([f'{name}/' for name in others])} but no test set {test}/; "
            f"data.test={others[0]} takes that, data.test=null draws one from {train_set}/, "
            "data.train=null takes all these folders as classes"
        )
    return [train_set]


def _named(name: str | None, folders: Sequence[str]) -> str | None:
    same = [folder for folder in folders if name is not None and folder.casefold() == name.casefold()]
    return name if name in same else next(iter(same), None)


def _images(folder: Path, within: str) -> tuple[list[str], list[str]]:
    """Return the images in the classes of a set, and notes on what else there is; paths from `folder`, with "/"."""
    found = list(_walk(folder, within, frozenset()))
    is_image = [os.path.splitext(name)[1].lower() in SUFFIXES for name in found]
    depth = 2 if within else 1
    in_class = [name.count("/") >= depth for name in found]
    images = [name for name, a, b in zip(found, is_image, in_class, strict=True) if a and b]
    loose = [name for name, a, b in zip(found, is_image, in_class, strict=True) if a and not b]
    others = [name for name, a in zip(found, is_image, strict=True) if not a]
    classes = {name.split("/")[depth - 1] for name in images}
    empty = [
        name
        for name in sorted(os.listdir(folder / within), key=os.fsencode)
        if name not in classes and not _is_hidden(name) and (folder / within / name).is_dir()
    ]
    listed = (
        (loose, "in no folder of a class"),
        (others, "without the name of an image"),
        (empty, "without images"),
    )
    kinds = ("files", "files", "folders")
    return images, [
        f"left out: {len(names):,} {kind} {what} ({_few([_text(name) for name in names])})"
        for kind, (names, what) in zip(kinds, listed, strict=True)
        if names
    ]


def _walk(folder: Path, within: str, above: frozenset[tuple[int, int]]) -> Iterator[str]:
    """Yield all files but hidden ones, sorted; a link back to a folder above is not followed."""
    status = os.stat(folder / within)
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        return
    for name in sorted(os.listdir(folder / within), key=os.fsencode):
        inner = f"{within}/{name}" if within else name
        if _is_hidden(name):
            continue
        if (folder / inner).is_dir():
            yield from _walk(folder, inner, above | {identity})
        else:
            yield inner


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.casefold() in SYSTEM


def _read(path: Path) -> bytes:
    try:
        content = read_bytes(path)
    except Unreadable:
        raise BadInput("cannot be opened") from None
    if content is None:
        raise BadInput("leads to no file")
    return content


def _classes(names: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.generic]]:
    """Return labels: numbers if all are, so that 10 comes after 9; else text."""
    if all(re.fullmatch(r"0|[1-9][0-9]{0,8}", name) for name in set(names)):
        return np.array([int(name) for name in names])
    return np.array([_text(name) for name in names], dtype=np.str_)


def _text(name: str) -> str:
    """Return a name as text that every terminal and file takes."""
    return one_line(os.fsencode(name).decode("utf-8", "backslashreplace"))


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
