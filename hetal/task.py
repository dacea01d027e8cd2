"""A learning task: clean training and test examples, and their standardisation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from hetal.errors import BadInput
from hetal.machine.scratch import at_once, gathered


@dataclass(frozen=True)
class Examples:
    """Images, their labels, and what else the data set says of them.

    Attributes:
        images: (n, C, H, W) images or (n, D) vectors; uint8 in 0..255, float16 or float32; perhaps mapped from disk.
        labels: (n,) int64 in 0..n_classes-1.
        columns: by name, of n rows each: labels by other people such as "human_worst", (n,) int64 in 0..n_classes-1;
            "votes", (n, n_classes) float32, how many people gave each label; "features", (n, D) float16 or float32, by
            an encoder; "cost", (n,) float32, what a label costs.
    """

    images: Tensor
    labels: Tensor
    columns: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels):
            raise BadInput(f"data: {len(self.images)} images but {len(self.labels)} labels")
        for name, column in self.columns.items():
            if len(column) != len(self.labels):
                raise BadInput(f"data: {len(self.labels)} labels but {len(column)} rows of {name}")

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, ids: Tensor | slice) -> Examples:
        ids = torch.arange(len(self))[ids]
        columns = {name: gathered(column, ids) for name, column in self.columns.items()}
        return Examples(gathered(self.images, ids), self.labels[ids], columns)


@dataclass(frozen=True)
class Task:
    """A clean training set and a clean test set, with the standardisation of their images.

    Attributes:
        train: the clean rows, from which the pool is made.
        test: never corrupted and never queried.
        n_classes: number of classes, all present in `train`.
        mean, std: per channel (or per feature), in the units of the images; networks get (x - mean) / std.
        class_names: of the classes, in order; () where they are numbers only.
        notes: what a user should know of how the data were read, shown when a run starts.
    """

    train: Examples
    test: Examples
    n_classes: int
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (255.0,)
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    image_shape: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "image_shape", tuple(self.train.images.shape[1:]))
        for name, examples in (("train", self.train), ("test", self.test)):
            images, labels = examples.images, examples.labels
            if len(examples) == 0:
                raise BadInput(f"data: the {name} set is empty")
            if images.dim() not in (2, 4):
                raise BadInput(
                    f"data: {name} images must be (n, C, H, W) or (n, D), not {tuple(images.shape)}"
                )
            if images.dtype not in (torch.uint8, torch.float16, torch.float32):
                raise BadInput(f"data: {name} images must be uint8, float16 or float32, not {images.dtype}")
            if not is_finite(images):
                raise BadInput(f"data: {name} images hold NaN or infinity")
            if tuple(images.shape[1:]) != self.image_shape:
                raise BadInput(
                    f"data: {name} images are {tuple(images.shape[1:])}, train images {self.image_shape}"
                )
            if int(labels.min()) < 0 or int(labels.max()) >= self.n_classes:
                raise BadInput(
                    f"data: {name} labels must be in 0..{self.n_classes - 1}, "
                    f"found {int(labels.min())}..{int(labels.max())}"
                )
        if self.class_names and len(self.class_names) != self.n_classes:
            raise BadInput(f"data: {len(self.class_names)} names of classes for {self.n_classes} classes")
        count_C = torch.bincount(self.train.labels, minlength=self.n_classes)
        if bool((count_C == 0).any()):
            absent = torch.nonzero(count_C == 0).flatten().tolist()
            raise BadInput(f"data: no training row of class {', '.join(map(str, absent))}")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.image_shape[0]):
                raise BadInput(f"data.{name}: {len(values)} values for {self.image_shape[0]} channels")
        smallest = torch.finfo(torch.float32).tiny  # in float32, smaller numbers have no finite inverse
        if not all(smallest <= s < math.inf for s in self.std):
            raise BadInput(f"data.std: {self.std}; every value must be positive and finite")
        if not all(map(math.isfinite, self.mean)):
            raise BadInput(f"data.mean: {self.mean}; every value must be finite")
        for name, images in (("train", self.train.images), ("test", self.test.images)):
            if not self._is_finite_standardised(images):
                raise BadInput(
                    f"data.mean, data.std: (x - mean) / std of the {name} images is beyond what float32 holds"
                )

    def without(self, outside: Sequence[int]) -> Task:
        """Return the task without the rows of some classes, the others being numbered in their order.

        Raises:
            BadInput: fewer than two classes are left, or one has no test row.
        """
        number_C = new_numbers(outside, self.n_classes)
        inside = torch.nonzero(number_C >= 0).flatten().tolist()

        def narrowed(examples: Examples) -> Examples:
            rows = torch.nonzero(number_C[examples.labels] >= 0).flatten()
            return Examples(gathered(examples.images, rows), number_C[examples.labels[rows]])

        return replace(
            self,
            train=narrowed(self.train),
            test=narrowed(self.test),
            n_classes=len(inside),
            class_names=tuple(self.class_names[c] for c in inside) if self.class_names else (),
        )

    def _is_finite_standardised(self, images: Tensor) -> bool:
        """Return whether standardised images are finite in float32, by the extremes of each channel."""
        is_uint8 = images.dtype == torch.uint8
        low_high = torch.tensor([[0.0], [255.0]]) if is_uint8 else torch.stack(extremes(images))
        standardised = (low_high.float() - torch.tensor(self.mean)) * (1 / torch.tensor(self.std))
        return bool(standardised.isfinite().all())


def new_numbers(outside: Sequence[int], n_classes: int) -> Tensor:
    """Return the numbers (n_classes,) int64 that classes have once some are outside the task; of these, -1.

    Raises:
        BadInput: fewer than two classes are left.
    """
    is_inside = torch.ones(n_classes, dtype=torch.bool)
    is_inside[torch.tensor(outside, dtype=torch.int64)] = False
    if int(is_inside.sum()) < 2:
        raise BadInput(
            f"noise: takes {len(outside)} of {n_classes} classes out of the task; at least 2 must be left"
        )
    return torch.where(is_inside, is_inside.cumsum(0) - 1, -1)


def extremes(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the smallest and the largest value of each channel or feature, (C,) each; NaN where there is a NaN.

    They are computed part by part, since images may be mapped from disk.
    """
    others = [axis for axis in range(images.dim()) if axis != 1]
    parts = images.split(at_once(images))
    low_C = torch.stack([part.amin(others) for part in parts]).amin(0)
    return low_C, torch.stack([part.amax(others) for part in parts]).amax(0)


