"""Who beats whom over all settings: BADGE's pairwise penalties, and ranks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hetal.report.analyse.series import checkpoints
from hetal.report.stats.ranks import Ranking, rank
from hetal.report.stats.significance import SURE, holm, paired_t, wilcoxon

if TYPE_CHECKING:
    from hetal.report.analyse.setting import Setting

# Tests at a checkpoint: Student's, as in BADGE, or Wilcoxon's with Holm's correction for all pairs of strategies.
TESTS = ("t", "wilcoxon")


@dataclass(frozen=True)
class PenaltyMatrix:
    """Pairwise penalties summed over settings.

    Attributes:
        labels: strategies, least penalised first.
        penalty: (winner, loser) to how often the one beat the other, as a share of checkpoints summed over settings.
        mean: of the column of each loser, over all others; small is good.
        most: the largest possible penalty, the number of settings with a checkpoint.
    """

    labels: tuple[str, ...]
    penalty: Mapping[tuple[str, str], float]
    mean: Mapping[str, float]
    most: int


def penalties(setting: Setting, test: str = "t") -> dict[tuple[str, str], float]:
    """Return the pairwise penalties of one setting (Ash et al., ICLR 2020, arXiv 1906.03671, section 5).

    At every checkpoint each pair is tested over the seeds that both finished; where p < 0.05, the winner's row gains
    1 / #checkpoints in the loser's column. A pair that was not tested at a checkpoint gains nothing there.

    Args:
        setting: of finished runs.
        test: one of `TESTS`.

    Returns:
        (winner, loser) to penalty, for every ordered pair.
    """
    names = list(setting.accuracy)
    table = {(a, b): 0.0 for a in names for b in names if a != b}
    at = _checkpoints(setting)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    p_PC, gain_PC = np.full((2, len(pairs), len(at)), np.nan)
    for i, (a, b) in enumerate(pairs):
        shared, x_SR, y_SR = setting.paired(a, b)
        there = [j for j, n in enumerate(at) if n in shared]
        columns = [shared.index(at[j]) for j in there]
        if not columns or not len(x_SR):
            continue
        differences_CS = (x_SR - y_SR)[:, columns].T
        p_PC[i, there] = (paired_t if test == "t" else wilcoxon)(differences_CS)
        gain_PC[i, there] = differences_CS.mean(1)
    if test == "wilcoxon":
        p_PC = np.array([holm(p_P) for p_P in p_PC.T]).reshape(len(at), len(pairs)).T
    won_P, lost_P = (((p_PC < SURE) & (sign * gain_PC > 0)).sum(1) for sign in (1, -1))
    for (a, b), won, lost in zip(pairs, won_P.tolist(), lost_P.tolist(), strict=True):
        table[a, b], table[b, a] = won / max(len(at), 1), lost / max(len(at), 1)
    return table


def total_penalties(settings: Sequence[Setting], test: str = "t") -> dict[tuple[str, str], float]:
    """Return penalties summed over settings."""
    total: dict[tuple[str, str], float] = defaultdict(float)
    for setting in settings:
        for pair, value in setting.penalties(test).items():
            total[pair] += value
    return dict(total)


def penalty_matrix(settings: Sequence[Setting], test: str = "t") -> PenaltyMatrix:
    """Return BADGE's matrix with its column means, least penalised first; `test` is one of `TESTS`."""
    total = total_penalties(settings, test)
    names = sorted({label for setting in settings for label in setting.accuracy})
    mean = {b: float(np.mean([total.get((a, b), 0.0) for a in names if a != b] or [0.0])) for b in names}
    names.sort(key=lambda label: (mean[label], label))
    most = sum(bool(_checkpoints(setting)) for setting in settings if setting.accuracy)
    return PenaltyMatrix(tuple(names), total, mean, most)


def ranking(settings: Sequence[Setting]) -> Ranking | None:
    """Rank the strategies that finished in every setting by area under the curve; None where there are none.

    In each setting, over the seeds that all of them finished, or over each one's own where there is no such seed.
    """
    settings = [setting for setting in settings if setting.area]
    everywhere = sorted(set.intersection(*(set(s.area) for s in settings))) if settings else []
    if not everywhere:
        return None
    rows = []
    for setting in settings:
        common = set.intersection(*(set(setting.area[label]) for label in everywhere))
        rows.append([
            np.mean([a for seed, a in setting.area[label].items() if not common or seed in common])
            for label in everywhere
        ])  # fmt: skip
    return rank(everywhere, np.array(rows))


def _checkpoints(setting: Setting) -> list[int]:
    random = setting.accuracy.get("random")
    if random:
        return checkpoints(setting.grids["random"], np.mean([*random.values()], axis=0))
    return checkpoints(setting.grid, None) if setting.accuracy else []
