"""Training from scratch on what is labelled: one call a round."""

from __future__ import annotations

from collections.abc import Callable

import torch

from hetal.errors import Stopped
from hetal.pool import Pool
from hetal.record.checkpoint import Checkpoint
from hetal.rng import seeded
from hetal.train.fit import Fit, Fitting
from hetal.train.recipe import Recipe


class Learner(Recipe):
    """Trains a fresh network each round as its settings say, which are those of `hetal.train.recipe.Recipe`."""

    def fit(
        self,
        pool: Pool,
        rng: torch.Generator,
        *,
        past_steps: int = 0,
        snapshot: bool = False,
        on_epoch: Callable[[int, float], None] = lambda epoch, accuracy: None,
        checkpoint: Checkpoint | None = None,
    ) -> Fit:
        """Train a fresh network on the labelled rows of `pool`.

        Args:
            pool: at least one row labelled.
            rng: CPU generator of initial weights, permutations, dropout and augmentation.
            past_steps: steps of all earlier rounds, on which the published average goes on counting.
            snapshot: keep the pair of networks that LHD compares. Training itself is the same either way.
            on_epoch: told the number of every finished epoch and its online accuracy.
            checkpoint: goes on from the state it holds, if any, and keeps that of this round every so often.

        Raises:
            Diverged: a loss was not finite.
        """
        with seeded(rng, self.device):
            fitting = Fitting(self, pool, rng, past_steps, snapshot)
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
