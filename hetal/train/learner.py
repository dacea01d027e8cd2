"""The learner: trains a network on all labelled rows, once a round; a fresh one, unless warm starts are chosen."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hetal.errors import Stopped
from hetal.pool import Pool
from hetal.record.checkpoint import Checkpoint, State, weights_of
from hetal.rng import seeded
from hetal.train.fit import AfterEpoch, Fit, Fitting
from hetal.train.recipe import Recipe
from hetal.train.warm_start import Weights


class Learner(Recipe):
    """Trains a network each round; its settings are those of `hetal.train.recipe.Recipe`."""

    def fit(
        self,
        pool: Pool,
        rng: torch.Generator,
        *,
        past_steps: int = 0,
        previous: Weights | None = None,
        snapshot: bool = False,
        targets: Tensor | None = None,
        after_epoch: AfterEpoch | None = None,
        on_epoch: Callable[[int, float], None] = lambda epoch, accuracy: None,
        checkpoint: Checkpoint | None = None,
    ) -> Fit:
        """Train a network on the labelled rows of `pool`.

        Args:
            pool: with at least one labelled row.
            rng: CPU generator of initial weights, permutations, dropout and augmentation.
            past_steps: optimiser steps of all earlier rounds, which the paper's moving average (`own_ema`) counts.
            previous: what `hand_on` returned for the last round; None in round 0. It is read where `warm_start` is set.
            snapshot: keep the pair of networks that LHD compares; training itself does not change.
            targets: images of the test set, for a strategy that reads them.
            after_epoch: looks at the networks after every epoch; training itself does not change.
            on_epoch: called after every epoch with its number and online accuracy.
            checkpoint: training continues from its state, if it holds one, and is saved to it from time to time.

        Raises:
            Diverged: a loss was not finite.
        """
        with seeded(rng, self.device):
            fitting = Fitting(self, pool, rng, past_steps, snapshot, previous, targets, after_epoch)
            if checkpoint and (state := checkpoint.load()) is not None:
                fitting.load_state_dict(state)
            while fitting.epoch():
                try:
                    on_epoch(fitting.epochs, fitting.accuracy)
                except Stopped:
                    if checkpoint:
                        checkpoint.keep(fitting.state_dict, now=True)
                    raise
                if checkpoint:
                    checkpoint.keep(fitting.state_dict)
            return fitting.result()

    def hand_on(self, fit: Fit) -> State | None:
        """Return a copy of the weights that a round ended with, for the next one; None without warm start."""
        return None if self.warm_start is None else weights_of(fit.fitted.networks.online)
