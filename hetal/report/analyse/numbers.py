"""Results of every strategy of a setting: intervals over its seeds, and labels to a target."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from hetal.report.analyse.results import Numbers
from hetal.report.analyse.setting import Setting
from hetal.report.load.records import Run
from hetal.report.stats.curves import labels_to_reach
from hetal.report.stats.intervals import bca_intervals


def numbers_of(setting: Setting) -> dict[str, Numbers]:
    """Return the results of every strategy of a setting, over its finished runs."""
    # All intervals at once, see `bca_intervals`.
    reaching = {label: _reaching(setting, label) for label in setting.finished}
    samples = []
    for label, runs in setting.finished.items():
        shares = [(run.summary or {}).get("queried_clean_share") for run in runs.values()]
        curves = setting.curves.get(label, {}).values()
        reach, saving, reached = reaching[label]
        samples += [
            [*setting.area.get(label, {}).values()], [curve[-1] for curve in curves],
            [s for s in shares if s is not None], reach if reached else [], saving if reached else [],
        ]  # fmt: skip
    intervals = iter(bca_intervals([np.array(sample, float) for sample in samples]))
    numbers, contenders = {}, setting.contenders
    for label, runs in setting.finished.items():
        area, final, clean_share, reach_interval, saving_interval = (next(intervals) for _ in range(5))
        memory = [row.get("peak_memory_mb") for run in runs.values() for row in run.rounds]
        reach, saving, reached = reaching[label]
        numbers[label] = Numbers(
            setting=setting.name, label=label, n=len(runs), area=area, final=final, clean_share=clean_share,
            reach=reach_interval, reached=reached, saving=saving_interval, seconds=_phases([*runs.values()]),
            peak_memory_mb=max((m for m in memory if m is not None), default=np.nan),
            paired=len(reach), paired_baseline=len(saving),
            competes=label in contenders,
        )  # fmt: skip
    return numbers


def _reaching(setting: Setting, label: str) -> tuple[list[float], list[float], int]:
    """Return labels to the target, labels saved over the baseline, and how many seeds reached the target."""
    criterion = setting.criterion
    sign, baseline = criterion.measure.sign, setting.curves.get(criterion.baseline, {})
    reach, saving, reached = [], [], 0
    for seed, curve in setting.curves.get(label, {}).items():
        if criterion.target is None and seed not in baseline:
            continue
        target = criterion.target if criterion.target is not None else baseline[seed][-1]
        needed = labels_to_reach(setting.grids[label], sign * curve, sign * target)
        reached += not np.isnan(needed)
        reach.append(float(setting.grids[label][-1]) if np.isnan(needed) else needed)
        if seed in baseline:
            grid = setting.grids[criterion.baseline]
            by_baseline = labels_to_reach(grid, sign * baseline[seed], sign * target)
            if not np.isnan(by_baseline):
                saving.append(by_baseline - reach[-1])
    return reach, saving, reached


def _phases(runs: Sequence[Run]) -> dict[str, float]:
    phases: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        for row in run.rounds:
            for phase, value in row.get("seconds", {}).items():
                phases[phase].append(value)
    return {phase: float(np.mean(values)) for phase, values in phases.items()}
