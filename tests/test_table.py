"""The user's own table: what is read, by which rules, what every fault says, and that no bytes cause a traceback."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from hetal.data import load_table
from hetal.data.table import Missing
from hetal.errors import BadInput
from hetal.report.analyse.analysis import analyse, study_of
from hetal.report.load.reading import read
from hetal.report.page.render import render
from hetal.rng import stream
from hetal.task import Task
from tests.command_line import only, records, run_here
from tests.tiny_data import CONF, load

ISLANDS = ("Dream", "Biscoe", "Torgersen")


def penguins(n: int = 60) -> pd.DataFrame:
    """A table of mixed types without gaps: 3 species by two measures, an island, and whether an egg was seen."""
    rng = np.random.default_rng(0)
    kind = np.arange(n) % 3
    return pd.DataFrame(
        {
            "species": np.array(["Adelie", "Chinstrap", "Gentoo"])[kind],
            "island": np.array(ISLANDS)[rng.integers(0, 3, n)],
            "bill_mm": (38 + 5 * kind + rng.normal(size=n)).round(1),
            "mass_g": 3700 + 600 * kind + rng.integers(-300, 300, n),
            "egg": rng.random(n) < 0.5,
        }
    )


def saved(folder: Path, table: pd.DataFrame | str | bytes, name: str = "own.csv") -> Path:
    path = folder / name
    if isinstance(table, pd.DataFrame):
        table = table.to_csv(index=False)
    path.write_bytes(table if isinstance(table, bytes) else table.encode())
    return path


def table(path: Path, *overrides: str, label: str = "species", seed: int = 0) -> Task:
    return load("table", f"data.path='{path}'", f"data.label={label}", *overrides, seed=seed)


def rows(task: Task) -> torch.Tensor:
    return torch.cat([task.train.images, task.test.images])


# ---- what is read


def test_a_table_is_what_scikit_learn_s_transformers_make_of_its_training_rows(tmp_path):
    train, test = penguins(), penguins(80)[60:]
    task = table(saved(tmp_path, train), f"data.test_path={saved(tmp_path, test, 'test.csv')}")
    oracle = ColumnTransformer(
        [
            ("numbers", StandardScaler(), ["bill_mm", "mass_g"]),
            ("flags", "passthrough", ["egg"]),
            ("categories", OneHotEncoder(sparse_output=False), ["island"]),
        ]
    ).fit(train)
    np.testing.assert_allclose(task.train.images, oracle.transform(train).astype(float), atol=1e-6)
    np.testing.assert_allclose(task.test.images, oracle.transform(test).astype(float), atol=1e-6)
    assert task.train.images.dtype == torch.float32
    assert task.train.labels.tolist() == [0, 1, 2] * 20
    assert task.class_names == ("Adelie", "Chinstrap", "Gentoo")
    assert (task.mean, task.std) == ((0.0,), (1.0,))
    assert task.notes == (
        "labels Adelie, Chinstrap, Gentoo are classes 0 to 2",
        "4 columns (2 of numbers, 1 of truth values, 1 of categories) are 6 features",
    )


def test_parquet_is_read_as_the_csv_of_its_rows(tmp_path):
    pytest.importorskip("pyarrow")
    frame = penguins()
    frame.loc[[3, 9], "bill_mm"] = np.nan
    frame.loc[[4], "island"] = None
    csv = table(saved(tmp_path, frame))
    path = tmp_path / "own.parquet"
    frame.astype({"island": "category"}).iloc[::-1].iloc[::-1].to_parquet(
        path
    )  # with an index, which is no feature
    parquet = table(path)
    assert torch.equal(rows(parquet), rows(csv))
    assert torch.equal(parquet.test.labels, csv.test.labels)
    assert parquet.class_names == csv.class_names


def test_the_test_rows_are_a_share_of_each_class_and_the_same_at_every_seed(tmp_path):
    frame = penguins()
    frame.loc[len(frame)] = ["Emperor", "Dream", 80.0, 30000, True]  # a class of one row trains
    path = saved(tmp_path, frame)
    one, other = (table(path, "data.test_share=0.25", "data.n_train=20", seed=s) for s in (0, 1))
    assert torch.equal(one.test.images, other.test.images)
    assert not torch.equal(one.train.images, other.train.images)
    assert torch.bincount(one.test.labels).tolist() == [5, 5, 0, 5]
    whole = table(path, "data.test_share=0.25")
    assert torch.bincount(whole.train.labels).tolist() == [15, 15, 1, 15]
    assert len(torch.unique(rows(whole), dim=0)) == 61


def test_columns_are_kept_dropped_and_taken_as_categories(tmp_path):
    frame = penguins().assign(code=[7, 8] * 30, same=1)
    path = saved(tmp_path, frame)
    assert table(path).image_shape == (7,)  # without the constant
    assert "constant, and left out: same" in table(path).notes
    assert table(path, "data.columns=[mass_g,egg]").image_shape == (2,)
    assert table(path, "data.drop=[island,code]").image_shape == (3,)
    assert table(path, "data.columns=[bill_mm,code]", "data.categories=[code]").image_shape == (3,)
    unnamed = table(saved(tmp_path, frame.to_csv()))  # with the index that pandas writes
    assert torch.equal(rows(unnamed), rows(table(saved(tmp_path, frame))))
    assert "1 column without a name left out" in unnamed.notes


@pytest.mark.parametrize("how", ["feature", "all", "none"])
def test_numbers_are_standardised_by_name(how, tmp_path):
    frame = penguins()[["species", "bill_mm", "mass_g"]]
    task = table(saved(tmp_path, frame), f"data.standardise={how}", f"data.test_path={tmp_path / 'own.csv'}")
    raw = frame[["bill_mm", "mass_g"]].to_numpy(float)
    expected = {
        "feature": (raw - raw.mean(0)) / raw.std(0),
        "all": (raw - raw.mean()) / raw.std(),
        "none": raw,
    }[how]
    np.testing.assert_allclose(task.train.images, expected, rtol=1e-5, atol=1e-6)


def test_numbers_of_any_scale_keep_their_differences(tmp_path):
    nanoseconds = 1.6e18 + 1e6 * np.arange(60)
    task = table(saved(tmp_path, pd.DataFrame({"y": [0, 1] * 30, "t": nanoseconds})), label="y")
    assert len(torch.unique(rows(task))) == 60


GAPS = "y,x,flag,kind\na,1,true,p\nb,,true,q\na,3,,q\nb,8,false,\na,4,true,q\nb,,false,p\n"


@pytest.mark.parametrize(
    ("rule", "x", "n_features"),
    [("mean", 4.0, 4), ("median", 3.5, 4), ("most_frequent", 1.0, 4), ("indicator", 4.0, 7)],
)
def test_missing_values_are_filled_by_name(rule, x, n_features, tmp_path):
    path = saved(tmp_path, GAPS)
    task = table(path, f"data.missing={rule}", "data.standardise=none", f"data.test_path={path}", label="y")
    images = task.train.images
    assert images.shape == (6, n_features)
    assert images[:, 0].tolist() == [1, x, 3, 8, 4, x]
    assert images[:, 1].tolist() == [1, 1, 1, 0, 1, 0]  # the most frequent truth value
    if rule == "indicator":
        assert images[:, 2].tolist() == [0, 1, 0, 0, 0, 1]
        assert images[:, 3].tolist() == [0, 0, 1, 0, 0, 0]
        assert images[3, 4:].tolist() == [0, 0, 1]  # missing is a category
    else:
        assert images[3, 2:].tolist() == [0, 1]
    assert f"8 missing values filled in (x, flag, kind): {rule}" in task.notes


def test_rows_with_gaps_are_left_out_or_refused_by_name(tmp_path):
    path = saved(tmp_path, GAPS.replace("b,8,false,", "b,8,false,p"))
    task = table(path, "data.missing=drop", label="y")
    assert len(rows(task)) == 3
    assert "3 rows with missing values left out" in task.notes
    fault = "4 values are missing, by column: x 2, flag 1; data.missing=drop, mean,".replace("4", "3")
    assert fault in table_fault(path, "data.missing=refuse", label="y")
    assert "column y holds no label in 1 row; data.missing=drop leaves" in table_fault(
        saved(tmp_path, "y,x\na,1\n,2\nb,3\n"), label="y"
    )


def test_a_category_of_the_test_set_only_is_all_zeros_or_refused(tmp_path):
    other = saved(tmp_path, penguins(9).assign(island="Elsewhere"), "test.csv")
    path = saved(tmp_path, penguins())
    task = table(path, f"data.test_path={other}")
    assert float(task.test.images[:, 3:].abs().max()) == 0
    note = "column island: 9 test rows of a category that no training row has"
    assert f"{note}: all zeros" in task.notes
    assert note in table_fault(path, f"data.test_path={other}", "data.unseen=refuse")


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([3, 1, 2], ("1", "2", "3")),
        ([1.0, 0.0, 5.0], ("0", "1", "5")),
        (["b", "a", "ü,\n"], ("a", "b", "ü,\\n")),
        ([True, False, True], ("False", "True")),
    ],
)
def test_labels_of_any_type_are_classes_with_names(labels, names, tmp_path):
    frame = pd.DataFrame({"y": labels * 4, "x": np.arange(12) ** 2})
    task = table(saved(tmp_path, frame), label="y")
    assert task.class_names == names
    assert len(task.train) + len(task.test) == 12


def test_texts_that_stand_for_missing_are_those_of_the_setting(tmp_path):
    path = saved(tmp_path, "y,x\n" + "None,1\nNA,2\nlow,3\n" * 4)
    assert "column y holds no label in 8 rows" in table_fault(path, label="y")
    assert table(path, "data.na_values=[]", label="y").class_names == ("NA", "None", "low")


def test_forms_of_csv(tmp_path):
    frame = penguins()
    expected = rows(table(saved(tmp_path, frame)))
    text = frame.to_csv(index=False, sep=";", decimal=",")
    same = table(saved(tmp_path, text), "data.separator=semicolon", "data.decimal=comma")
    assert torch.equal(rows(same), expected)
    for encoding in ("utf-8-sig", "utf-16", "cp1252"):
        content = frame.replace("Dream", "Düne").to_csv(index=False, sep="\t").encode(encoding)
        same = table(saved(tmp_path, content), "data.separator=tab", f"data.encoding={encoding}")
        assert rows(same).shape == expected.shape
    spaced = frame.to_csv(index=False).replace(",", ", ").replace("\n", "\r\n")
    assert torch.equal(rows(table(saved(tmp_path, spaced))), expected)
    asked = saved(tmp_path, frame.astype({"mass_g": object}).replace({"mass_g": {frame.mass_g[0]: "?"}}))
    assert any("missing values filled in (mass_g)" in note for note in table(asked).notes)


# ---- what is refused


def table_fault(path: Path, *overrides: str, label: str = "species") -> str:
    with pytest.raises(BadInput) as caught:
        table(path, *overrides, label=label)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("data.")
    return message


FAULTS = {
    "is empty; its first line must name the columns": "",
    "holds a first line of names, but no rows": "y,x\n",
    "line 3 has 3 fields, and the first line names 2 columns": "y,x\na,1\nb,2,3\n",
    "line 2 has 1 fields": "y,x\na\nb,2\n",
    "has two columns of the name x": "y,x,x\na,1,2\n",
    "its first line is one column, y;x; data.separator=semicolon": "y;x\na;1\nb;2\n",
    "cannot be read as CSV": 'y,x\na,"1\nb,2\n',
    "no such column; the columns are why, x": "why,x\na,1\n",
    "data.label=y: no such column; did you mean Y?": "Y,x\na,1\n",
    "no column is left besides the label": "y\na\nb\n",
    "column y holds one class only, a": "y,x\na,1\na,2\n",
    "no class has two rows": "y,x\na,1\nb,3\n",
    "column y holds 0.5; labels must be whole numbers or text": "y,x\n0.5,1\n1,3\n0,7\n",
    "column x holds no value in training rows; data.drop=[x]": "y,x,z\na,,1\nb,,2\na,,4\n",
    "every column besides the label holds one value only": "y,x\na,1\nb,1\na,1\nb,1\n",
    "column x holds infinity, or": "y,x\na,inf\nb,1\na,1\nb,1\n",
    "column x holds infinity, or numbers beyond 1e+100": "y,x\na,1e101\nb,-1e101\na,0\nb,1\n",
    "x holds infinity, or numbers beyond": f"y,x\na,1{'0' * 400}\nb,1\na,0\nb,1\n",
    "column x numbers the rows; data.drop=[x]": "y,x\n" + "".join(f"{i % 2},{i}\n" for i in range(5, 20)),
    "column x holds dates or times; data.drop=[x]": "y,x\na,2007-11-11\nb,2007-11-12\na,2007-11-12\n",
    "column x's (o/oo) holds dates or times; data.drop=['x\\'s (o/oo)']": "y,x's (o/oo)\na,2007-11-11\nb,2007-11-12\n",
    "column x holds numbers and text, such as 'no'": "y,x\na,1\nb,3\na,no\n",
    "column x holds numbers with commas, such as 3,5; data.decimal=comma": 'y,x\na,"3,5"\nb,"4,1"\na,2\n',
    "column x holds 101 different texts in 808": "y,x\n"
    + "".join(f"{i % 2},t{i % 101}\n" for i in range(1010)),
    "is compressed by gzip; it must be CSV or Parquet": b"\x1f\x8b\x08",
    "is a ZIP archive, or a spreadsheet": b"PK\x03\x04",
    "holds bytes that are no utf-8 text, such as in line 3; data.encoding=cp1252": b"y,x\na,1\n\xfc,2\n",
    "data.encoding=utf-16 may be right": "y,x\na,1\n".encode("utf-16"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_table_names_its_fault(fault, tmp_path):
    assert fault in table_fault(saved(tmp_path, FAULTS[fault]), label="y")


@pytest.mark.parametrize(
    ("overrides", "fault"),
    [
        (["data.columns=[bill]"], "data.columns=bill: no such column; did you mean bill_mm?"),
        (["data.drop=[bill_mm,Sex]"], "data.drop=Sex: no such column; the columns are species, island, bill_mm"),
        (["data.categories=[5]"], "data.categories=5: no such column"),
        (["data.columns=[species,egg]"], "data.columns=species: it is the label"),
        (["data.drop=[island,bill_mm,mass_g,egg]"], "no column is left besides the label"),
        (["data.max_categories=2"], "column island holds 3 different texts in 48 training rows; data.drop=[island]"),
        (["data.test_share=1"], "data.test_share=1: must be between 0 and 1"),
        (["data.standardise=column"], "data.standardise=column: must be feature, all or none"),
        (["data.encoding=latin-99"], "data.encoding=latin-99: Python knows no such encoding"),
        (["data.n_train=2"], "data.n_train=2: must be a whole number in 3..48"),
        (["data.label=null"], "data.label is not set: data.label=COLUMN, one of species, island"),
        (["data.test_path=nowhere.csv"], "data.test_path=nowhere.csv: there is no such file"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)  # fmt: skip
def test_a_setting_of_a_table_is_refused(overrides, fault, tmp_path):
    assert fault in table_fault(saved(tmp_path, penguins()), *overrides)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"mass_g": "heavy"}, "column mass_g holds text, and in data.path numbers"),
        ({"egg": 1}, "column egg holds numbers, and in data.path truth values"),
        ({"species": "Emperor"}, "column species of data.test_path holds the label Emperor"),
        ({"island": None}, "has no column island, which data.path has"),
    ],
)
def test_a_table_of_test_rows_must_fit(changes, fault, tmp_path):
    test = penguins(9).assign(**changes).dropna(axis=1)
    other = saved(tmp_path, test, "test.csv")
    assert fault in table_fault(saved(tmp_path, penguins()), f"data.test_path={other}")


def test_numbers_that_float32_cannot_hold_are_refused_where_they_stay_as_they_are(tmp_path):
    path = saved(tmp_path, penguins().assign(mass_g=1e98 * np.arange(60)))
    assert float(rows(table(path)).abs().max()) < 10
    assert "column mass_g holds numbers that float32 cannot hold" in table_fault(
        path, "data.standardise=none"
    )


def test_a_path_must_be_a_file(tmp_path):
    with pytest.raises(BadInput, match=r"^data\.path is not set: data\.path=FILE, CSV or Parquet"):
        load("table")
    assert "there is no such file" in table_fault(tmp_path / "absent.csv")
    assert "is a folder; it must be a file" in table_fault(tmp_path)


@pytest.mark.parametrize(("package", "content"), [("pandas", b"y,x\n"), ("pyarrow", b"PAR1")])
def test_without_an_optional_package_the_message_says_what_to_install(
    package, content, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, package, None)
    assert "pip install -e '.[table]'" in table_fault(saved(tmp_path, content))


def test_parquet_of_other_types_is_refused_by_name(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "own.parquet"
    for column, fault in (
        ([[1, 2]] * 60, "column x holds mixed"),
        (pd.date_range("2020-01-01", periods=60), "column x holds dates or times"),
        ([b"a", b"b"] * 30, "column x holds bytes"),
    ):
        penguins().assign(x=column).to_parquet(path)
        assert fault in table_fault(path)
    path.write_bytes(path.read_bytes()[:-50] + b"PAR1")
    assert "cannot be read as Parquet" in table_fault(path)


# ---- anything at all


CELLS = ["", "1", "2.5", "-3e9", "1e400", "nan", "inf", "true", "False", "?", "é", "a", "b b", '"', '"x"', "2020-01-02",
         "1,5", "\0", " ", "99999999999999999999", "0x1F", "1_000", "\ud800", "None"]  # fmt: skip


SETTINGS = {
    key: value
    for key, value in OmegaConf.to_container(OmegaConf.load(CONF / "data" / "table.yaml"))["data"].items()
    if key not in ("_target_", "_partial_", "name")
}


def reads_or_says_why(content: bytes, folder: Path, **chosen: object) -> None:
    path = str(saved(folder, content))
    fault = None
    try:
        task = load_table(**{**SETTINGS, "path": path, "label": "y", **chosen}, rng=stream(0, "data"))
        assert bool(rows(task).isfinite().all())
    except BadInput as error:
        fault = str(error)
    assert fault is None or (fault.startswith("data.") and "\n" not in fault)


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_table_survives_any_cells(data, tmp_path_factory):
    """Cells of any kind under any rules: a task, or one line."""
    names = data.draw(st.lists(st.sampled_from(["y", "x", "z", "", "é", " "]), min_size=1, max_size=5))
    cells = st.sampled_from(CELLS) | st.text(max_size=3)
    columns = []
    for _ in names:
        kind = data.draw(st.sampled_from(["any", "number", "few"]))
        few = data.draw(st.lists(cells, min_size=1, max_size=2))
        cell = {"any": cells, "number": st.floats(width=32).map(repr), "few": st.sampled_from(few)}[kind]
        columns.append(data.draw(st.lists(cell, min_size=6, max_size=6)))
    lines = [names, *zip(*columns, strict=True)]
    content = "\n".join(",".join(line) for line in lines).encode("utf-8", "surrogatepass")
    chosen = {
        "missing": data.draw(st.sampled_from(get_args(Missing))),
        "standardise": data.draw(st.sampled_from(["feature", "all", "none"])),
        "separator": data.draw(st.sampled_from(["comma", "comma", "comma", "tab"])),
        "encoding": data.draw(st.sampled_from(["utf-8", "utf-8", "latin-1", "utf-16", "idna", "hex"])),
        "categories": data.draw(st.sampled_from([[], [], ["x"]])),
    }
    reads_or_says_why(content, tmp_path_factory.mktemp("fuzz"), **chosen)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_survives_any_bytes(kind, data, tmp_path_factory):
    """A valid file with a few bytes changed, cut or put in: a task, or one line."""
    content = bytearray(penguins().rename(columns={"species": "y"}).to_csv(index=False).encode())
    if kind == "parquet":
        pytest.importorskip("pyarrow")
        content = bytearray(penguins().rename(columns={"species": "y"}).to_parquet())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        cut = data.draw(st.integers(0, 3) | st.integers(0, len(content)))
        content[at : at + cut] = data.draw(st.binary(max_size=4))
    reads_or_says_why(bytes(content), tmp_path_factory.mktemp("fuzz"))


# ---- whole runs


def test_a_table_runs_from_path_and_label_alone_and_its_record_names_the_classes(tmp_path):
    frame = penguins(120)
    frame.loc[[3, 9], "bill_mm"] = np.nan
    path = saved(tmp_path, frame, "penguins.csv")
    root = tmp_path / "runs"
    run_here(
        "data=table", f"data.path={path}", "data.label=species", "tracker=none", "device=cpu", "train.max_epochs=2",
        root=root,
    )  # fmt: skip
    (rounds,) = records(root).values()
    assert [r["n_labelled"] for r in rounds][:2] == [4, 8]
    assert rounds[-1]["n_labelled"] == 48
    folder = only(root)
    assert "-penguins-" in folder.name
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["classes"] == ["Adelie", "Chinstrap", "Gentoo"]
    html = render(analyse(study_of(read([root]))), "penguins")
    assert all(re.search(rf"title='{name}: [\d.]+%, ", html) for name in provenance["classes"])
