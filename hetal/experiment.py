"""Everything a run needs, made from its parts and checked before any training starts."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hetal.algs import QueryStrategy
from hetal.budget import Budget
from hetal.errors import BadInput, made
from hetal.guard.changes import Content
from hetal.guard.network import check_network
from hetal.guard.query import keeps_state
from hetal.machine.process import unchanged
from hetal.noise import NoisyPool
from hetal.noise.pool import shuffled
from hetal.pool import Oracle, Pool
from hetal.rng import seeded, stream
from hetal.task import Examples, Task
from hetal.train.finetune import PseudoLabel
from hetal.train.learner import Learner
from hetal.train.recipe import Network

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
        name: of the strategy, as the user chose it.
    """

    task: Task
    pool: Pool
    oracle: Oracle
    budget: Budget
    learner: Learner
    strategy: QueryStrategy
    seed: int
    start_ids: Tensor
    name: str

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


def set_up(parts: Mapping[str, Any], name: str, device: torch.device) -> Setup:
    """Make an experiment of `parts` and the name of its strategy, see `prepare` and `hetal.app.compose.build`."""
    return prepare(
        data=parts["data"],
        noise=parts["noise"],
        model=parts["model"],
        train=parts["train"],
        finetune=parts["finetune"],
        strategy=parts["alg"],
        name=name,
        n_start=parts["n_start"],
        n_query=parts["n_query"],
        n_end=parts["n_end"],
        seed=parts["seed"],
        device=device,
    )


def prepare(
    *,
    data: Callable[..., Task],
    noise: Corrupt,
    model: Network,
    train: Callable[..., Learner],
    finetune: PseudoLabel | None,
    strategy: QueryStrategy,
    name: str,
    n_start: int,
    n_query: int,
    n_end: int,
    seed: int,
    device: torch.device,
) -> Setup:
    """Load the data, corrupt the pool, draw the start set, and check that all parts fit together.

    The rows and the images of the pool are in an order drawn from the seed, whatever the noise setting made.

    Args:
        name: of the strategy, for messages; the others are the parts of a run, see `hetal.app.compose`.

    Raises:
        BadInput: they do not.
    """
    with unchanged("data: its loader"), seeded(stream(seed, "data globals"), device):
        task = made("data", data, Task, rng=stream(seed, "data"))
    noisy = shuffled(_corrupted(task, noise, seed, device), stream(seed, "order"))
    budget = Budget(n_start, n_query, n_end)
    budget.check(len(noisy))
    task = dataclasses.replace(task, test=Examples(task.test.images.to(device), task.test.labels))
    with unchanged("model: a new network"), seeded(stream(seed, "check"), device):
        learner = made("train", train, Learner, network=model, task=task, finetune=finetune, device=device)
        network = learner.new_network()
        strategy.check(network)
        check_network(network, learner, n_start)
    keeps_state(strategy, name)
    pool = Pool(noisy.images_M.to(device), noisy.source_N)
    start_ids = torch.randperm(len(pool), generator=stream(seed, "start"))[:n_start]
    return Setup(task, pool, Oracle(noisy), budget, learner, strategy, seed, start_ids, name)


def _corrupted(task: Task, noise: Corrupt, seed: int, device: torch.device) -> NoisyPool:
    """Return the pool that a noise setting makes of the training set; nothing else of the task may change."""
    test = {"images": task.test.images, "labels": task.test.labels}
    before = Content.of(test)
    with unchanged("noise: it"), seeded(stream(seed, "noise globals"), device):
        noisy = made("noise", noise, NoisyPool, task.train, task.n_classes, stream(seed, "noise"))
    if changed := before.changed(test):
        raise BadInput(f"noise: it changed the test set's {changed[0]}, which is never corrupted")
    noisy.check(task.n_classes)
    noisy.check_images(task.train)
    return noisy
