"""Training of one round, epoch by epoch: attempts from scratch with restarts, and fine-tuning.

Fine-tuning follows training, and the network is tested after it. With `finetune_at_snapshot`, where a strategy reads
the snapshot pair, the order is that of the LHD paper's code: fine-tuning begins at the moment T of the snapshot, its
networks are kept for the strategy as soon as it ends, and training goes on from them, with the optimiser it had, until
it ends by its own rule; the network is tested then. Training does not go on where fine-tuning itself reaches the
accuracies at which training stops, nor where T was the last epoch that the cap allows: then the network of T is tested.

Between any two epochs the whole state can be saved and loaded into a new `Fitting` of the same round, which then gives
the same bits as an uninterrupted one.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from hetal.pool import Pool
from hetal.record.checkpoint import State
from hetal.rng import global_state, set_global_state
from hetal.train.ema import EMA
from hetal.train.epoch import Training
from hetal.train.finetune import PseudoLabels
from hetal.train.fitted import Fitted, Pair
from hetal.train.recipe import Recipe
from hetal.train.snapshot import SnapshotWatch
from hetal.train.warm_start import Weights

# Attributes of a `Fitting` that are plain numbers; keys of the state on disk.
PLAIN = ("epochs", "accuracy", "_steps", "_restarts", "_trained_epochs", "_train_accuracy", "_is_tuning")


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
        accuracy: online train accuracy of the last epoch that was none of fine-tuning, in [0, 1].
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
        previous: weights that the last round ended with, for a warm start of the first attempt; None in round 0.
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
        previous: Weights | None = None,
        targets: Tensor | None = None,
        after_epoch: AfterEpoch | None = None,
    ) -> None:
        self._recipe = recipe
        self._pool = pool
        self._rng = rng
        self._past_steps = past_steps
        self._wants_snapshot = snapshot
        self._previous = previous
        self._targets = targets
        self._after_epoch = after_epoch
        self.epochs = 0
        self.accuracy = 0.0
        self._steps = 0  # of what has ended: abandoned attempts, training, fine-tuning
        self._restarts = 0
        self._trained_epochs = 0  # without those of fine-tuning
        self._train_accuracy = 0.0  # of the last of these epochs
        self._is_tuning = False
        self._paused: Training | None = None  # the training that goes on after fine-tuning
        self._tuned: Pair | None = None  # what fine-tuning left, where training went on
        self._pseudo: PseudoLabels | None = None
        self._watch: SnapshotWatch | None = None
        self._fitted: Fitted | None = None
        self._training: Training
        self._begin()

    def epoch(self) -> bool:
        """Train one epoch and decide on what follows; return False once there is nothing left to do."""
        if self._fitted is not None:
            return False
        self.accuracy = self._training.epoch()
        self.epochs += 1
        if self._after_epoch is not None:
            self._show(self._after_epoch)
        if self._is_tuning:
            if self._is_over(len(self._training.accuracies)):
                self._end_tuning()
            return True
        self._trained_epochs += 1
        self._train_accuracy = self.accuracy
        is_moment = self._watch is not None and self._watch.look(self._training)
        if self._restart_is_due():
            self._steps += self._training.steps
            self._restarts += 1
            self._begin()
            return True
        is_over = self._is_over(self._trained_epochs)
        if is_over and self._watch:
            is_moment |= self._watch.keep(self._training)
        tunes_now = is_moment if self._tunes_at_snapshot else is_over
        if not (tunes_now and self._begin_tuning()) and is_over:
            self._fitted = self.read()
        return True

    def result(self) -> Fit:
        """Return the result, once `epoch` has returned False."""
        assert self._fitted is not None
        self._fitted.watch.reset()  # forward passes so far were part of training
        return Fit(
            fitted=self._fitted,
            epochs=self.epochs,
            steps=self._steps + self._training.steps + (self._paused.steps if self._paused else 0),
            restarts=self._restarts,
            accuracy=self._train_accuracy,
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
            "paused": self._paused and self._paused.state_dict(),
            "tuned": self._tuned and self._tuned.state_dict(),
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
        if state["tuned"] is not None:
            self._tuned = copy.deepcopy(self._training.pair)
            self._tuned.load_state_dict(state["tuned"])
        if state["paused"] is not None:
            self._training.load_state_dict(state["paused"])
            self._paused = self._training
        if self._is_tuning:
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

    @property
    def _tunes_at_snapshot(self) -> bool:
        return self._recipe.finetune_at_snapshot and self._watch is not None

    @property
    def _is_at_cap(self) -> bool:
        return self._trained_epochs >= self._recipe.max_epochs

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
        return not self._is_at_cap and n % recipe.restart_every == 0 and self.accuracy < recipe.restart_below

    def _is_over(self, n_epochs: int) -> bool:
        """Return whether training or fine-tuning ends after this epoch, its `n_epochs`-th."""
        training, recipe = self._training, self._recipe
        return n_epochs >= recipe.max_epochs or recipe.stop(
            training.accuracies, training.steps, training.ema_accuracy
        )

    def _begin_tuning(self) -> bool:
        """Begin fine-tuning, if it is configured and there are enough rows; return whether it has begun."""
        if (finetune := self._recipe.finetune) is None:
            return False
        fitted = self.read()
        if (pseudo := finetune.choose(fitted, self._pool)) is None:
            return False
        self._pseudo, self._is_tuning = pseudo, True
        if self._tunes_at_snapshot and not self._is_at_cap:
            self._paused = self._training
        else:
            self._steps += self._training.steps
        self._tune(*finetune.rows(fitted, self._pool, pseudo))
        return True

    def _end_tuning(self) -> None:
        """Continue with training where it was paused; else finish."""
        tuning, paused = self._training, self._paused
        # The rule that training stops by, asked about the last epoch alone, as the LHD paper's code does.
        if paused is None or self._recipe.stop(tuning.accuracies[-1:], tuning.steps, tuning.ema_accuracy):
            self._fitted = self.read()
        else:
            self._steps += tuning.steps
            self._tuned = copy.deepcopy(tuning.pair)
            self._training, self._paused, self._is_tuning = paused, None, False

    def _begin(self) -> None:
        """Start an attempt with a fresh network; the first, of a warm start, from the last round's weights."""
        if self._wants_snapshot and not (self._watch and self._recipe.falls_over_restarts):
            first_gap = 0.0 if self._recipe.falls_over_restarts else None
            self._watch = SnapshotWatch(self._recipe.falling_epochs, first_gap)
            self._tuned = self._pseudo = None  # fine-tuning begins again at the moment of the new attempt
        recipe, steps = self._recipe, self._past_steps + self._steps
        network, start = recipe.new_network(), None
        if recipe.warm_start is not None and self._previous is not None and self._restarts == 0:
            recipe.warm_start(network, self._previous)
        if recipe.own_ema:
            # Drawn from a forked generator, so that dropout and restarts are the same as without `own_ema`.
            device = recipe.device
            with torch.random.fork_rng([device] if device.type == "cuda" else []):
                torch.manual_seed(torch.initial_seed() ^ (steps + 1))
                start = recipe.new_network()
        ema = EMA(
            network,
            recipe.ema_decay,
            start=start,
            past_steps=steps if recipe.own_ema else 0,
            on_batches=recipe.ema_on_batches,
        )
        ids = self._pool.labelled_ids()
        self._training = Training(
            recipe,
            network,
            ema,
            self._pool.images_M,
            self._pool.source_N[ids],
            self._pool.labels(ids),
            self._rng,
            schedule=recipe.schedule,
            augment=recipe.augment,
        )

    def _tune(self, source_L: Tensor, labels_L: Tensor) -> None:
        """Continue with the trained network on other rows, at another learning rate."""
        finetune, training = self._recipe.finetune, self._training
        assert finetune is not None
        self._training = Training(
            self._recipe,
            training.network,
            training.ema,
            self._pool.images_M,
            source_L,
            labels_L,
            self._rng,
            lr_factor=finetune.lr_factor,
            augment=finetune.augment,
        )

    def read(self) -> Fitted:
        """Return the current networks as a query strategy reads them."""
        trained, tuned = self._training.pair, self._tuned
        snapshot = self._watch.pair if self._watch else None
        if self._is_tuning:
            tuned = trained
            if snapshot and self._tunes_at_snapshot and self._is_at_cap:
                trained = snapshot  # T was the last epoch
        return Fitted(
            trained,
            self._pool.images_M,
            self._recipe.prepare(self._training.network),
            self._recipe.score_batch_size,
            snapshot,
            tuned,
            targets=self._targets,
            attempt=self._restarts + 1,
            given_M=self._pool.given_M,
            n_classes=self._recipe.task.n_classes,
            tf32=self._recipe.precision == "tf32",
        )
