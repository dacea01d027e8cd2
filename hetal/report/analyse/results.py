"""The results of an analysis as plain data: curves, numbers, comparisons and verdicts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from hetal.report.stats.intervals import ENOUGH_SEEDS, NO_INTERVAL, Interval
from hetal.report.stats.significance import ALPHA


@dataclass(frozen=True)
class Curve:
    """Mean over seeds against a mean x, with 95% t-intervals: parallel lists; and the curves of single seeds."""

    x: list[float]
    mean: list[float]
    low: list[float]
    high: list[float]
    n: list[int]
    seeds: list[list[tuple[float, float]]]


@dataclass(frozen=True)
class Numbers:
    """The results of one strategy in one setting, over its finished runs.

    Shares are in [0, 1]. The target is what the baseline ends with at the same seed, unless one is given, see
    `hetal.report.analyse.criterion.Criterion`.

    Attributes:
        setting: name of the setting.
        label: the strategy.
        n: finished runs, over which `area`, `final` and `clean_share` are taken.
        area: under the curve of the measure.
        final: the measure at the end.
        clean_share: of all rows that queries acquired.
        reach: fewest labels with which a network is as good as the target, over `paired` seeds. A run that never
            was counts with all of its labels: where `reached` < `paired`, `reach` is a lower bound and `saving` an
            upper one. NaN where no run reached it.
        reached: seeds that reached the target.
        saving: labels saved over the baseline for the same target, over `paired_baseline` seeds, at which that reached
            it.
        seconds: mean of a round, by phase.
        peak_memory_mb: largest of any round, in MiB; NaN where not known.
        paired: seeds that have a target: those that the baseline has finished too, or all where a target is given.
        paired_baseline: seeds that `saving` is over.
        competes: whether it may be the best: it is no bound, or all are.
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
    paired_baseline: int = 0
    competes: bool = True

    @property
    def is_bound(self) -> bool:
        """Whether a seed did not reach the target, so that `reach` is too small and `saving` too large."""
        return self.reached < self.paired


@dataclass(frozen=True)
class Comparison:
    """Two strategies in one setting, paired by seed: differences in area under the curve, first minus second.

    Attributes:
        setting: name of the setting.
        first, second: the strategies.
        n: common seeds.
        difference: in area; over the `shared` numbers of labels where the two were trained on different ones.
        effect: Cohen's d of the paired differences.
        t, wilcoxon: two-sided p-values; `t_holm`, `wilcoxon_holm`: adjusted by Holm for all pairs of the setting.
        wins, ties, losses: of the first, in seeds.
        final: difference at the end.
        shared: the number of rounds with the same number of labels.
        confounds: settings that differ other than the strategy.
        sign: 1 where a positive difference is a win of the first, -1 where a negative one is.
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
    final: Interval = NO_INTERVAL
    shared: int = 0
    confounds: tuple[str, ...] = field(default=())
    sign: int = 1

    @property
    def is_ahead(self) -> bool:
        """Whether the first is better."""
        return self.sign * self.difference.mean > 0

    @property
    def has_enough_seeds(self) -> bool:
        """Whether there are enough common seeds for a reliable comparison."""
        return self.n >= ENOUGH_SEEDS


@dataclass(frozen=True)
class Verdict:
    """The leader of a setting, and its lead over the others.

    Attributes:
        setting: name of the setting.
        leader: the strategy with the best mean area.
        second: the next; None where only one strategy takes part.
        area: mean of the leader, over the `n` seeds that all who take part have finished.
        comparison: of the leader with the second, over these seeds.
        rivals: comparisons of the leader with every other strategy that takes part.
        n: common seeds.
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
        """Number of rivals over which the lead is significant."""
        return sum(c.t_holm < ALPHA and c.is_ahead for c in self.rivals)

    @property
    def has_enough_seeds(self) -> bool:
        """Whether there are enough seeds for a reliable verdict."""
        return self.n >= ENOUGH_SEEDS

    @property
    def is_significant(self) -> bool:
        """Whether the lead over the second is significant."""
        return self.comparison is not None and self.comparison.t_holm < ALPHA and self.comparison.is_ahead


def turned(c: Comparison, first: str) -> Comparison:
    """Return a comparison with `first` as its first strategy."""
    if c.first == first:
        return c
    return replace(
        c, first=c.second, second=c.first, difference=_negative(c.difference), final=_negative(c.final),
        effect=-c.effect if c.effect else c.effect, wins=c.losses, losses=c.wins,
    )  # fmt: skip


def _negative(i: Interval) -> Interval:
    return Interval(-i.mean, -i.high, -i.low) if not np.isnan(i.mean) else i
