"""Strategies of one setting against each other, paired by seed: every pair, and who leads."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from hetal.report.analyse.confounds import beyond
from hetal.report.analyse.results import Comparison, Verdict, turned
from hetal.report.analyse.series import area
from hetal.report.stats.intervals import DIGITS, ENOUGH_SEEDS, bca_intervals
from hetal.report.stats.significance import effect_size, holm, paired_t, wilcoxon

if TYPE_CHECKING:
    from hetal.report.analyse.setting import Setting


def compare(
    setting: Setting, labels: Sequence[str], among: Collection[int] | None = None
) -> list[Comparison]:
    """Compare every pair of strategies; p-values are adjusted for all of these pairs.

    Args:
        setting: of finished runs.
        labels: the strategies, each with a finished run.
        among: the seeds to compare by, as far as both of a pair have finished them; all unless given.
    """
    pairs = list(combinations(labels, 2))
    areas, finals, shared = [], [], []
    for first, second in pairs:
        grid, a, b = setting.paired(first, second, among)
        areas.append(area(grid, a) - area(grid, b) if grid else np.empty(0))
        finals.append(a[:, -1] - b[:, -1] if grid else np.empty(0))
        shared.append(len(grid))
    t = [float(paired_t(d[None])[0]) for d in areas]
    w = [float(wilcoxon(d[None])[0]) for d in areas]
    of_area, of_final = bca_intervals(areas), bca_intervals(finals)
    t_holm, w_holm = holm(t), holm(w)
    found = []
    for i, (first, second) in enumerate(pairs):
        d = np.round(areas[i], DIGITS)
        found.append(Comparison(
            setting=setting.name, first=first, second=second, n=len(d), difference=of_area[i],
            effect=effect_size(d), t=t[i], t_holm=t_holm[i], wilcoxon=w[i], wilcoxon_holm=w_holm[i],
            wins=int((d > 0).sum()), ties=int((d == 0).sum()), losses=int((d < 0).sum()),
            final=of_final[i], shared=shared[i], beyond=beyond(setting.finished[first], setting.finished[second]),
        ))  # fmt: skip
    return found


def decide(setting: Setting) -> Verdict | None:
    """Say who leads; None where no run is finished.

    A strategy of which too few seeds are finished yet waits, so that it does not reduce the others to its own. All
    that is said is over the seeds that the others have in common. Where there is no such seed, the leader is who has
    the best mean over its own, and nothing is compared.
    """
    if not setting.area:
        return None
    most = max(map(len, setting.area.values()))
    ready = [label for label, seeds in setting.area.items() if len(seeds) >= min(ENOUGH_SEEDS, most)]
    waiting = tuple(sorted(setting.area.keys() - set(ready)))
    common = set.intersection(*(set(setting.area[label]) for label in ready))
    means = {
        label: float(np.mean([a for s, a in setting.area[label].items() if not common or s in common]))
        for label in ready
    }
    order = sorted(means, key=lambda label: (-means[label], label))
    leader, second = order[0], order[1] if len(order) > 1 else None
    alike = not waiting and all(len(setting.area[label]) == len(common) for label in ready)
    compared = setting.comparisons() if alike else compare(setting, ready, common) if common else []
    mine = [turned(c, leader) for c in compared if leader in (c.first, c.second)]
    return Verdict(
        setting=setting.name, leader=leader, second=second, area=means[leader],
        comparison=next((c for c in mine if c.second == second), None),
        rivals=tuple(mine), n=len(common), waiting=waiting,
    )  # fmt: skip
