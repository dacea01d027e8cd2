"""Where queries bought: shares of the regions of a noise whose rate depends on the region.

Every seed draws regions of its own, so what is averaged over seeds are ranks: the noisiest region, the second, ...
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hetal.report.analyse.acquired import over_seeds
from hetal.report.analyse.setting import Setting
from hetal.report.analyse.styles import Looks
from hetal.report.load.records import Run
from hetal.report.stats.intervals import Floats, Interval

#: Of more regions than these, the noisiest and the least noisy are shown one by one.
MOST_REGIONS, AT_ENDS = 12, 5


@dataclass(frozen=True)
class Region:
    """One region, or several together, as a mean over seeds; shares are in [0, 1].

    Attributes:
        rank: the first of its regions, from 1, the noisiest.
        last: the last.
        noise_rate: share of noisy rows.
        pool: share of the pool's rows.
        queried: share of all rows that queries acquired, by strategy.
    """

    rank: int
    last: int
    noise_rate: float
    pool: float
    queried: Mapping[str, Interval]


@dataclass(frozen=True)
class Regions:
    """The regions of one setting, the noisiest first.

    Attributes:
        setting: name of the setting.
        n: number of regions.
        regions: of the setting.
        noise_rate: of the pool, and by strategy the mean of the regions where it bought, weighed by rows: what it would
            have been without a choice of rows within regions.
    """

    setting: str
    n: int
    regions: Sequence[Region]
    noise_rate: tuple[float, Mapping[str, Interval]]


@dataclass(frozen=True)
class _Shares:
    """Shares (R,) of the regions of one run, the noisiest first."""

    rate: Floats
    pool: Floats
    queried: Floats


def regions_by(settings: Sequence[Setting], looks: Looks) -> list[Regions]:
    """Return the regions of every setting that has some.

    Args:
        settings: of the report.
        looks: gives the order of strategies.
    """
    found = []
    for setting in settings:
        by_label = {
            label: [shares for run in setting.runs[label].values() if (shares := _shares(run)) is not None]
            for label in looks
            if label in setting.runs
        }
        sizes = Counter(len(shares.rate) for runs in by_label.values() for shares in runs)
        if not sizes:
            continue
        n = sizes.most_common(1)[0][0]
        by_label = {
            label: same for label, runs in by_label.items() if (same := [r for r in runs if len(r.rate) == n])
        }
        everyone = [shares for runs in by_label.values() for shares in runs]
        rate = np.mean([shares.rate for shares in everyone], axis=0)
        pool = np.mean([shares.pool for shares in everyone], axis=0)
        found.append(
            Regions(
                setting.name,
                n,
                [
                    Region(
                        first + 1,
                        end,
                        float(np.average(rate[first:end], weights=pool[first:end])),
                        float(pool[first:end].sum()),
                        {
                            label: over_seeds(r.queried[first:end].sum() for r in runs)
                            for label, runs in by_label.items()
                        },
                    )
                    for first, end in _spans(n)
                ],
                (
                    float(np.mean([shares.pool @ shares.rate for shares in everyone])),
                    {
                        label: over_seeds(float(r.queried @ r.rate) for r in runs)
                        for label, runs in by_label.items()
                    },
                ),
            )
        )
    return found


def _spans(n: int) -> list[tuple[int, int]]:
    """Return the first region and the end of every line."""
    single = [(i, i + 1) for i in range(n)]
    if n <= MOST_REGIONS:
        return single
    return [*single[:AT_ENDS], (AT_ENDS, n - AT_ENDS), *single[-AT_ENDS:]]


def _shares(run: Run) -> _Shares | None:
    """Return the shares of a run; None where it has no regions, has bought nothing, or its numbers do not fit."""
    pool, noisy = (np.array(run.pool.get(name, []), float) for name in ("regions", "noisy_per_region"))
    lines = [row["bought_per_region"] for row in run.rounds if row.get("bought_per_region")]
    if not lines or not len(pool) or {len(pool)} != {len(noisy), *map(len, lines)}:
        return None
    queried = np.sum(np.array(lines, float), axis=0)
    is_there = pool > 0
    if not queried[is_there].sum():
        return None
    pool, noisy, queried = pool[is_there], noisy[is_there], queried[is_there]
    order = np.argsort(-noisy / pool, kind="stable")
    return _Shares(
        rate=np.minimum(noisy / pool, 1.0)[order],
        pool=(pool / pool.sum())[order],
        queried=(queried / queried.sum())[order],
    )
