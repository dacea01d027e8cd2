"""The table of measures, and what shows them."""

import dataclasses
from typing import get_args

import pytest

from hetal.record.measures import DERIVED, MEASURES, OF_A_ROUND, OF_A_RUN, Place, shown_in
from hetal.record.schema import Round
from hetal.report import dashboard
from hetal.report.analyse.criterion import USUAL
from hetal.report.analyse.curves import charts_of
from hetal.report.analyse.series import is_known, series
from hetal.report.load.frames import COUNTS
from tests.synthetic import make_run

SECONDS = {"train": 1.25, "score": 0.5, "select": 0.25}
ROUND = {"n_labelled": 250, "accuracy": 0.5, "seconds": SECONDS, "clean_share": None, "n_bought": 20}


def test_every_number_of_a_round_is_a_measure():
    fields = {f.name for f in dataclasses.fields(Round)}
    numbers = fields - {"seconds", "measures", *COUNTS, "queries_digest", "digest"}
    assert {m.key for m in OF_A_ROUND if "/" not in m.key} == numbers
    assert {m.key.split("/")[0] for m in OF_A_ROUND if "/" in m.key} == {"seconds"}


def test_keys_are_unique_and_every_measure_is_shown_somewhere():
    assert len(MEASURES) == len(OF_A_ROUND) + len(DERIVED) + len(OF_A_RUN)
    assert all(measure.shown for measure in MEASURES.values())
    assert {place for measure in MEASURES.values() for place in measure.shown} == {*get_args(Place)}


def test_charts_show_measures_that_are_computed_and_all_of_them():
    of_charts = {key for chart in charts_of(MEASURES["accuracy"]) for key in (chart.x, chart.y)}
    assert all(is_known(key) for key in of_charts)
    assert {m.key for m in shown_in("chart")} == of_charts | {"base_rate"}
    assert all(len(series(make_run("a", 0, [0.1, 0.2]), key)) == 2 for key in of_charts)


def test_what_the_dashboard_draws_is_in_the_table():
    drawn = [*USUAL, *dashboard.ALSO, *dashboard.BARS]
    assert {*drawn, "n_labelled", "base_rate"} == {m.key for m in shown_in("dashboard")}
    titles = [MEASURES[key].title for key in drawn]
    assert all(titles)
    assert len({*titles}) == len(titles)
    assert {*dashboard.WITH_BASE_RATE} < {*drawn}


@pytest.mark.parametrize(
    ("key", "value", "written"),
    [
        ("n_labelled", 250.0, "250"), ("accuracy", 0.5, "50.0%"), ("clean_share", None, ""),
        ("seconds/train", 1.25, "1.2"), ("seconds/score+select", 0.75, "0.75"), ("seconds/test", None, ""),
        ("epochs", None, ""),
    ],
)  # fmt: skip
def test_a_measure_is_read_and_written(key, value, written):
    measure = MEASURES[key]
    assert measure.value(ROUND) == value
    assert measure.written(value) == written


def test_shares_are_in_percent():
    assert MEASURES["accuracy"].axis == "test accuracy (%)"
    assert MEASURES["area_under_curve"].column == "AULC %"
    assert MEASURES["n_labelled"].axis == MEASURES["n_labelled"].column == "labels"
