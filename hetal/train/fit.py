"""Training of one round, epoch by epoch: attempts from scratch with restarts, then fine-tuning.

Between any two epochs the whole state can be saved and loaded into a new `Fitting` of the same round, which then gives
the same bits as an uninterrupted one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hetal.pool import Pool
from hetal.record.checkpoint import State
from hetal.rng import global_state, set_global_state
from hetal.train.ema import EMA
from hetal.train.epoch import Training
from hetal.train.finetune import PseudoLabels
from hetal.train.fitted import Fitted
from hetal.train.recipe import Recipe
from hetal.train.snapshot import SnapshotWatch
from hetal.train.warm_start import Weights

# Attributes of a `Fitting` that are plain numbers; keys of the state on disk.
PLAIN = ("epochs", "accuracy", "_steps", "_restarts", "_trained")


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
        previous: weights that the last round ended with, for a warm start of the first attempt; None in round 0.

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
    ) -> None:
        self._recipe = recipe
        self._pool = pool
        self._rng = rng
        self._past_steps = past_steps
        self._wants_snapshot = snapshot
        self._previous = previous
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
        """Start an attempt with a fresh network; the first, of a warm start, from the last round's weights."""
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
        ema = EMA(network, recipe.ema_decay, start=start, past_steps=steps if recipe.own_ema else 0)
        if recipe.compile:
            network.compile()
        self._watch = SnapshotWatch(recipe.falling_epochs) if self._wants_snapshot else None
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
        return Fitted(
            self._training.pair,
            self._pool.images_M,
            self._recipe.prepare(self._training.network),
            self._recipe.score_batch_size,
            self._watch.pair if self._watch else None,
            fine_tuned=self._pseudo is not None,
        )