def is_finite(images: Tensor) -> bool:
    """Return whether images hold neither NaN nor infinity."""
    if not images.is_floating_point() or images.numel() == 0:
        return True
    return bool(torch.stack(extremes(images)).isfinite().all())


def per_channel(name: str, values: object) -> tuple[float, ...]:
    """Return `values` from a config as a tuple of numbers.

    Raises:
        BadInput: it is not a list of numbers; names the setting `name`.
    """
    if not isinstance(values, Sequence) or not all(isinstance(value, (int, float)) for value in values):
        raise BadInput(f"{name}={values}: must be a list of numbers, one a channel")
    return tuple(map(float, values))


def stratified(labels: Tensor, n: int | None, rng: torch.Generator) -> Tensor:
    """Draw a class-stratified sample: `n` positions, with each class as close to its share of `labels` as possible.

    Args:
        labels: (m,) int64.
        n: number of rows to draw without replacement; None returns all, in order.
        rng: CPU generator.

    Returns:
        (n,) int64 positions into `labels`, ascending.

    Raises:
        BadInput: `n` is not in number-of-classes..m.
    """
    m = len(labels)
    if n is None:
        return torch.arange(m)
    count_C = torch.bincount(labels)
    if not isinstance(n, int) or not int((count_C > 0).sum()) <= n <= m:
        raise BadInput(f"data.n_train={n}: must be a whole number in {int((count_C > 0).sum())}..{m}")
    # Largest-remainder method: round down, then add rows to the classes with the largest remainders; at least one each.
    share_C = count_C * (n / m)
    quota_C = share_C.floor().long().clamp(min=1).minimum(count_C)
    while (gap := n - int(quota_C.sum())) != 0:
        room_C = (quota_C < count_C) if gap > 0 else (quota_C > 1)
        want_C = ((share_C - quota_C) * (1 if gap > 0 else -1)).masked_fill(~room_C, -torch.inf)
        quota_C[int(want_C.argmax())] += 1 if gap > 0 else -1
    shuffled = torch.randperm(m, generator=rng)
    chosen = [shuffled[labels[shuffled] == c][: int(q)] for c, q in enumerate(quota_C)]
    return torch.cat(chosen).sort().values
