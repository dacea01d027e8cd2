"""An experiment, given by its parts, and its setup for a run: data loaded, pool corrupted, everything checked."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from hetal.algs import QueryStrategy, Random
from hetal.algs.wrapper import is_bound
from hetal.budget import Budget
from hetal.errors import BadInput, make_part
from hetal.guard.changes import Checksums
from hetal.guard.footprint import Footprint, footprint
from hetal.guard.measures import OwnMeasures, check_measures
from hetal.guard.network import check_network
from hetal.guard.query import acquire
from hetal.guard.state import keeps_state
from hetal.guard.training import check_training
from hetal.machine.memory import enough_memory
from hetal.machine.process import unchanged
from hetal.noise import Corrupt, NoisyPool, corrupt
from hetal.noise.pool import shuffled
from hetal.oracle import PERSISTENT, Answers, Oracle, is_right, per_kind
from hetal.pool import Pool
from hetal.record.schema import REJECT, SEES_LABELS, PoolContent
from hetal.rng import seeded, stream
from hetal.task import Examples, Task
from hetal.train.finetune import PseudoLabel
from hetal.train.fitted import Fitted, Pair
from hetal.train.learner import Learner
from hetal.train.members import ensemble_in
from hetal.train.optim import MakeOptimizer
from hetal.train.recipe import Network
from hetal.train.schedule import MakeSchedule


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """The parts of an experiment, before data are loaded.

    Attributes:
        data: loads the task; called with `rng`.
        noise: corrupts the training set; called with it, the number of classes and a generator.
        model: makes a network; called with the shape of an image and the number of classes.
        train: makes the learner; called with `network`, `task`, `optimizer`, `schedule`, `finetune` and `device`.
        optimizer: makes the optimizer of a list of parameters.
        alg: the query strategy.
        n_start, n_query, n_end: labels to start with, to buy each round, and to end with.
        seed: of every random stream.
        schedule: makes the schedule of an optimizer; None keeps the learning rate constant.
        finetune: settings of fine-tuning, or None.
        start: chooses the start set, before any training; at random unless given.
        measures: of the test predictions, the user's own, by name.
        name: of the strategy, for messages; the name of its class unless given.
    """

    data: Callable[..., Task]
    noise: Corrupt
    model: Network
    train: Callable[..., Learner]
    optimizer: MakeOptimizer
    alg: QueryStrategy
    n_start: int
    n_query: int
    n_end: int
    seed: int
    schedule: MakeSchedule | None = None
    finetune: PseudoLabel | None = None
    start: QueryStrategy = field(default_factory=Random)
    oracle: Answers = PERSISTENT
    measures: OwnMeasures = field(default_factory=dict)
    name: str = ""

    def prepare(self, device: torch.device) -> Setup:
        """Load the data, corrupt the pool, choose the start set, and check that all parts fit together.

        The rows and images of the pool are put in an order drawn from the seed.

        Args:
            device: to compute on.

        Raises:
            BadInput: a part fails, the parts do not fit together, or the device has too little memory.
        """
        with enough_memory("before the first round"):
            return self._prepare(device)

    def _prepare(self, device: torch.device) -> Setup:
        seed, name = self.seed, self.name or type(self.alg).__name__
        keeps_state(self.alg, f"alg={name}")
        _check_start(self.start)
        task = load(self.data, seed, device)
        task, noisy = corrupted(task, self.noise, seed, device)
        noisy = shuffled(noisy, stream(seed, "order"))
        budget = Budget(self.n_start, self.n_query, self.n_end)
        budget.check(len(noisy))
        with unchanged("model: a new network"), seeded(stream(seed, "check"), device):
            learner = self.learner(task, device)
            network = learner.new_network()
            self._check(network, learner, name)
            memory = footprint(task, noisy, learner, network, self.alg, self.n_end)
            memory.check(device, learner.batch_size)
        task = dataclasses.replace(task, test=Examples(task.test.images.to(device), task.test.labels))
        features = noisy.features_M if noisy.features_M is None else noisy.features_M.to(device)
        pool = Pool(noisy.images_M.to(device), noisy.source_N, self.oracle.relabel, features)
        oracle = Oracle(noisy, self.oracle)
        for strategy in (self.start, self.alg):
            if is_bound(strategy):
                strategy.see(*oracle.everything())
        targets = task.test.images if self.start.reads_targets else None
        standardise = learner.prepare(network)
        given = Fitted(
            None,
            pool.images_M,
            standardise,
            learner.score_batch_size,
            targets=targets,
            given_M=pool.given_M,
            n_classes=task.n_classes,
        )
        start_ids = acquire(
            self.start,
            given,
            pool,
            self.n_start,
            stream(seed, "start"),
            stream(seed, "start globals"),
            _who(self.start),
        )
        n_labels = int((oracle.label(start_ids) != REJECT).sum())
        if n_labels < min(self.n_start, 2):
            raise BadInput(
                f"n_start={self.n_start}: {len(start_ids) - n_labels} of the first rows are of no class of the task; a "
                "larger n_start, or another seed, finds more that are"
            )
        check_measures(self.measures, task.n_classes, task.test.labels, seed, device)
        return Setup(
            task,
            pool,
            oracle,
            budget,
            learner,
            self.alg,
            seed,
            start_ids,
            name,
            memory,
            self.start,
            self.measures,
        )

    def learner(self, task: Task, device: torch.device) -> Learner:
        """Return the learner of this experiment for a task.

        Raises:
            BadInput: a setting of training is out of range.
        """
        return make_part(
            "train",
            self.train,
            Learner,
            network=self.model,
            task=task,
            optimizer=self.optimizer,
            schedule=self.schedule,
            finetune=self.finetune,
            device=device,
        )

    def _check(self, network: nn.Module, learner: Learner, name: str) -> None:
        """Check that strategy, network and training fit together; `network` is not to be used for training."""
        if self.alg.single_network and ensemble_in(network) is not None:
            raise BadInput(f"alg={name}: needs one network; model.members must be 1")
        self.alg.check(network)
        check_network(network, learner, self.n_start)
        some = learner.task.train.images[:2].to(learner.device)
        pair, standardise = Pair(network, network), learner.prepare(network)
        fitted = Fitted(pair, some, standardise, learner.score_batch_size)
        if self.alg.reads_head:
            _ = fitted.head
        self.alg.check_outputs(fitted)
        check_training(network, learner)


def load(data: Callable[..., Task], seed: int, device: torch.device) -> Task:
    """Load the task that a run of this seed has.

    Args:
        data: loads it; called with `rng`.
        seed: of the run.
        device: whose global generators are restored, beside the CPU's.

    Raises:
        BadInput: the loader fails.
    """
    with unchanged("data: its loader"), seeded(stream(seed, "data globals"), device):
        return make_part("data", data, Task, rng=stream(seed, "data"))


@dataclass(frozen=True)
class Setup:
    """An experiment with its data loaded, ready to run.

    Attributes:
        task: with the images of its test set on the device.
        pool: with no labels bought yet.
        oracle: knows the labels of the pool.
        budget: numbers of labels.
        learner: trains one network per round.
        strategy: chooses the rows to buy.
        seed: of every random stream.
        start_ids: (n_start,) int64, the start set.
        name: of the strategy, as the user chose it.
        memory: that a run holds on the device.
        start: chose the start set.
        measures: of the test predictions, the user's own, by name.
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
    memory: Footprint
    start: QueryStrategy
    measures: OwnMeasures = field(default_factory=dict)

    @property
    def start_is_random(self) -> bool:
        """Whether the start set is drawn from the seed alone, and so is the same on every machine."""
        return type(self.start) is Random

    @property
    def sees(self) -> list[str]:
        """What the choices of rows see besides the pool, for people to know: hidden labels, test inputs."""
        return [
            f"{who} {what}"
            for who, strategy in (("start", self.start), (f"alg={self.name}", self.strategy))
            for what, is_seen in (
                (SEES_LABELS, strategy.cheats),
                ("sees test inputs", strategy.reads_targets),
            )
            if is_seen
        ]

    @property
    def pool_content(self) -> PoolContent:
        """What the pool holds, for readers of the record: all of it is hidden from strategies."""
        oracle, ids = self.oracle, torch.arange(len(self.pool))
        labels, true, region = oracle.label(ids), oracle.true(ids), oracle.region(ids)
        is_noisy = oracle.is_noisy(ids)
        true_M = torch.full((len(self.pool.images_M),), -1).scatter_reduce_(
            0, self.pool.source_N.cpu(), true, "amax"
        )
        n_classes = self.task.n_classes
        content: PoolContent = {
            "rows": len(ids),
            "images": len(self.pool.images_M),
            "right": int(is_right(labels, true).sum()),
            "clean_per_class": torch.bincount(true[~is_noisy & (true >= 0)], minlength=n_classes).tolist(),
            "images_per_class": torch.bincount(true_M[true_M >= 0], minlength=n_classes).tolist(),
            "test_per_class": torch.bincount(self.task.test.labels.cpu(), minlength=n_classes).tolist(),
            "rejected": int((labels == REJECT).sum()),
            "kinds": per_kind(oracle, ids, is_noisy),
        }
        if n := oracle.n_regions:
            seen = region >= 0
            content["regions"] = torch.bincount(region[seen], minlength=n).tolist()
            content["noisy_per_region"] = torch.bincount(region[seen & is_noisy], minlength=n).tolist()
        return content

    @property
    def fingerprint(self) -> str:
        """Hash of all images and labels of the pool and the test set, hidden labels included."""
        digest = hashlib.sha256()
        labels = self.oracle.label(torch.arange(len(self.pool)))
        tensors = (
            self.pool.images_M,
            self.pool.source_N,
            labels,
            self.task.test.images,
            self.task.test.labels,
        )
        for tensor in tensors:
            digest.update(tensor.cpu().contiguous().numpy().data)  # without copying the pool
        return digest.hexdigest()[:16]

    @property
    def absent_classes(self) -> list[int]:
        """Classes without a label in the start set, which the first networks cannot predict."""
        present = torch.zeros(self.task.n_classes, dtype=torch.bool)
        labels = self.oracle.label(self.start_ids)
        present[labels[labels != REJECT]] = True
        return torch.nonzero(~present).flatten().tolist()


