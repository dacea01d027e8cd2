"""Labels by vote: the label of a row is that of one person, drawn among those who labelled it.

Source: Peterson et al., "Human uncertainty makes classification more robust", ICCV 2019 (arXiv 1908.07086), whose
CIFAR-10H has about 50 votes for each test image of CIFAR-10. With v_ic votes for class c, row i has the label

    c with probability v_ic / sum_k v_ik.

Every label is drawn, but a row is noisy only where the label drawn is not the right one: else no row would be clean.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.errors import BadInput
from hetal.machine.scratch import at_once
from hetal.noise.pool import NoisyPool
from hetal.noise.rows import categorical, drawn_in_place
from hetal.task import Examples


def vote_noise(train: Examples, n_classes: int, rng: torch.Generator) -> NoisyPool:
    """Give every row a label drawn from its votes; rows where it is wrong are noisy.

    Args:
        train: the clean rows, under the right labels, with a column "votes".
        n_classes: number of classes; not used.
        rng: CPU generator.

    Raises:
        BadInput: the data have no votes.
    """
    if "votes" not in train.columns:
        raise BadInput(
            "noise=votes: the data have no votes; with data=npz or data=npy these are an array votes_train (n, C), "
            "and in noise.of nothing before may add clean rows or take classes out"
        )
    votes_NC = train.columns["votes"]

    def draw(rows: Tensor, rng: torch.Generator) -> Tensor:
        at = at_once(votes_NC)
        uniform = torch.rand(len(rows), generator=rng, dtype=torch.float64)
        parts = zip(rows.split(at), uniform.split(at), strict=True)
        return torch.cat([categorical(votes_NC.index_select(0, some), number) for some, number in parts])

    return drawn_in_place(train, draw, rng)
