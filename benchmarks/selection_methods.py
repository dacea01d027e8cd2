"""What the selection benchmark measures: hetal's selection, a plain sequential one, and other libraries'.

Run by `selection.py`, one measurement a process: `python -m benchmarks.selection_methods JSON` builds a
synthetic pool, runs one method on it and prints what it took.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.measuring import Measured, measure


@dataclass(frozen=True)
class Setting:
    """One measurement: which method, on what pool, how many picks.

    `n_rows` rows show `n_distinct` images; the last 100 images share what rows there are more than images.
    """

    method: str
    query: str
    n_rows: int
    n_distinct: int
    n_picks: int
    n_labelled: int = 0
    n_classes: int = 10
    n_features: int = 128
    folder: str = ""


class Pool:
    """Features in clusters behind a ReLU, and class probabilities that the clusters share."""

    def __init__(self, setting: Setting) -> None:
        self.rng = torch.Generator().manual_seed(0)
        n, classes, width = setting.n_distinct, setting.n_classes, setting.n_features
        self.mean = torch.randn(1000, width, generator=self.rng)
        self.logit = torch.randn(1000, classes, generator=self.rng).mul_(3)
        self.r_MC, self.h_MD = self._empty(setting, "r", n, classes), self._empty(setting, "h", n, width)
        for start in range(0, n, 8192):
            rows = slice(start, min(start + 8192, n))
            probs, self.h_MD[rows] = self.draw(rows.stop - rows.start)
            probs.scatter_add_(1, probs.argmax(1, keepdim=True), torch.full((len(probs), 1), -1.0))
            self.r_MC[rows] = probs
        self.labelled_LD = torch.empty(setting.n_labelled, width)
        for start in range(0, setting.n_labelled, 8192):
            rows = slice(start, min(start + 8192, setting.n_labelled))
            _, self.labelled_LD[rows] = self.draw(rows.stop - rows.start)
        n_more = setting.n_rows - n
        self.copies_M = torch.ones(n, dtype=torch.int64)
        self.copies_M[-100:] += n_more // 100
        self.source_N = torch.repeat_interleave(torch.arange(n), self.copies_M)

    def draw(self, n: int) -> tuple[Tensor, Tensor]:
        """Draw probabilities (n, C) and features (n, D)."""
        cluster = torch.randint(1000, (n,), generator=self.rng)
        logits = self.logit[cluster] + torch.randn(n, self.logit.shape[1], generator=self.rng)
        features = self.mean[cluster] + torch.randn(n, self.mean.shape[1], generator=self.rng).mul_(0.5)
        return logits.softmax(1), features.relu_()

    def _empty(self, setting: Setting, name: str, n: int, width: int) -> Tensor:
        if not setting.folder:
            return torch.empty(n, width)
        return torch.from_file(str(Path(setting.folder) / name), shared=True, size=n * width).view(n, width)

    def embedding(self, dtype: type) -> np.ndarray:
        """Build the published N x (C * D) gradient embedding of all rows, block by block."""
        classes, width = self.r_MC.shape[1], self.h_MD.shape[1]
        x = np.empty((len(self.source_N), classes * width), dtype=dtype)
        for start in range(0, len(x), 4096):
            ids = self.source_N[start : start + 4096]
            x[start : start + 4096] = (
                (self.r_MC[ids][:, :, None] * self.h_MD[ids][:, None, :]).flatten(1).numpy()
            )
        return x


def hetal_badge(pool: Pool, n: int, *, expanded: bool = False) -> None:
    """Select with hetal on distinct images, or on every row as if all were distinct."""
    from hetal.acquisition import OuterProduct, kmeans_plusplus

    rng = torch.Generator().manual_seed(1)
    if expanded:
        kmeans_plusplus(OuterProduct(pool.r_MC[pool.source_N], pool.h_MD[pool.source_N]), n, rng)
    else:
        kmeans_plusplus(OuterProduct(pool.r_MC, pool.h_MD), n, rng, weights=pool.copies_M)


def hetal_coreset(pool: Pool, n: int) -> None:
    """Select with hetal on distinct images."""
    from hetal.acquisition import k_center

    k_center(pool.h_MD, n, centers=pool.labelled_LD)


def sequential_badge(pool: Pool, n: int) -> None:
    """BADGE as published: the embedding of every row in float64, then k-means++ one centre at a time."""
    from sklearn.metrics import pairwise_distances

    rng = np.random.default_rng(0)
    x = pool.embedding(np.float64)
    picks = [int(np.argmax([row @ row for row in x]))]
    distance = pairwise_distances(x, x[picks]).ravel()
    while len(picks) < n:
        mass = distance**2
        picks.append(int(rng.choice(len(x), p=mass / mass.sum())))
        distance = np.minimum(distance, pairwise_distances(x, x[picks[-1:]]).ravel())


def sequential_coreset(pool: Pool, n: int) -> None:
    """Core-set as published: all distances to labelled rows, then the farthest row, one at a time, in float64."""
    from sklearn.metrics import pairwise_distances

    x = pool.h_MD.double().numpy()[pool.source_N.numpy()]
    distance = pairwise_distances(x, pool.labelled_LD.double().numpy()).min(1)
    for _ in range(n):
        farthest = int(distance.argmax())
        distance = np.minimum(distance, pairwise_distances(x, x[farthest : farthest + 1]).ravel())


def sklearn_badge(pool: Pool, n: int) -> None:
    """scikit-learn's k-means++, without its greedy trials, on the embedding of every row in float32."""
    from sklearn.cluster import kmeans_plusplus

    kmeans_plusplus(pool.embedding(np.float32), n, random_state=0, n_local_trials=1)


