"""EPIG: buy the rows whose labels tell most about the labels of targets, such as the test inputs.

Bickford Smith, Kirsch, Farquhar, Gal, Foster & Rainforth (AISTATS 2023, arXiv 2304.08151), with K members of an
ensemble or dropout passes:

    EPIG(x) = mean over targets x* of I(y; y*)

Rows that would tell much of weights that no prediction hangs on score low, unlike in BALD. The paper draws 100 targets
anew for each query from the distribution of inputs that predictions are made for. Here they are rows of the pool, noise
and all, or test inputs without their labels, which the record then says. Passes share their masks over images and
targets. The n highest scores are bought, where the authors buy one row at a time.

Cost: forward passes, then M T C^2 (K + a logarithm) operations for M images and T targets.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from hetal.acquisition import epig
from hetal.algs.posterior import check_passes, check_posterior, drawn_probs
from hetal.algs.scored import Scored
from hetal.errors import BadInput
from hetal.machine.scratch import gathered
from hetal.machine.transfer import to_device
from hetal.pool import Pool
from hetal.train.fitted import Fitted

Targets = Literal["pool", "test"]


class EPIG(Scored):
    """Buys the rows with the highest expected predictive information gain.

    Args:
        n_passes: K of a single network, stochastic forward passes per image, at least 2. An ensemble's members are run
            without dropout, once each.
        targets: "pool", random rows of the pool, labelled or not; "test", random inputs of the test set.
        n_targets: how many, drawn anew for every query without replacement; all where there are no more.

    Raises:
        BadInput: `n_passes` is not in 2..1,000,000, `targets` neither of the two, or `n_targets` below 1.
    """

    def __init__(self, n_passes: int, targets: Targets, n_targets: int) -> None:
        check_passes(n_passes)
        if targets not in get_args(Targets):
            raise BadInput(f"alg.targets={targets}: must be one of {', '.join(get_args(Targets))}")
        if n_targets < 1:
            raise BadInput(f"alg.n_targets={n_targets}: must be at least 1")
        self.n_passes = n_passes
        self.targets = targets
        self.n_targets = n_targets
        self.reads_targets = targets == "test"

    def check(self, network: nn.Module) -> None:
        """Refuse a single network without dropout, whose passes would all be equal."""
        check_posterior(network, "epig")

    def scores(self, fitted: Fitted, pool: Pool, rng: torch.Generator) -> Tensor:
        """Return the expected predictive information gain of every image that an unlabelled row shows, (M,)."""
        images, _ = pool.distinct()
        shown, copies = self._targets_in(pool, rng)
        numbers = torch.cat([images, shown[~torch.isin(shown, images)]])
        same = torch.Generator()
        same.set_state(rng.get_state())
        probs_KMC = drawn_probs(fitted, fitted.images(numbers), self.n_passes, rng)
        if self.targets == "test":
            some = torch.randperm(len(fitted.targets), generator=rng)[: self.n_targets]
            inputs = gathered(fitted.targets, some.to(fitted.targets.device)).to(pool.device)
            targets_KTC, copies = drawn_probs(fitted, inputs, self.n_passes, same), torch.ones_like(some)
        else:
            targets_KTC = probs_KMC[:, _places(numbers, shown, len(pool.images_M))]
        score_M = torch.zeros(len(pool.images_M), dtype=torch.float64, device=pool.device)
        score_M[images] = epig(probs_KMC[:, : len(images)], targets_KTC, weights=copies)
        return score_M

    def _targets_in(self, pool: Pool, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the images of random rows of the pool, and of how many each; none where targets are test inputs."""
        n = self.n_targets if self.targets == "pool" else 0
        rows = torch.randperm(len(pool), generator=rng)[:n]
        images, copies = pool.source_N[to_device(pool.device, rows)[0]].unique(return_counts=True)
        return images, copies


def _places(numbers: Tensor, some: Tensor, n_images: int) -> Tensor:
    """Return where in `numbers` each of `some` stands."""
    place_M = torch.empty(n_images, dtype=torch.int64, device=numbers.device)
    place_M[numbers] = torch.arange(len(numbers), device=numbers.device)
    return place_M[some]
