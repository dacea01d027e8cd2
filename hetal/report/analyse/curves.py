"""The charts of a report, and their mean curves over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hetal.record.measures import MEASURES, Measure
from hetal.report.analyse.criterion import MOST_RUNS, USUAL
from hetal.report.analyse.results import Curve
from hetal.report.analyse.series import series
from hetal.report.analyse.setting import Setting
from hetal.report.stats.intervals import Floats, t_intervals


@dataclass(frozen=True)
class Chart:
    """One measure against another.

    Attributes:
        key: of the chart, in curves.csv and on the page.
        title: of the chart.
        x, y: keys of the measures, see `hetal.record.measures`.
        own: the measure of y, where that is the user's own.
        is_choice: whether the learning curves can show it.
        of_noise: whether it is one of the charts of noise in the acquired labels.
        is_file: whether it is a figure too.
        base: which of `base_rates` is drawn, if any.
        ceiling: whether what networks reach with all labels is drawn.
        whole: whether the y axis goes from 0 to 100%.
    """

    key: str
    title: str
    x: str
    y: str
    is_choice: bool = False
    of_noise: bool = False
    is_file: bool = True
    base: str = ""
    ceiling: bool = False
    whole: bool = False
    own: Measure | None = None

    @property
    def measure(self) -> Measure:
        """The measure of y."""
        return self.own or MEASURES[self.y]

    @property
    def x_axis(self) -> str:
        """Text of the x axis."""
        return MEASURES[self.x].axis

    @property
    def y_axis(self) -> str:
        """Text of the y axis."""
        return self.measure.axis


def charts_of(measure: Measure, own: Sequence[Measure] = ()) -> tuple[Chart, ...]:
    """Return the charts of a report that compares by a measure, in the order in which they are shown.

    Args:
        measure: that strategies are compared by.
        own: measures of the user's own.
    """
    key, name = measure.key, measure.name.removeprefix("test ")
    name = name[0].upper() + name[1:]
    others = (*(MEASURES[key] for key in USUAL if not key.endswith("_share")), *own)
    of_all = {one.key: one for one in (measure, *own) if one.key not in MEASURES}
    charts = (
        Chart(key, f"{name} against labels", "n_labelled", key, is_choice=True, ceiling=True),
        Chart("time", f"{name} against wall time", "seconds_so_far", key, is_choice=True, ceiling=True),
        *(
            [Chart("cost", f"{name} against cost", "cost_so_far", key, is_choice=True, ceiling=True)]
            if key not in ("cost", "cost_so_far")
            else []
        ),
        *(
            Chart(
                other.key, other.title or other.name, "n_labelled", other.key, is_choice=True, is_file=False
            )
            for other in others
            if other.key != key
        ),
        *(chart for chart in OF_NOISE[:3] if chart.key != key),
        Chart(
            "clean_labels",
            f"{name} against clean labels",
            "clean_labels_so_far",
            key,
            of_noise=True,
            ceiling=True,
        ),
        *(chart for chart in OF_NOISE[3:] if chart.key != key),
        *OF_PSEUDO_LABELS,
    )
    return tuple(replace(chart, own=of_all.get(chart.y)) for chart in charts)


# The charts of noise in the acquired labels, and of pseudo-labels.
OF_NOISE = (
    Chart("clean_share", "Clean share of each query", "n_labelled", "clean_share", of_noise=True, base="clean",
          whole=True),
    Chart("right_share", "Right labels of each query", "n_labelled", "right_share", of_noise=True, base="right",
          whole=True),
    Chart("cumulative", "Clean share of all queries so far", "n_labelled", "clean_share_so_far", of_noise=True,
          base="clean", whole=True),
    Chart("distinct", "Distinct images of each query", "n_labelled", "distinct_share", of_noise=True, whole=True),
    Chart("rejected", "Rejected rows of each query", "n_labelled", "rejected_share", of_noise=True, base="rejected",
          whole=True),
)  # fmt: skip
OF_PSEUDO_LABELS = tuple(
    Chart(key, title, "n_labelled", y, is_choice=True, whole=True)
    for key, title, y in (
        ("pseudo_clean", "Right pseudo-labels of clean rows", "pseudo_accuracy_clean"),
        ("pseudo_noisy", "Right pseudo-labels of noisy rows", "pseudo_accuracy_noisy"),
        ("pseudo_share", "Clean share of pseudo-labelled rows", "pseudo_clean_share"),
    )
)

# By setting, strategy and key of the chart.
Curves = Mapping[tuple[str, str, str], Curve]


def curves_of(settings: Sequence[Setting], charts: Sequence[Chart]) -> Curves:
    """Return every mean curve; of at most `MOST_RUNS` runs, with single seeds, so that the page stays small."""
    with_seeds = sum(len(runs) for s in settings for runs in s.runs.values()) <= MOST_RUNS
    return {
        (setting.name, label, chart.key): curve
        for setting in settings
        for label in setting.runs
        for chart, curve in _curves(setting, label, charts, with_seeds)
    }


def base_rates(setting: Setting) -> Mapping[str, float]:
    """Return the pool's shares of clean rows, right labels and rejected rows; NaN where not known."""
    return {"clean": setting.base_rate, "right": setting.pool.right, "rejected": setting.pool.rejected}


