"""Numbers as CSV and LaTeX."""

import csv
import dataclasses
import re

import numpy as np

from hetal.report.analyse.analysis import analyse, study_of
from hetal.report.analyse.comparisons import comparisons_of
from hetal.report.analyse.completeness import Missing
from hetal.report.analyse.numbers import numbers_of
from hetal.report.analyse.setting import setting_of
from hetal.report.files.latex import latex
from hetal.report.files.tables import COLUMNS_OF, write_csv, write_tables
from hetal.report.load.reading import Reading
from tests.synthetic import make_run

EVIL = r"a_b & 50% #1 $x$ {y} \z ^~ <|>"


def settings(*names, label="b"):
    return [
        setting_of(
            name, [make_run(x, s, [0.5, a + s / 100], setting=name) for x, a in arms for s in range(3)]
        )
        for name in names
        for arms in [(("random", 0.6), (label, 0.7))]
    ]


def tex(*names, label="b"):
    return latex([n for s in settings(*names, label=label) for n in numbers_of(s).values()])


def read_csv(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_csv_has_all_columns_and_empty_fields_for_what_is_not_there(tmp_path):
    write_csv(tmp_path / "x.csv", [{"a": 1, "b": np.nan}, {"a": 'x,"y"\n', "c": 2.5}])
    assert read_csv(tmp_path / "x.csv") == [
        {"a": "1", "b": "", "c": ""},
        {"a": 'x,"y"\n', "b": "", "c": "2.5"},
    ]
    write_csv(tmp_path / "x.csv", [])
    assert read_csv(tmp_path / "x.csv") == []


def test_an_empty_table_has_the_columns_of_a_full_one(tmp_path):
    found = settings("one", "two")
    runs = tuple(run for s in found for seeds in s.runs.values() for run in seeds.values())
    write_tables([analyse(study_of(Reading(runs)))], tmp_path)
    for name in ("comparisons", "penalties", "ranks"):
        full = (tmp_path / f"{name}.csv").read_text().splitlines()
        assert len(full) > 1
        assert tuple(full[0].split(",")) == COLUMNS_OF[name]
    assert COLUMNS_OF["missing"] == tuple(field.name for field in dataclasses.fields(Missing))
    write_csv(tmp_path / "missing.csv", [])
    assert (tmp_path / "missing.csv").read_text() == "what,state,command\n"


def test_every_number_is_in_a_table(tmp_path):
    found = settings("one", "two")
    runs = tuple(run for s in found for seeds in s.runs.values() for run in seeds.values())
    write_tables([analyse(study_of(Reading(runs)))], tmp_path)
    numbers = read_csv(tmp_path / "numbers.csv")
    (b,) = (row for row in numbers if (row["setting"], row["strategy"]) == ("one", "b"))
    expected = numbers_of(found[0])["b"]
    assert [float(b[f"area{end}"]) for end in ("", "_low", "_high")] == list(expected.area)
    assert (float(b["saving"]), b["n"], b["reached"]) == (expected.saving.mean, "3", "3")
    (pair,) = (row for row in read_csv(tmp_path / "comparisons.csv") if row["setting"] == "one")
    (c,) = comparisons_of(found[0])
    assert float(pair["difference"]) == c.difference.mean
    assert float(pair["t_holm"]) == c.t_holm
    assert pair["trusted"] == "False"
    penalties = read_csv(tmp_path / "penalties.csv")
    assert {row["test"] for row in penalties} == {"t", "wilcoxon"}
    assert len(penalties) == 2 * 2 * 2
    assert [row["strategy"] for row in read_csv(tmp_path / "ranks.csv")] == ["b", "random"]
    assert len(read_csv(tmp_path / "runs.csv")) == 12
    assert read_csv(tmp_path / "missing.csv") == []
    assert {row["measure"] for row in read_csv(tmp_path / "curves.csv")} >= {
        "accuracy",
        "clean_share",
        "time",
    }


def test_a_run_has_taken_all_seconds_of_its_rounds_or_nobody_knows(tmp_path):
    known = make_run("a", 0, [0.5, 0.6])
    unknown = make_run("a", 1, [0.5, 0.6])
    unknown = dataclasses.replace(unknown, rounds=tuple({**row, "seconds": {}} for row in unknown.rounds))
    write_tables([analyse(study_of(Reading((known, unknown))))], tmp_path)
    assert [row["seconds"] for row in read_csv(tmp_path / "runs.csv")] == ["3.2", ""]


def test_latex_by_hand():
    lines = tex("one").splitlines()
    assert lines[1:7] == [
        r"\begin{tabular}{lr}", r"\toprule", r" & one \\", r" & $n = 3$ \\", r"\midrule", lines[6],
    ]  # fmt: skip
    assert lines[6].startswith(r"b & \textbf{60.5} {\scriptsize [60.")
    assert lines[7].startswith(r"random & 55.5 {\scriptsize [55.")


def test_latex_has_as_many_cells_in_every_row_and_stays_within_a_page():
    text = tex(*(f"s{i}" for i in range(6)))
    tables = re.findall(r"\\begin\{tabular\}\{(l?r*)\}(.*?)\\end\{tabular\}", text, re.DOTALL)
    assert [len(columns) for columns, _ in tables] == [5, 3, 5, 3]  # of areas, of final accuracies
    for columns, body in tables:
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert rows
        assert all(row.count(" & ") + 1 == len(columns) for row in rows)


def test_latex_escapes_names():
    text = tex(EVIL, label=EVIL)
    rows = [line for line in text.splitlines() if "textbackslash" in line]
    assert len(rows) == 4
    for row in rows:
        left = re.sub(
            r"\\(textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar)\{\}", "", row
        )
        left = re.sub(r"\\[_&%$#{}]", "", left)
        left = re.sub(r"\\(textbf|scriptsize)", "", left)
        assert not re.search(r"[%#$_^~|<>]", left)
        assert left.count("{") == left.count("}")
        assert left.count("&") == 1


def test_latex_of_nothing():
    assert latex([]) == ""
    unfinished = setting_of("s", [make_run("b", 0, [0.1], summary=None)])
    assert "--" in latex([*numbers_of(unfinished).values()])
