"""Fine-tuning on pseudo-labels: confident predictions for unlabelled rows (LHD paper, semi-supervised fine-tuning).

After training, unlabelled rows whose largest class probability exceeds a threshold get the predicted label and are
added to the labelled rows; training continues with augmentation and a larger learning rate. The paper's code also
replaces the labels that were *bought* by predictions; `replace_labels=True` reproduces that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from hetal.augment import Augmentation
from hetal.errors import BadInput
from hetal.pool import Pool
from hetal.train.fitted import Fitted


class PseudoLabels(NamedTuple):
    """Unlabelled rows and their predicted labels: ids (n,), labels (n,)."""

    ids: Tensor
    labels: Tensor


@dataclass(frozen=True)
class PseudoLabel:
    """Settings of fine-tuning on pseudo-labels.

    Args:
        confidence: threshold of the largest class probability above which a row is pseudo-labelled, in [0, 1].
        lr_factor: learning rate of fine-tuning divided by that of training.
        min_rows: fine-tuning is skipped with fewer rows than this (bought and pseudo-labelled together).
        replace_labels: also train on predictions for bought rows, as the paper's code does.
        augment: of the images of fine-tuning, or None.
    """

    confidence: float
    lr_factor: float
    min_rows: int
    replace_labels: bool
    augment: Augmentation | None

    def __post_init__(self) -> None:
        if not 0 <= self.confidence <= 1:
            raise BadInput(f"finetune.confidence={self.confidence}: must be in [0, 1]")
        if self.lr_factor <= 0:
            raise BadInput(f"finetune.lr_factor={self.lr_factor}: must be positive")

    def choose(self, fitted: Fitted, pool: Pool) -> PseudoLabels | None:
        """Return the confident unlabelled rows with pseudo-labels; None if there are too few rows to fine-tune."""
        most_likely = fitted.probs_MC.max(1)
        ids = pool.unlabelled_ids()
        ids = ids[most_likely.values[pool.source_N[ids]] > self.confidence]
        if len(pool.labelled_ids()) + len(ids) < self.min_rows:
            return None
        return PseudoLabels(ids, most_likely.indices[pool.source_N[ids]])

    def rows(self, fitted: Fitted, pool: Pool, pseudo: PseudoLabels) -> tuple[Tensor, Tensor]:
        """Return the image numbers (L,) and labels (L,) to fine-tune on: bought rows, then pseudo-labelled rows."""
        ids = pool.labelled_ids()
        source = pool.source_N[ids]
        labels = fitted.probs_MC[source].argmax(1) if self.replace_labels else pool.labels(ids)
        return torch.cat([source, pool.source_N[pseudo.ids]]), torch.cat([labels, pseudo.labels])
