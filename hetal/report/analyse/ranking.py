"""Strategies ranked over settings by area under the curve."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hetal.report.analyse.setting import Setting
from hetal.report.stats.ranks import Ranking, rank


def ranking_of(settings: Sequence[Setting]) -> Ranking | None:
    """Rank the strategies that finished in every setting, without bounds; None where there are none.

    In each setting, over the seeds that all of them finished, or over each one's own where there is no such seed.
    """
    settings = [setting for setting in settings if setting.area]
    everywhere = sorted(set.intersection(*(set(s.contenders) for s in settings))) if settings else []
    if not everywhere:
        return None
    means_PL = []
    for setting in settings:
        common = set.intersection(*(set(setting.area[label]) for label in everywhere))
        means_PL.append([
            np.mean([a for seed, a in setting.area[label].items() if not common or seed in common])
            for label in everywhere
        ])  # fmt: skip
    return rank(everywhere, settings[0].criterion.measure.sign * np.array(means_PL))
