"""Training from scratch on what is labelled: one call a round.

The published protocol (LHD paper, section on experiments): a fresh network every round; Adam; gradients
clipped by value; stop when the online and the moving-average network have learnt the labels, or at the cap.
Where its code and sound practice differ, the argument that reproduces the code is named `own_ema`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hetal.ema import EMA
from hetal.errors import BadInput
from hetal.finetune import PseudoLabel, PseudoLabels
from hetal.fitted import Fitted, Pair, Standardise, seeded
from hetal.pool import Pool
from hetal.snapshot import SnapshotWatch
from hetal.stopping import Threshold
from hetal.task import Task
from hetal.training import Augment, Training

Network = Callable[[Sequence[int], int], nn.Module]


@dataclass(frozen=True)
class Fit:
    """A round's networks, and how they came to be.

    Attributes:
        fitted: what a strategy reads.
        epochs: epochs trained, restarts and fine-tuning included.
        steps: optimiser steps taken, likewise.
        restarts: how often training began again.
        accuracy: online train accuracy of the last epoch before fine-tuning, in [0, 1].
        snapshot_epoch: the epoch at whose end the snapshot pair was taken; None where none was asked for.
        pseudo: the pseudo-labelled rows trained on, or None.
    """

    fitted: Fitted
    epochs: int
    steps: int
    restarts: int
    accuracy: float
    snapshot_epoch: int | None
    pseudo: PseudoLabels | None


@dataclass(frozen=True)
class Learner:
    """How a network is trained.

    Args:
        network: called as network(image_shape, n_classes).
        task: gives shapes, classes and standardisation; its labels are not read.
        finetune: what follows training, or None.
        device: where to train.
        lr: learning rate of Adam.
        batch_size: rows a step.
        score_batch_size: images a forward pass when nothing is trained.
        clip: gradients are clipped by value to +-clip.
        max_epochs: cap on the epochs of a round, those before a restart included.
        stop: when training is done, see `hetal.stopping`.
        restart_every, restart_below: after each `restart_every` epochs of an attempt, start again from a
            fresh network if the epoch's accuracy is under `restart_below`.
        ema_decay: largest decay of the moving average.
        own_ema: start the average from its own random weights and count steps over all rounds.
        falling_epochs: the snapshot pair is taken at the end of this many epochs in a row in which the
            online accuracy fell towards (or below) the average's; else after the last epoch.
    """

    network: Network
    task: Task
    finetune: PseudoLabel | None
    device: torch.device
    lr: float
    batch_size: int
    score_batch_size: int
    clip: float
    max_epochs: int
    stop: Threshold
    restart_every: int
    restart_below: float
    ema_decay: float
    own_ema: bool
    falling_epochs: int

    def __post_init__(self) -> None:
        for name in ("lr", "clip"):
            if not getattr(self, name) > 0:
                raise BadInput(f"train.{name}={getattr(self, name)}: must be positive")
        for name in ("batch_size", "score_batch_size", "max_epochs", "restart_every", "falling_epochs"):
            if getattr(self, name) < 1:
                raise BadInput(f"train.{name}={getattr(self, name)}: must be at least 1")
        if not 0 <= self.ema_decay < 1:
            raise BadInput(f"train.ema_decay={self.ema_decay}: must be in [0, 1)")
        if self.finetune is not None and self.finetune.augment is not None:
            self.finetune.augment.check(self.task.image_shape, self.task.train.images.dtype)

    def new_network(self) -> nn.Module:
        """Build a network with fresh random weights (on the CPU's generator, so alike on every device)."""
        network = self.network(self.task.image_shape, self.task.n_classes)
        if self._channels_last(network):
            network = network.to(memory_format=torch.channels_last)
        return network.to(self.device)

    def fit(
        self,
        pool: Pool,
        rng: torch.Generator,
        *,
        past_steps: int = 0,
        snapshot: bool = False,
        on_epoch: Callable[[int, float], None] = lambda epoch, accuracy: None,
    ) -> Fit:
        """Train a fresh network on the labelled rows of `pool`.

        Args:
            pool: at least one row labelled.
            rng: CPU generator of initial weights, permutations, dropout and augmentation.
            past_steps: steps of all earlier rounds, on which the published average goes on counting.
            snapshot: keep the pair of networks that LHD compares. Training itself is the same either way.
            on_epoch: told the number of every finished epoch and its online accuracy.

        Raises:
            Diverged: a loss was not finite.
        """
        with seeded(rng, self.device):
            return self._fit(pool, rng, past_steps, snapshot, on_epoch)

    def _fit(
        self,
        pool: Pool,
        rng: torch.Generator,
        past_steps: int,
        wants_snapshot: bool,
        on_epoch: Callable[[int, float], None],
    ) -> Fit:
        ids = pool.labelled_ids()
        rows = pool.source_N[ids], pool.labels(ids)
        epochs = steps = restarts = 0
        while True:
            watch = SnapshotWatch(self.falling_epochs) if wants_snapshot else None
            training = self._begin(pool, rows, rng, past_steps + steps)
            done = self._descend(training, epochs, self.max_epochs - epochs, watch, on_epoch)
            epochs, steps = epochs + len(training.accuracies), steps + training.steps
            if done:
                break
            restarts += 1

        snapshot = watch.keep(training) if watch else None
        fitted = self._fitted(pool, training, snapshot)
        pseudo = None
        if self.finetune is not None and (pseudo := self.finetune.choose(fitted, pool)) is not None:
            tuning = self._continue(training, pool, self.finetune.rows(fitted, pool, pseudo), rng)
            self._descend(tuning, epochs, self.max_epochs, None, on_epoch, restarts=False)
            epochs, steps = epochs + len(tuning.accuracies), steps + tuning.steps
            fitted = self._fitted(pool, tuning, snapshot, fine_tuned=True)
        fitted.seconds = 0.0  # passes made so far were part of training
        return Fit(
            fitted, epochs, steps, restarts, training.accuracies[-1], watch.epoch if watch else None, pseudo
        )

    def _begin(
        self, pool: Pool, rows: tuple[Tensor, Tensor], rng: torch.Generator, past_steps: int
    ) -> Training:
        network = self.new_network()
        if self.own_ema:
            # Drawn aside, so that the network's own dropout and restarts are those of every other run of this seed.
            with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
                torch.manual_seed(torch.initial_seed() ^ (past_steps + 1))
                start = self.new_network()
            ema = EMA(network, self.ema_decay, start=start, past_steps=past_steps)
        else:
            ema = EMA(network, self.ema_decay)
        return self._training(network, ema, pool, rows, rng, self.lr, None)

    def _continue(
        self, training: Training, pool: Pool, rows: tuple[Tensor, Tensor], rng: torch.Generator
    ) -> Training:
        assert self.finetune is not None
        lr = self.lr * self.finetune.lr_factor
        return self._training(training.network, training.ema, pool, rows, rng, lr, self.finetune.augment)

    def _training(
        self,
        network: nn.Module,
        ema: EMA,
        pool: Pool,
        rows: tuple[Tensor, Tensor],
        rng: torch.Generator,
        lr: float,
        augment: Augment | None,
    ) -> Training:
        return Training(
            network,
            ema,
            pool.images_M,
            *rows,
            self._prepare(network),
            lr=lr,
            batch_size=self.batch_size,
            clip=self.clip,
            rng=rng,
            augment=augment,
        )

    def _descend(
        self,
        training: Training,
        before: int,
        cap: int,
        watch: SnapshotWatch | None,
        on_epoch: Callable[[int, float], None],
        restarts: bool = True,
    ) -> bool:
        """Train until the rule says stop, or to the cap: True. Where a restart is due: False."""
        while True:
            accuracy = training.epoch()
            n = len(training.accuracies)
            on_epoch(before + n, accuracy)
            if watch:
                watch.look(training)
            if n >= cap:
                return True
            if restarts and n % self.restart_every == 0 and accuracy < self.restart_below:
                return False
            if self.stop(training.accuracies, training.ema_accuracy):
                return True

    def _prepare(self, network: nn.Module) -> Standardise:
        task = self.task
        return Standardise(task.mean, task.std, task.image_shape, self._channels_last(network), self.device)

    def _fitted(
        self, pool: Pool, training: Training, snapshot: Pair | None, fine_tuned: bool = False
    ) -> Fitted:
        prepare = self._prepare(training.network)
        return Fitted(
            training.pair, pool.images_M, prepare, self.score_batch_size, snapshot, fine_tuned=fine_tuned
        )

    def _channels_last(self, network: nn.Module) -> bool:
        # Not on the CPU: there, torch 2.14.1's channels-last convolutions of fewer than 8 channels write past
        # their buffers in the backward pass when run on one thread.
        return self.device.type == "cuda" and any(isinstance(m, nn.Conv2d) for m in network.modules())
