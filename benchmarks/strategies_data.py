"""The pool and network that queries of strategies are measured on: a task for one process, and the data it stands for.

Read by hetal's side of the benchmark and by scikit-activeml's, which may lie in another environment: needs torch only.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from benchmarks import selection_methods as selection


@dataclass(frozen=True)
class Task:
    """One measurement, or one comparison of picks.

    Attributes:
        alg: the strategy, as hetal calls it.
        n_rows: of the pool; they show `n_distinct` images, see `selection_methods.Setting`.
        n_labelled: rows with labels, at random.
        n_picks: to query.
        overrides: of hetal's settings.
        numbers: settings that scikit-activeml's side needs to be the same strategy.
        n_members: of the ensemble; 1 for a single network.
        blobs: the pool consists of that many tight groups of rows instead, of sizes that differ, with a row labelled in
            each of the first `n_labelled`: what k-means finds does not depend on where it starts.
        picks: rows that hetal's side chose, to be compared; empty for anything else.
    """

    alg: str
    n_rows: int
    n_distinct: int
    n_labelled: int
    n_picks: int
    overrides: tuple[str, ...] = ()
    numbers: dict[str, float] = field(default_factory=dict)
    n_members: int = 1
    n_classes: int = 10
    n_features: int = 128
    blobs: int = 0
    picks: tuple[int, ...] = ()


class Data:
    """Images that are features already, and linear heads on them that are sure of some.

    Attributes:
        x_MD: (M, D) float32, 0 or more: the images, and the penultimate features of the network, which are the same.
        source_N: (N,) int64, the image that each row shows.
        labelled_L: (L,) int64 rows.
        weight_KCD: (K, C, D) the heads of the members, without biases.
    """

    def __init__(self, task: Task) -> None:
        rng = torch.Generator().manual_seed(1)
        classes, width = task.n_classes, task.n_features
        if task.blobs:
            self.x_MD, self.source_N, self.labelled_L = _blobs(task, rng)
        else:
            setting = selection.Setting(
                "", "", task.n_rows, task.n_distinct, 0, n_classes=classes, n_features=width
            )
            pool = selection.Pool(setting)
            self.x_MD, self.source_N = pool.h_MD, pool.source_N
            self.labelled_L = torch.randperm(task.n_rows, generator=rng)[: task.n_labelled]
        shared = torch.randn(classes, width, generator=rng) / 3
        own = torch.randn(task.n_members, classes, width, generator=rng) / 6
        self.weight_KCD = shared + own * (task.n_members > 1)

    def labels(self) -> Tensor:
        """Return the labels of `labelled_L`: what the network says."""
        x_LD = self.x_MD[self.source_N[self.labelled_L]]
        return (x_LD @ self.weight_KCD.mean(0).T).argmax(1)


def _blobs(task: Task, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Return images, the image of each row, and labelled rows; the sizes of blobs are 41, 42, ... ."""
    size = torch.arange(task.blobs)[torch.randperm(task.blobs, generator=rng)] + 41
    blob = torch.repeat_interleave(torch.arange(task.blobs), size)
    center = torch.randn(task.blobs, task.n_features, generator=rng).abs_()
    x = center[blob] + 0.003 * torch.randn(len(blob), task.n_features, generator=rng)
    first = size.cumsum(0) - size
    return x.relu_(), torch.arange(len(blob)), first[: task.n_labelled]
