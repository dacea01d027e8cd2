"""Comparisons of the strategies of one setting, paired by seed: every pair, and the leader."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import combinations

import numpy as np

from hetal.report.analyse.confounds import confounds_of_pair
from hetal.report.analyse.results import Comparison, Verdict, turned
from hetal.report.analyse.setting import Setting, paired_curves
from hetal.report.stats.curves import aulc
from hetal.report.stats.intervals import DIGITS, ENOUGH_SEEDS, bca_intervals
from hetal.report.stats.significance import effect_size, holm, paired_t, wilcoxon


def comparisons_of(
    setting: Setting, labels: Sequence[str] | None = None, among: Collection[int] | None = None
) -> list[Comparison]:
    """Compare every pair of strategies; p-values are adjusted for all of these pairs.

    Args:
        setting: of the strategies.
        labels: strategies with a finished run; the contenders unless given.
        among: the seeds to compare by, as far as both of a pair have finished them; all unless given.
    """
    pairs = list(combinations(setting.contenders if labels is None else labels, 2))
    sign = setting.criterion.measure.sign
    areas, finals, shared = [], [], []
    for first, second in pairs:
        grid, a, b = paired_curves(setting, first, second, among)
        areas.append(aulc(grid, a) - aulc(grid, b) if grid else np.empty(0))
        finals.append(a[:, -1] - b[:, -1] if grid else np.empty(0))
        shared.append(len(grid))
    t = [float(paired_t(d[None])[0]) for d in areas]
    w = [float(wilcoxon(d[None])[0]) for d in areas]
    of_area, of_final = bca_intervals(areas), bca_intervals(finals)
    t_holm, w_holm = holm(t), holm(w)
    comparisons = []
    for i, (first, second) in enumerate(pairs):
        d = np.round(areas[i], DIGITS)
        comparisons.append(Comparison(
            setting=setting.name, first=first, second=second, n=len(d), difference=of_area[i],
            effect=effect_size(d), t=t[i], t_holm=t_holm[i], wilcoxon=w[i], wilcoxon_holm=w_holm[i],
            wins=int((sign * d > 0).sum()), ties=int((d == 0).sum()), losses=int((sign * d < 0).sum()),
            final=of_final[i], shared=shared[i], sign=sign,
            confounds=confounds_of_pair(setting.finished[first], setting.finished[second]),
        ))  # fmt: skip
    return comparisons


def verdict_of(setting: Setting, comparisons: Sequence[Comparison]) -> Verdict | None:
    """Return the leader of a setting and its lead; None where no run is finished.

    A strategy of which too few seeds are finished yet waits, so that it does not reduce the others to its own. The
    verdict is over the seeds that the others have in common. Where there is no such seed, the leader is the strategy
    with the best mean over its own, and nothing is compared. Bounds take no part.

    Args:
        setting: to decide.
        comparisons: of all its contenders, see `comparisons_of`.
    """
    n_seeds = {label: len(setting.area[label]) for label in setting.contenders}
    if not n_seeds:
        return None
    ready = [label for label, n in n_seeds.items() if n >= min(ENOUGH_SEEDS, max(n_seeds.values()))]
    waiting = tuple(sorted(n_seeds.keys() - set(ready)))
    common = set.intersection(*(set(setting.area[label]) for label in ready))
    means = {
        label: float(np.mean([a for s, a in setting.area[label].items() if not common or s in common]))
        for label in ready
    }
    sign = setting.criterion.measure.sign
    order = sorted(means, key=lambda label: (-sign * means[label], label))
    leader, second = order[0], order[1] if len(order) > 1 else None
    # Where all have the same seeds, every comparison is over these already.
    same_seeds = not waiting and all(len(setting.area[label]) == len(common) for label in ready)
    compared = comparisons if same_seeds else comparisons_of(setting, ready, common) if common else []
    rivals = [turned(c, leader) for c in compared if leader in (c.first, c.second)]
    return Verdict(
        setting=setting.name, leader=leader, second=second, area=means[leader],
        comparison=next((c for c in rivals if c.second == second), None),
        rivals=tuple(rivals), n=len(common), waiting=waiting,
    )  # fmt: skip