def says_something(chart: Chart, setting: Setting, curves: Curves) -> bool:
    """Return whether a chart of a setting has a curve, and of noise one that is neither constant nor that of another.

    Shares are left out where all are 0, as of rejected rows where there are none, or all 1; right labels where they are
    just those of clean rows; and what is against clean labels, or the clean share of pseudo-labelled rows, where all
    rows are clean.
    """
    if not any(curves[setting.name, label, chart.key].x for label in setting.runs):
        return False
    if not chart.of_noise and chart.key != "pseudo_share":
        return True

    def means(key: str) -> Floats:
        return np.array([y for label in setting.runs for y in curves[setting.name, label, key].mean])

    if not chart.of_noise:
        return not np.allclose(means(chart.key), 1)
    clean = means("clean_share")
    if not chart.whole:
        return not np.allclose(clean, 1)
    values = means(chart.key)
    is_same = chart.key == "right_share" and values.shape == clean.shape and np.allclose(values, clean)
    return not (np.allclose(values, 0) or np.allclose(values, 1) or is_same)


def _curves(
    setting: Setting, label: str, charts: Sequence[Chart], with_seeds: bool
) -> list[tuple[Chart, Curve]]:
    runs = setting.runs[label].values()
    of_runs = {
        key: [series(run, key) for run in runs]
        for key in dict.fromkeys(key for c in charts for key in (c.x, c.y))
    }
    return [(chart, mean_curve(of_runs[chart.x], of_runs[chart.y], with_seeds)) for chart in charts]


def mean_curve(x: Sequence[Floats], y: Sequence[Floats], with_seeds: bool = True) -> Curve:
    """Return the mean curve of runs, finished or not, over the rounds of each.

    Args:
        x: (R,) of each seed; R may differ, and NaN is not counted.
        y: likewise.
        with_seeds: keep the curve of every seed too.
    """
    x_SR, y_SR = (np.full((len(y), max(map(len, y))), np.nan) for _ in range(2))
    for i, (a, b) in enumerate(zip(x, y, strict=True)):
        known = ~(np.isnan(a) | np.isnan(b))
        x_SR[i, : len(b)][known], y_SR[i, : len(b)][known] = a[known], b[known]
    any_R = ~np.isnan(y_SR).all(0)
    x_SR, y_SR = x_SR[:, any_R], y_SR[:, any_R]
    mean, low, high, n = (column.tolist() for column in t_intervals(y_SR))
    return Curve(
        x=np.nanmean(x_SR, axis=0).tolist() if any_R.any() else [],
        mean=mean, low=low, high=high, n=n,
        seeds=[
            [(p, q) for p, q in zip(a, b, strict=True) if q == q]
            for a, b in zip(x_SR.tolist(), y_SR.tolist(), strict=True)
        ] if with_seeds else [],
    )  # fmt: skip
