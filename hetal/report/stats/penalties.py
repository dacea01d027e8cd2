"""BADGE's pairwise penalties (Ash et al., ICLR 2020, arXiv 1906.03671, section 5)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hetal.report.stats.intervals import Floats
from hetal.report.stats.significance import ALPHA, holm, paired_t, wilcoxon

# Tests at a checkpoint: Student's, as in BADGE, or Wilcoxon's with Holm's correction for all pairs of strategies.
TESTS = ("t", "wilcoxon")

# (winner, loser) to how often the one beat the other, as a share of the checkpoints.
Penalties = Mapping[tuple[str, str], float]


@dataclass(frozen=True)
class PenaltyMatrix:
    """Pairwise penalties summed over settings.

    Attributes:
        labels: strategies, the least penalised first.
        penalty: (winner, loser) to the sum of its penalties.
        mean: of the column of each loser, over all others; small is good.
        most: the largest possible penalty, the number of settings with a checkpoint.
    """

    labels: tuple[str, ...]
    penalty: Penalties
    mean: Mapping[str, float]
    most: int


def win_shares(
    differences: Sequence[tuple[Sequence[int], Floats]], n_checkpoints: int, test: str = "t"
) -> tuple[list[float], list[float]]:
    """Return the shares of checkpoints at which the first of each pair wins significantly, and at which it loses.

    Args:
        differences: of each pair, the checkpoints at which it is tested, as indices (C,), and the paired differences of
            accuracy there (C, S), first minus second.
        n_checkpoints: of the setting.
        test: one of `TESTS`.
    """
    p_PC, gain_PC = np.full((2, len(differences), n_checkpoints), np.nan)
    for i, (tested, differences_CS) in enumerate(differences):
        if len(tested) and differences_CS.shape[1]:
            p_PC[i, tested] = (paired_t if test == "t" else wilcoxon)(differences_CS)
            gain_PC[i, tested] = differences_CS.mean(1)
    if test == "wilcoxon":
        p_PC = np.array([holm(p_P) for p_P in p_PC.T]).reshape(n_checkpoints, len(differences)).T
    won, lost = (((p_PC < ALPHA) & (sign * gain_PC > 0)).sum(1).tolist() for sign in (1, -1))
    return [n / max(n_checkpoints, 1) for n in won], [n / max(n_checkpoints, 1) for n in lost]


def penalty_matrix(penalties: Sequence[Penalties], labels: Sequence[str], most: int) -> PenaltyMatrix:
    """Sum the penalties of settings.

    Args:
        penalties: of each setting.
        labels: all strategies.
        most: the number of settings with a checkpoint.
    """
    total: dict[tuple[str, str], float] = defaultdict(float)
    for table in penalties:
        for pair, value in table.items():
            total[pair] += value
    mean = {b: float(np.mean([total.get((a, b), 0.0) for a in labels if a != b] or [0.0])) for b in labels}
    order = sorted(labels, key=lambda label: (mean[label], label))
    return PenaltyMatrix(tuple(order), dict(total), mean, most)
