"""The analysis of all records of a report, computed once; page, figures and tables only read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hetal.report.analyse.acquired import Acquired, acquired_by
from hetal.report.analyse.ceiling import Ceiling, ceiling_of, set_apart
from hetal.report.analyse.comparisons import comparisons_of, verdict_of
from hetal.report.analyse.completeness import Missing, missing
from hetal.report.analyse.confounds import confounds_of
from hetal.report.analyse.criterion import BY_ACCURACY, Criterion
from hetal.report.analyse.curves import Chart, Curves, charts_of, curves_of
from hetal.report.analyse.kinds import Kinds, kinds_by
from hetal.report.analyse.numbers import numbers_of
from hetal.report.analyse.own import own_measures
from hetal.report.analyse.penalties import checkpoints_of, penalties_of
from hetal.report.analyse.ranking import ranking_of
from hetal.report.analyse.regions import Regions, regions_by
from hetal.report.analyse.results import Comparison, Numbers, Verdict
from hetal.report.analyse.setting import Setting, settings_of
from hetal.report.analyse.styles import Looks, looks_of
from hetal.report.load.names import Names
from hetal.report.load.reading import Reading
from hetal.report.stats.penalties import TESTS, Penalties, PenaltyMatrix, penalty_matrix
from hetal.report.stats.ranks import Ranking


@dataclass(frozen=True, eq=False)
class Study:
    """The records of a report in settings, with their mean curves: all that charts show.

    Attributes:
        reading: the records.
        criterion: what strategies are compared by.
        settings: of the runs that make queries.
        looks: of every strategy, in the order in which they are shown.
        charts: in the order in which they are shown.
        curves: mean curves over seeds.
        ceilings: by setting, where there is one.
    """

    reading: Reading
    criterion: Criterion
    settings: tuple[Setting, ...]
    looks: Looks
    charts: tuple[Chart, ...]
    curves: Curves
    ceilings: Mapping[str, Ceiling]


@dataclass(frozen=True, eq=False)
class Common:
    """What does not depend on the measure that strategies are compared by.

    Attributes:
        acquired: what queries acquired.
        kinds: what kinds of rows these are, of the settings with several kinds of noise.
        regions: where these are, of the settings whose noise has regions.
        uncounted: folders of records whose acquired rows cannot be counted.
        missing: runs that a complete comparison would have.
        confounds: sentences on what differs along with the strategy.
    """

    acquired: tuple[Acquired, ...]
    kinds: tuple[Kinds, ...]
    regions: tuple[Regions, ...]
    uncounted: tuple[str, ...]
    missing: tuple[Missing, ...]
    confounds: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Analysis:
    """All numbers of a report by one measure.

    Attributes:
        study: the records in settings.
        numbers: results by setting and strategy.
        comparisons: of every pair of contenders, by setting, see `hetal.report.analyse.setting.Setting`.
        verdicts: of the settings with a finished run.
        penalties: by test, see `hetal.report.stats.penalties.TESTS`, and setting.
        penalty_matrices: by test, over all settings.
        ranking: over all settings; None where no strategy finished in all of them.
        common: what does not depend on the measure.
        left_out: sentences on records that are not compared.
        cut: sentences on settings whose runs end at several numbers of labels.
    """

    study: Study
    numbers: Mapping[str, Mapping[str, Numbers]]
    comparisons: Mapping[str, tuple[Comparison, ...]]
    verdicts: tuple[Verdict, ...]
    penalties: Mapping[str, Mapping[str, Penalties]]
    penalty_matrices: Mapping[str, PenaltyMatrix]
    ranking: Ranking | None
    common: Common
    left_out: tuple[str, ...]
    cut: tuple[str, ...]


def study_of(
    reading: Reading,
    criterion: Criterion = BY_ACCURACY,
    names: Names | None = None,
    charts: Sequence[Chart] | None = None,
) -> Study:
    """Group the records into settings.

    Args:
        reading: with the names that strategies and settings are to have.
        criterion: what strategies are compared by; accuracy, and random, unless given.
        names: give the order of strategies and settings, and colours.
        charts: to compute; all unless given.
    """
    names = names or Names()
    with_queries, ceilings = set_apart(reading.runs, criterion.measure.key)
    settings = settings_of(with_queries, criterion)
    by_name = {setting.name: setting for setting in settings}
    settings = [by_name[name] for name in names.settings_in_order(by_name)]
    if charts is None:
        charts = charts_of(criterion.measure, own_measures(reading.runs, names))
    labels = names.in_order(sorted({run.label for run in with_queries}))
    bounds = {run.label for run in with_queries if run.is_bound}
    colours = {names.among(label, labels): colour for label, colour in names.colours.items()}
    return Study(
        reading=reading,
        criterion=criterion,
        settings=tuple(settings),
        looks=looks_of(labels, criterion.baseline, bounds, colours),
        charts=tuple(charts),
        curves=curves_of(settings, charts),
        ceilings={s.name: c for s in settings if (c := ceiling_of(s, ceilings)) is not None},
    )


def analyse(study: Study, other: Analysis | None = None) -> Analysis:
    """Compute all numbers of a report.

    Args:
        study: of the report.
        other: of the same records by another measure, from which what does not depend on the measure is taken.
    """
    settings = study.settings
    comparisons = {s.name: tuple(comparisons_of(s)) for s in settings}
    verdicts = (verdict_of(s, comparisons[s.name]) for s in settings)
    penalties = {test: {s.name: penalties_of(s, test) for s in settings} for test in TESTS}
    finished = sorted({label for s in settings for label in s.contenders})
    with_checkpoint = sum(bool(checkpoints_of(s)) for s in settings if s.curves)
    if other is None:
        acquired, uncounted = acquired_by(settings, study.looks)
        common = Common(
            acquired=tuple(acquired),
            kinds=tuple(kinds_by(settings, study.looks)),
            regions=tuple(regions_by(settings, study.looks)),
            uncounted=tuple(uncounted),
            missing=tuple(missing(study.reading, settings)),
            confounds=tuple(confounds_of(study.reading.runs)),
        )
    else:
        common = other.common
    return Analysis(
        study=study,
        numbers={s.name: numbers_of(s) for s in settings},
        comparisons=comparisons,
        verdicts=tuple(v for v in verdicts if v is not None),
        penalties=penalties,
        penalty_matrices={
            test: penalty_matrix(list(penalties[test].values()), finished, with_checkpoint) for test in TESTS
        },
        ranking=ranking_of(settings),
        common=common,
        left_out=tuple(sentence for s in settings for sentence in s.left_out),
        cut=tuple(s.cut for s in settings if s.cut),
    )
