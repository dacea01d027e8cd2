"""What pools hold, as far as their records say: the shares that random choice acquires on average."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import mean

import numpy as np

from hetal.report.load.records import Run

#: The kind of rows that are not noise; the others are named after their noise.
CLEAN = "clean"


@dataclass(frozen=True)
class PoolShares:
    """Shares of the rows of a pool in [0, 1], means over seeds; NaN where no record says them.

    Attributes:
        right: rows that sell the right label.
        rejected: rows that sell none.
        kinds: rows that are clean, and of each noise by name; those of which there is one.
    """

    right: float = np.nan
    rejected: float = np.nan
    kinds: Mapping[str, float] = field(default_factory=dict)


def pool_shares(runs: Iterable[Run]) -> PoolShares:
    """Return the shares of the pools of some runs of one setting, each seed counted once."""
    pools = {run.seed: run.pool for run in runs if run.pool.get("rows")}
    kinds = dict.fromkeys(kind for pool in pools.values() for kind, n in pool.get("kinds", {}).items() if n)

    def share(counts: Iterable[tuple[int | None, int]]) -> float:
        known = [min(n / rows, 1.0) for n, rows in counts if n is not None]
        return mean(known) if known else np.nan

    return PoolShares(
        right=share((pool.get("right"), pool["rows"]) for pool in pools.values()),
        rejected=share((pool.get("rejected"), pool["rows"]) for pool in pools.values()),
        kinds={
            kind: share((pool.get("kinds", {}).get(kind), pool["rows"]) for pool in pools.values())
            for kind in kinds
        },
    )
