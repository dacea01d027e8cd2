"""BADGE's pairwise penalties of settings, see `hetal.report.stats.penalties`."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from hetal.report.analyse.setting import Setting, paired_curves
from hetal.report.stats.curves import checkpoints
from hetal.report.stats.penalties import Penalties, win_shares


def penalties_of(setting: Setting, test: str = "t") -> Penalties:
    """Return the pairwise penalties of one setting.

    At every checkpoint each pair is tested over the seeds that both finished; where p < 0.05, the winner's row gains
    1 / #checkpoints in the loser's column. A pair that was not tested at a checkpoint gains nothing there.

    Args:
        setting: with finished runs.
        test: one of `hetal.report.stats.penalties.TESTS`.

    Returns:
        (winner, loser) to penalty, for every ordered pair of contenders.
    """
    names = setting.contenders
    penalties = {(a, b): 0.0 for a in names for b in names if a != b}
    at = checkpoints_of(setting)
    pairs = list(combinations(names, 2))
    differences = []
    for a, b in pairs:
        grid, x_SR, y_SR = paired_curves(setting, a, b)
        tested = [i for i, n in enumerate(at) if n in grid]
        columns = [grid.index(at[i]) for i in tested]
        differences.append((tested, setting.criterion.measure.sign * (x_SR - y_SR)[:, columns].T))
    for (a, b), won, lost in zip(pairs, *win_shares(differences, len(at), test), strict=True):
        penalties[a, b], penalties[b, a] = won, lost
    return penalties


def checkpoints_of(setting: Setting) -> list[int]:
    """Return the numbers of labels at which BADGE compares the strategies of a setting."""
    criterion = setting.criterion
    baseline = setting.curves.get(criterion.baseline)
    if baseline:
        mean = np.mean([*baseline.values()], axis=0)
        return checkpoints(setting.grids[criterion.baseline], mean, criterion.measure.sign)
    return checkpoints(setting.grid, None) if setting.curves else []
