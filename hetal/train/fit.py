"""Training of one round, epoch by epoch: attempts from scratch with restarts, then fine-tuning.

Between any two epochs the whole state can be saved and loaded into a new `Fitting` of the same round, which then gives
the same bits as an uninterrupted one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from hetal.pool import Pool
from hetal.record.checkpoint import State
from hetal.rng import global_state, set_global_state
from hetal.train.ema import EMA
from hetal.train.epoch import Augment, Training
from hetal.train.finetune import PseudoLabels
from hetal.train.fitted import Fitted
from hetal.train.recipe import Recipe
from hetal.train.snapshot import SnapshotWatch

# Attributes of a `Fitting` that are plain numbers; keys of the state on disk.
PLAIN = ("epochs", "accuracy", "_steps", "_restarts", "_trained")


class AfterEpoch(Protocol):
    """Looks at the networks at the end of every epoch; its state is saved with that of training."""

    def __call__(self, epoch: int, fitted: Fitted) -> None:
        """Look at the networks of an epoch of this round, counted from 1."""

    def state_dict(self) -> State | None:
        """Return what the next call depends on."""

    def load_state_dict(self, state: State | None) -> None:
        """Restore what `state_dict` returned."""


@dataclass(frozen=True)
class Fit:
    """Result of one round's training: its networks and how they were trained.

    Attributes:
        fitted: what a strategy reads.
        epochs: epochs trained, restarts and fine-tuning included.
        steps: optimiser steps taken, likewise.
        restarts: number of restarts.
        accuracy: online train accuracy of the last epoch before fine-tuning, in [0, 1].
        snapshot_epoch: the epoch after which the snapshot pair was taken; None if none was asked for.
        pseudo: the pseudo-labelled rows of fine-tuning, or None.
    """

    fitted: Fitted
    epochs: int
    steps: int
    restarts: int
    accuracy: float
    snapshot_epoch: int | None
    pseudo: PseudoLabels | None


class Fitting:
    """Training of one round in progress.

    Args:
        recipe: settings of training.
        pool: its labelled rows are the training set.
        rng: CPU generator of permutations and augmentation; the caller has seeded the global generators.
        past_steps: optimiser steps of all earlier rounds.
        snapshot: keep the pair of networks that LHD compares.
        targets: images of the test set, for a strategy that reads them.
        after_epoch: looks at the networks after every epoch; training goes on as if it had not.

    Attributes:
        epochs: finished so far, restarts and fine-tuning included.
        accuracy: online accuracy of the last epoch, in [0, 1].
    """

    def __init__(
        self,
        recipe: Recipe,
        pool: Pool,
        rng: torch.Generator,
        past_steps: int,
        snapshot: bool,
        targets: Tensor | None = None,
        after_epoch: AfterEpoch | None = None,
    ) -> None:
        self._recipe = recipe
        self._pool = pool
        self._rng = rng
        self._past_steps = past_steps
        self._wants_snapshot = snapshot
        self._targets = targets
        self._after_epoch = after_epoch
        self.epochs = 0
        self.accuracy = 0.0
        self._steps = 0  # of abandoned attempts, and of training once fine-tuning has begun
        self._restarts = 0
        self._trained: float | None = None  # accuracy at the end of training; None before
        self._pseudo: PseudoLabels | None = None
        self._fitted: Fitted | None = None
        self._begin()

    def epoch(self) -> bool:
        """Train one epoch and decide on what follows; return False once there is nothing left to do."""
        if self._fitted is not None:
            return False
        self.accuracy = self._training.epoch()
        self.epochs += 1
        if self._watch and self._trained is None:
            self._watch.look(self._training)
        if self._after_epoch is not None:
            self._show(self._after_epoch)
        if self._restart_is_due():
            self._steps += self._training.steps
            self._restarts += 1
            self._begin()
        elif self._is_over():
            self._finish()
        return True

    def result(self) -> Fit:
        """Return the result, once `epoch` has returned False."""
        assert self._fitted is not None
        assert self._trained is not None
        self._fitted.seconds = 0.0  # forward passes so far were part of training
        return Fit(
            fitted=self._fitted,
            epochs=self.epochs,
            steps=self._steps + self._training.steps,
            restarts=self._restarts,
            accuracy=self._trained,
            snapshot_epoch=self._watch.epoch if self._watch else None,
            pseudo=self._pseudo,
        )

    def state_dict(self) -> State:
        """Return all that the next epoch depends on, as tensors and plain values."""
        return {
            "rng": self._rng.get_state(),
            "global": global_state(),
            "device": self._device_rng.get_rng_state() if self._device_rng else None,
            "plain": {name: getattr(self, name) for name in PLAIN},
            "pseudo": self._pseudo and list(self._pseudo),
            "training": self._training.state_dict(),
            "watch": self._watch and self._watch.state_dict(),
            "over": self._fitted is not None,
            "after_epoch": self._after_epoch and self._after_epoch.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Restore what `state_dict` returned in the same round."""
        for name in PLAIN:
            setattr(self, name, state["plain"][name])
        if state["pseudo"] is not None:
            self._pseudo = PseudoLabels(*(t.to(self._pool.device) for t in state["pseudo"]))
            self._tune(*(t.to(self._pool.device) for t in state["training"]["rows"]))
        self._training.load_state_dict(state["training"])
        if self._watch:
            self._watch.load_state_dict(state["watch"], self._training.pair)
        if self._after_epoch is not None:
            self._after_epoch.load_state_dict(state["after_epoch"])
        if state["over"]:
            self._fitted = self.read()
        self._rng.set_state(state["rng"])
        set_global_state(state["global"])
        if self._device_rng:
            self._device_rng.set_rng_state(state["device"])

    @property
    def _device_rng(self) -> Any:
        device = self._recipe.device
        return None if device.type == "cpu" else torch.get_device_module(device)

    def _show(self, after_epoch: AfterEpoch) -> None:
        """Show the networks to who looks on; what it draws is not missing from training."""
        before = self._rng.get_state(), global_state(), self._device_rng and self._device_rng.get_rng_state()
        after_epoch(self.epochs, self.read())
        self._rng.set_state(before[0])
        set_global_state(before[1])
        if self._device_rng:
            self._device_rng.set_rng_state(before[2])

    def _restart_is_due(self) -> bool:
        """Return whether to restart: at every `restart_every` epochs of an attempt with too low an accuracy."""
        recipe, n = self._recipe, len(self._training.accuracies)
        return (
            self._trained is None
            and self.epochs < recipe.max_epochs
            and n % recipe.restart_every == 0
            and self.accuracy < recipe.restart_below
        )

    def _is_over(self) -> bool:
        recipe, n = self._recipe, len(self._training.accuracies)
        reached_cap = (self.epochs if self._trained is None else n) >= recipe.max_epochs
        return reached_cap or recipe.stop(
            self._training.accuracies, self._training.steps, self._training.ema_accuracy
        )

    def _finish(self) -> None:
        """Begin fine-tuning after training, if it is configured; else finish."""
        finetune, tuned = self._recipe.finetune, self._trained is not None
        if not tuned:
            self._trained = self.accuracy
            if self._watch:
                self._watch.keep(self._training)
        fitted = self.read()
        if not tuned and finetune is not None and (pseudo := finetune.choose(fitted, self._pool)) is not None:
            self._steps += self._training.steps
            self._pseudo = pseudo
            self._tune(*finetune.rows(fitted, self._pool, pseudo))
        else:
            self._fitted = fitted

    def _begin(self) -> None:
        """Start an attempt with a fresh network."""
        recipe, steps = self._recipe, self._past_steps + self._steps
        network, start = recipe.new_network(), None
        if recipe.own_ema:
            # Drawn from a forked generator, so that dropout and restarts are the same as without `own_ema`.
            device = recipe.device
            with torch.random.fork_rng([device] if device.type == "cuda" else []):
                torch.manual_seed(torch.initial_seed() ^ (steps + 1))
                start = recipe.new_network()
        ema = EMA(network, recipe.ema_decay, start=start, past_steps=steps if recipe.own_ema else 0)
        if recipe.compile:
            network.compile()
        self._watch = SnapshotWatch(recipe.falling_epochs) if self._wants_snapshot else None
        ids = self._pool.labelled_ids()
        self._train(network, ema, self._pool.source_N[ids], self._pool.labels(ids), recipe.lr, None)

    def _tune(self, source_L: Tensor, labels_L: Tensor) -> None:
        """Continue with the trained network on other rows, at another learning rate."""
        finetune, training = self._recipe.finetune, self._training
        assert finetune is not None
        lr = self._recipe.lr * finetune.lr_factor
        self._train(training.network, training.ema, source_L, labels_L, lr, finetune.augment)

    def _train(
        self,
        network: nn.Module,
        ema: EMA,
        source_L: Tensor,
        labels_L: Tensor,
        lr: float,
        augment: Augment | None,
    ) -> None:
        self._training = Training(
            network,
            ema,
            self._pool.images_M,
            source_L,
            labels_L,
            self._recipe.prepare(network),
            lr=lr,
            batch_size=self._recipe.batch_size,
            clip=self._recipe.clip,
            rng=self._rng,
            augment=augment,
        )

    def read(self) -> Fitted:
        """Return the current networks as a query strategy reads them."""
        return Fitted(
            self._training.pair,
            self._pool.images_M,
            self._recipe.prepare(self._training.network),
            self._recipe.score_batch_size,
            self._watch.pair if self._watch else None,
            fine_tuned=self._pseudo is not None,
            targets=self._targets,
            attempt=self._restarts + 1,
        )
