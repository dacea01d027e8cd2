"""Human label noise: labels that people gave, which the data bring in columns called human_...

Source: Wei et al., "Learning with Noisy Labels Revisited: A Study Using Real-World Human Annotations", ICLR 2022 (arXiv
2110.12088). Of their labels of CIFAR-10's training images, CIFAR-10N, 9.0% (aggregate), 17.2, 18.1, 17.6% (random1 to
random3) and 40.2% (worst) are wrong. There is nothing random in the pool.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.errors import BadInput
from hetal.noise.pool import NoisyPool
from hetal.noise.rows import in_place
from hetal.task import Examples


def human_noise(train: Examples, n_classes: int, rng: torch.Generator, *, column: str) -> NoisyPool:
    """Give every row the label in one column of human labels; rows where it is wrong are noisy.

    Who asks again, where the oracle answers anew, gets the label in a column drawn at random among all human ones of
    the data, each as likely; so for such a study the data should hold one column a person, and no majority of them.

    Args:
        train: the clean rows, under the right labels.
        n_classes: number of classes; not used, as `rng` is not.
        rng: CPU generator.
        column: name of the column.

    Raises:
        BadInput: the data have no such column.
    """
    columns = {name: labels for name, labels in train.columns.items() if name.startswith("human_")}
    if not columns:
        raise BadInput(
            f"noise.column={column}: the data have no labels by people; with data=npz or data=npy these are arrays "
            "called human_..., and in noise.of nothing before may add clean rows or take classes out"
        )
    if column not in columns:
        raise BadInput(f"noise.column={column}: must be {' or '.join(columns)}, which the data have")
    labels = columns[column].long()
    if len(columns) == 1:
        return in_place(train, labels, labels != train.labels)

    def draw(rows: Tensor, rng: torch.Generator) -> Tensor:
        answers = torch.stack([labels[rows].long() for labels in columns.values()])
        asked = torch.randint(len(answers), (len(rows),), generator=rng)
        return answers[asked, torch.arange(len(rows))]

    return in_place(train, labels, labels != train.labels, draw)
