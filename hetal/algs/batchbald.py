"""BatchBALD: buy the rows whose labels together tell most about the weights.

Kirsch, van Amersfoort & Gal (NeurIPS 2019, arXiv 1906.08158): greedily maximise I(y_1, .., y_B; theta) over K members
of an ensemble, or dropout passes. See `hetal.acquisition.joint_information` for the equations, and where they are
computed in another way than in the authors' code.

Passes share their masks over all images (consistent dropout, as in the authors' code): with torch's own masks, a
network of its own for every image, labels of two images tell nothing of each other, and BatchBALD is BALD. Distinct
images are scored, each as often a candidate as it has unlabelled rows: a copy of a row that was picked is another draw
of the same label.

Cost: for each pick, the images whose bound leads (all, at worst) times K C operations and C logarithms for each
configuration. A batch tells at most log K, so that a query of many rows may be made of several batches.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hetal.acquisition import batchbald
from hetal.algs.base import QueryStrategy, check_draws
from hetal.algs.posterior import check_passes, check_posterior, drawn_probs
from hetal.errors import BadInput
from hetal.pool import Pool
from hetal.train.fitted import Fitted


class BatchBALD(QueryStrategy):
    """Buys rows by greedy joint mutual information.

    Args:
        n_passes: K of a single network, stochastic forward passes per image, at least 2. An ensemble's members are run
            without dropout, once each.
        n_configurations: of the labels of the rows picked, at most; all while they are so few, then drawn.
        restart_below: once the best row tells less than this share of what the first did, go on as if nothing were
            picked, among images not picked; 0 never does, as in the paper.

    Raises:
        BadInput: `n_passes` is not in 2..1,000,000, `n_configurations` not in 1..1,000,000, or `restart_below` not in
            0..1.
    """

    def __init__(self, n_passes: int, n_configurations: int, restart_below: float) -> None:
        check_passes(n_passes)
        check_draws("n_configurations", n_configurations, 1)
        if not 0 <= restart_below <= 1:
            raise BadInput(f"alg.restart_below={restart_below}: must be in 0..1")
        self.n_passes = n_passes
        self.n_configurations = n_configurations
        self.restart_below = restart_below

    def check(self, network: nn.Module) -> None:
        """Refuse a single network without dropout, whose passes would all be equal."""
        check_posterior(network, "batchbald")

    def query(self, fitted: Fitted, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
        """Return the n ids, in the order they are picked."""
        images, copies = pool.distinct()
        picks = batchbald(
            drawn_probs(fitted, fitted.images(images), self.n_passes, rng),
            n,
            rng,
            weights=copies,
            n_configurations=self.n_configurations,
            restart_below=self.restart_below,
        )
        return pool.rows_showing(images[picks], rng)
