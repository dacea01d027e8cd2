"""Fine-tuning on confident predictions for unlabelled rows (LHD paper, section on semi-supervised fine-tuning).

After training, unlabelled rows whose largest class probability exceeds a bar take the predicted label and join
the labelled rows; training goes on with strong augmentation and a larger learning rate. The paper's code also
replaces the labels that were *bought* by predictions: `replace_labels=True` does so, the default does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from hetal.augment import Strong
from hetal.errors import BadInput
from hetal.pool import Pool
from hetal.train.fitted import Fitted


class PseudoLabels(NamedTuple):
    """Unlabelled rows and the labels that the network gave them: ids (n,), labels (n,)."""

    ids: Tensor
    labels: Tensor


@dataclass(frozen=True)
class PseudoLabel:
    """How to fine-tune.

    Args:
        confidence: a row joins when its largest probability is above this, in [0, 1].
        lr_factor: learning rate of fine-tuning over that of training.
        min_rows: with fewer rows in all (bought and pseudo-labelled), fine-tuning is skipped.
        replace_labels: train on predictions for bought rows too, as the paper's code does.
        augment: strong augmentation, or None.
    """

    confidence: float
    lr_factor: float
    min_rows: int
    replace_labels: bool
    augment: Strong | None

    def __post_init__(self) -> None:
        if not 0 <= self.confidence <= 1:
            raise BadInput(f"finetune.confidence={self.confidence}: must be in [0, 1]")
        if self.lr_factor <= 0:
            raise BadInput(f"finetune.lr_factor={self.lr_factor}: must be positive")

    def choose(self, fitted: Fitted, pool: Pool) -> PseudoLabels | None:
        """Return the unlabelled rows that are confident enough; None where there are too few to fine-tune."""
        top = fitted.probs_MC.max(1)
        ids = pool.unlabelled_ids()
        ids = ids[top.values[pool.source_N[ids]] > self.confidence]
        if len(pool.labelled_ids()) + len(ids) < self.min_rows:
            return None
        return PseudoLabels(ids, top.indices[pool.source_N[ids]])

    def rows(self, fitted: Fitted, pool: Pool, pseudo: PseudoLabels) -> tuple[Tensor, Tensor]:
        """Return the images (L,) and labels (L,) to fine-tune on: bought rows, then pseudo-labelled ones."""
        bought = pool.labelled_ids()
        source = pool.source_N[bought]
        labels = fitted.probs_MC[source].argmax(1) if self.replace_labels else pool.labels(bought)
        return torch.cat([source, pool.source_N[pseudo.ids]]), torch.cat([labels, pseudo.labels])
