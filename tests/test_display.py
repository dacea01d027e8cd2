"""What the console and curve.png show of a run."""

import dataclasses
import io
from types import SimpleNamespace

import pytest
from PIL import Image
from rich.console import Console

from hetal.budget import Budget
from hetal.record.schema import Round
from hetal.watch.console import Display, explanation, rounds_table, show_finished
from hetal.watch.curve import draw_curve
from tests.synthetic import make_run

ROWS = [Round(**row) for row in make_run("lhd", 0, [0.5, 0.6, 0.7]).rounds]
TRAIN = {"train": {"max_epochs": 10}}


def finished(rounds, base_rate, clean_share, tmp_path):
    summary = {
        "final_accuracy": 0.7, "area_under_curve": 0.6, "queried_clean_share": clean_share, "base_rate": base_rate
    }  # fmt: skip
    console = Console(file=io.StringIO(), width=200)
    record = SimpleNamespace(config=TRAIN, dir=tmp_path, is_bound=False)
    show_finished(console, record, rounds, summary, None)
    return console.file.getvalue()


def headings(rounds, base_rate=None):
    return [column.header for column in rounds_table(rounds, base_rate).columns]


def test_the_table_has_no_column_without_a_value_and_none_of_clean_rows_where_all_are():
    everything = headings(ROWS, 0.2)
    assert {"round", "clean", "distinct", "query s"} < {*everything}
    assert headings(ROWS, 1.0) == [name for name in everything if name != "clean"]
    assert not {"clean", "distinct"} & {*headings(ROWS[-1:], 0.2)}  # which made no query


def test_the_numbers_of_a_run_explain_themselves(tmp_path):
    text = finished(ROWS, 0.18, 0.15, tmp_path)
    assert "on the start set; 10 epochs are the most that a round trains (train.max_epochs)" in text
    assert "queries bought are clean; 18% of the pool is, the share that random choice buys" in text
    assert "clean" not in finished(ROWS, 1.0, 1.0, tmp_path)


def test_the_cap_of_epochs_is_named_where_a_round_reached_it():
    assert "max_epochs" not in explanation(ROWS, {"train": {"max_epochs": 11}})
    assert "max_epochs" not in explanation(ROWS, {"train": {}})
    tuned = [dataclasses.replace(row, n_pseudo=5) for row in ROWS]  # whose epochs are of two trainings
    assert "max_epochs" not in explanation(tuned, TRAIN)


@pytest.mark.parametrize(("base_rate", "told"), [(0.2, "  clean 25%"), (1.0, "")])
def test_lines_number_rounds_as_the_record_does(base_rate, told):
    console = Console(file=io.StringIO(), width=200)
    display = Display(console, "title")
    setup = SimpleNamespace(
        budget=Budget(10, 10, 30), pool=range(100), oracle=SimpleNamespace(clean_share=base_rate), name="lhd"
    )
    display.start(setup, SimpleNamespace(rounds=[]))
    for row in ROWS[:2]:
        display.round(row)
    display.finish(None)
    first, second = console.file.getvalue().splitlines()[1:]
    assert first.startswith(f"round 0 (1 of 3)  labels 10  accuracy 50.0%{told}  ")
    assert second.startswith("round 1 (2 of 3)")


def test_a_curve_without_noise_or_queries_is_one_chart(tmp_path):
    width = {}
    for name, rows, base_rate in (("noisy", ROWS, 0.2), ("clean", ROWS, 1.0), ("one round", ROWS[-1:], 0.2)):
        draw_curve(rows, base_rate, "title", tmp_path / "curve.png")
        with Image.open(tmp_path / "curve.png") as image:
            width[name] = image.width
    assert width["clean"] == width["one round"] < width["noisy"]