def skactiveml_badge(pool: Pool, n: int) -> None:
    """scikit-activeml's Badge, given a classifier that returns the pool's probabilities."""
    from skactiveml.base import SkactivemlClassifier
    from skactiveml.pool import Badge

    predicted = torch.where(pool.r_MC < 0, pool.r_MC + 1, pool.r_MC)[pool.source_N].double().numpy()

    class Known(SkactivemlClassifier):
        def fit(self, X: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None) -> Known:
            return self

        def predict_proba(self, X: np.ndarray) -> np.ndarray:
            return predicted

    x = pool.h_MD[pool.source_N].double().numpy()
    classes = list(range(predicted.shape[1]))
    Badge(random_state=0).query(x, np.full(len(x), np.nan), Known(classes), fit_clf=False, batch_size=n)


def skactiveml_coreset(pool: Pool, n: int) -> None:
    """scikit-activeml's CoreSet."""
    from skactiveml.pool import CoreSet

    x = torch.cat([pool.h_MD[pool.source_N], pool.labelled_LD]).double().numpy()
    y = np.full(len(x), np.nan)
    y[len(pool.source_N) :] = 0
    CoreSet(random_state=0).query(x, y, batch_size=n)


METHODS: dict[str, Callable[[Pool, int], None]] = {
    "hetal badge": hetal_badge,
    "hetal, every row badge": lambda pool, n: hetal_badge(pool, n, expanded=True),
    "sequential badge": sequential_badge,
    "scikit-learn badge": sklearn_badge,
    "scikit-activeml badge": skactiveml_badge,
    "hetal coreset": hetal_coreset,
    "sequential coreset": sequential_coreset,
    "scikit-activeml coreset": skactiveml_coreset,
}


def measured(setting: Setting) -> Measured:
    """Run one method: hetal's in full, the others as far as it takes to extrapolate."""
    run = METHODS[f"{setting.method} {setting.query}"]
    run(Pool(Setting(setting.method, setting.query, 400, 400, 3, n_labelled=20, n_features=8)), 3)
    pool = Pool(setting)
    return measure(
        lambda: lambda n: run(pool, n), setting.n_picks, in_full=setting.method.startswith("hetal")
    )


if __name__ == "__main__":
    print(json.dumps(asdict(measured(Setting(**json.loads(sys.argv[1]))))))