def corrupted(task: Task, noise: Corrupt, seed: int, device: torch.device) -> tuple[Task, NoisyPool]:
    """Return the task and its training set corrupted by a noise setting, which must not change the test set.

    Where the noise takes classes out of the task, the task is without them.
    """
    test = {"images": task.test.images, "labels": task.test.labels}
    before = Checksums.of(test)
    with unchanged("noise: it"), seeded(stream(seed, "noise globals"), device):
        noisy = corrupt(noise, task.train, task.n_classes, seed)
    if changed := before.changed(test):
        raise BadInput(f"noise: it changed the test set's {changed[0]}, which is never corrupted")
    if "features" in task.train.columns and noisy.features_M is None:
        unused = "features_train is left out: the noise adds images, of which it says nothing"
        task = dataclasses.replace(task, notes=(*task.notes, unused))
    return (task.without(noisy.outside) if noisy.outside else task), noisy


def _who(start: QueryStrategy) -> str:
    return f"start: {type(start).__name__}"


def _check_start(start: QueryStrategy) -> None:
    """Refuse what cannot choose a start set.

    Raises:
        BadInput: it needs a network.
    """
    keeps_state(start, _who(start))
    if start.needs_network:
        raise BadInput(
            f"{_who(start)} needs a trained network (needs_network is True), and before the first labels there is none"
        )
