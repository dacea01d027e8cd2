"""What the report says in numbers: the values that its tables and charts are made of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from hetal.report.stats.intervals import ENOUGH_SEEDS, NOTHING, Interval
from hetal.report.stats.significance import SURE


@dataclass(frozen=True)
class Curve:
    """Mean over seeds against a mean x, with 95% t-intervals: parallel lists."""

    x: list[float]
    mean: list[float]
    low: list[float]
    high: list[float]
    n: list[int]
    seeds: list[list[tuple[float, float]]]


@dataclass(frozen=True)
class Numbers:
    """What one strategy came to in one setting, over its finished runs.

    Accuracies and shares are in [0, 1]. The target is random's final accuracy at the same seed, unless one is given.

    Attributes:
        n: finished runs, over which `area`, `final` and `clean_share` are taken.
        reach: fewest labels with which a network is as accurate as the target, over `paired` seeds. A run that never
            was counts with all of its labels: where `reached` < `paired`, `reach` is a lower bound and `saving` an
            upper one. NaN where no run got there.
        reached: seeds that got there.
        saving: how many labels fewer than random needed for the same target, over `paired_random` seeds, at which
            random got there.
        seconds: mean of a round, by phase.
        peak_memory_mb: most memory of any round, in MiB; NaN where not known.
        paired: seeds that have a target: those that random has finished too, or all where a target is given.
        paired_random: seeds that `saving` is over.
    """

    setting: str
    label: str
    n: int
    area: Interval
    final: Interval
    clean_share: Interval
    reach: Interval
    reached: int
    saving: Interval
    seconds: dict[str, float]
    peak_memory_mb: float
    paired: int = 0
    paired_random: int = 0

    @property
    def is_bound(self) -> bool:
        """Whether a seed did not reach the target, so that `reach` is too small and `saving` too large."""
        return self.reached < self.paired


@dataclass(frozen=True)
class Comparison:
    """Two strategies in one setting, paired by seed: differences in area under the curve, first minus second.

    p-values are two-sided, and adjusted by Holm for all pairs of the setting. `final` is the difference in final
    accuracy. Where two were trained on different numbers of labels, both differences are over the `shared` ones, and
    `beyond` names the settings that differ besides the compared one.
    """

    setting: str
    first: str
    second: str
    n: int
    difference: Interval
    effect: float
    t: float
    t_holm: float
    wilcoxon: float
    wilcoxon_holm: float
    wins: int
    ties: int
    losses: int
    final: Interval = NOTHING
    shared: int = 0
    beyond: tuple[str, ...] = field(default=())

    @property
    def trusted(self) -> bool:
        """Whether there are enough common seeds to say anything."""
        return self.n >= ENOUGH_SEEDS


@dataclass(frozen=True)
class Verdict:
    """Who leads a setting, and by how much over the next.

    Attributes:
        area: mean area under the leader's curve, over the `n` seeds that all who take part have finished.
        comparison: of the leader with the second, over these seeds.
        rivals: of the leader with everybody else who takes part.
        waiting: strategies that have finished too few seeds to take part.
    """

    setting: str
    leader: str
    second: str | None
    area: float
    comparison: Comparison | None
    rivals: tuple[Comparison, ...]
    n: int
    waiting: tuple[str, ...] = ()

    @property
    def beaten(self) -> int:
        """How many of the rivals the leader is ahead of at 0.05."""
        return sum(c.t_holm < SURE and c.difference.mean > 0 for c in self.rivals)

    @property
    def trusted(self) -> bool:
        """Whether there are enough seeds to say anything."""
        return self.n >= ENOUGH_SEEDS


def turned(c: Comparison, first: str) -> Comparison:
    """Return a comparison with `first` on its first side."""
    if c.first == first:
        return c
    return replace(
        c, first=c.second, second=c.first, difference=_negative(c.difference), final=_negative(c.final),
        effect=-c.effect if c.effect else c.effect, wins=c.losses, losses=c.wins,
    )  # fmt: skip


def _negative(i: Interval) -> Interval:
    return Interval(-i.mean, -i.high, -i.low) if not np.isnan(i.mean) else i
