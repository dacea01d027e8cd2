"""Everything a run needs, made from its parts and checked before any training starts."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hetal.algs import QueryStrategy
from hetal.finetune import PseudoLabel
from hetal.fitted import seeded
from hetal.learner import Learner, Network
from hetal.noise import NoisyPool
from hetal.pool import Budget, Oracle, Pool
from hetal.rng import stream
from hetal.task import Examples, Task

Corrupt = Callable[[Examples, int, torch.Generator], NoisyPool]


@dataclass(frozen=True)
class Setup:
    """One experiment, ready to run.

    Attributes:
        task: its test set, with images on the device, is what networks are tested on.
        pool: nothing bought yet.
        oracle: answers queries.
        budget: rounds and purchases.
        learner: trains one network a round.
        strategy: chooses what to buy.
        seed: of all streams.
        start_ids: (n_start,) int64, the rows labelled from the start.
    """

    task: Task
    pool: Pool
    oracle: Oracle
    budget: Budget
    learner: Learner
    strategy: QueryStrategy
    seed: int
    start_ids: Tensor

    @property
    def fingerprint(self) -> str:
        """A hash of all images and labels, hidden ones included: the same data give the same."""
        digest = hashlib.sha256()
        everything = self.oracle.label(torch.arange(len(self.pool)))
        tensors = (
            self.pool.images_M,
            self.pool.source_N,
            everything,
            self.task.test.images,
            self.task.test.labels,
        )
        for tensor in tensors:
            digest.update(tensor.cpu().contiguous().numpy().data)  # in place: the pool is not copied
        return digest.hexdigest()[:16]

    @property
    def absent_classes(self) -> list[int]:
        """Classes of which the start set holds no label; the first networks cannot know them."""
        present = torch.zeros(self.task.n_classes, dtype=torch.bool)
        present[self.oracle.label(self.start_ids)] = True
        return torch.nonzero(~present).flatten().tolist()


def prepare(
    *,
    data: Callable[..., Task],
    noise: Corrupt,
    model: Network,
    train: Callable[..., Learner],
    finetune: PseudoLabel | None,
    strategy: QueryStrategy,
    n_start: int,
    n_query: int,
    n_end: int,
    seed: int,
    device: torch.device,
) -> Setup:
    """Load the data, corrupt the pool, draw the start set, and check that all parts fit together.

    Raises:
        BadInput: they do not.
    """
    task = data(rng=stream(seed, "data"))
    noisy = noise(task.train, task.n_classes, stream(seed, "noise"))
    budget = Budget(n_start, n_query, n_end, n_rows=len(noisy))
    task = dataclasses.replace(task, test=Examples(task.test.images.to(device), task.test.labels))
    learner = train(network=model, task=task, finetune=finetune, device=device)
    with seeded(stream(seed, "check"), device):
        strategy.check(learner.new_network())
    pool = Pool(noisy.images_M.to(device), noisy.source_N)
    start_ids = torch.randperm(len(pool), generator=stream(seed, "start"))[:n_start]
    return Setup(task, pool, Oracle(noisy), budget, learner, strategy, seed, start_ids)
