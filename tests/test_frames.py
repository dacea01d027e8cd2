"""`hetal.load`: what frames hold, which folders they are made of, and that no record is fatal."""

from __future__ import annotations

import builtins
import random
import re
import shutil
import warnings
from pathlib import Path

import pandas as pd
import pytest

import hetal
from hetal.report.load import frames
from hetal.report.load.reading import read
from tests.command_line import TOY
from tests.hostile import good_study, hostile_study
from tests.synthetic import write_run


@pytest.fixture(autouse=True)
def strict():
    """Make any warning an error: of pandas', or of a record that should have been read."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*left out")
        for kind in (FutureWarning, DeprecationWarning, RuntimeWarning):
            warnings.simplefilter("error", kind)
        yield


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return good_study(tmp_path_factory.mktemp("good"))


def test_a_run_of_ones_own(tmp_path):
    result = hetal.run("alg=lhd", "seed=3", "mult=2.5", f"root={tmp_path}", *TOY)
    runs, rounds = hetal.load(result.folder)
    (run,) = runs.to_dict("records")
    chosen = {"alg": "lhd", "data": "digits", "noise": "class", "mult": 2.5, "model": "mlp", "train": "paper"}
    assert chosen.items() <= run.items()
    assert (run["folder"], run["seed"], run["finished"]) == (str(result.folder.resolve()), 3, True)
    assert (run["n_rounds"], run["n_labelled"]) == (3, 80)
    assert (run["train.max_epochs"], run["data.n_train"], run["n_query"]) == (2, 200, 20)
    assert run["alg._target_"] == "hetal.algs.LHD"
    for key in ("area_under_curve", "final_accuracy", "queried_clean_share", "base_rate"):
        assert run[key] == result.summary[key]
    assert run["seconds.train"] == pytest.approx(result.summary["seconds"]["train"])
    assert rounds["n_labelled"].tolist() == [40, 60, 80]
    assert rounds["accuracy"].iloc[-1] == result.summary["final_accuracy"]
    assert [len(counts) for counts in rounds["bought_per_class"][:2]] == [10, 10]
    assert rounds["clean_share"].isna().tolist() == [False, False, True]
    assert rounds["n_rejected"].tolist()[:2] == [0, 0]
    assert [{*kinds} for kinds in rounds["bought_per_kind"][:2]] == [{"clean", "class"}] * 2
    assert sum(run["pool.kinds"].values()) == run["pool.rows"] == 700
    assert run["pool.kinds"]["clean"] < run["pool.right"] < run["pool.rows"]
    assert (rounds["train.max_epochs"] == 2).all()
    assert (rounds["alg"] == "lhd").all()
    assert rounds.index.tolist() == [0, 1, 2]
    assert runs.columns.is_unique
    assert rounds.columns.is_unique


def test_one_row_a_run_and_one_a_round_each_with_its_own_settings(tmp_path):
    for seed in (10, 2):
        write_run(tmp_path, "alg=badge", seed=seed, accuracy=[0.5, 0.6], sealed=True)
    write_run(
        tmp_path, "alg=fisher", "optimizer.lr=0.5", "noise=clean", accuracy=[0.1, 0.2, 0.3], finished=False
    )
    runs, rounds = hetal.load(tmp_path)
    assert len(runs) == 3
    assert len(rounds) == 7
    assert runs.loc[runs["alg"] == "badge", "seed"].tolist() == [2, 10]  # in the order of numbers
    assert runs.set_index("alg")["mult"].to_dict() == {"badge": 4, "fisher": 0}
    assert runs.loc[runs["alg"] == "badge", "alg.ridge"].isna().all()
    fisher = runs[runs["alg"] == "fisher"].iloc[0]
    assert not fisher["finished"]
    assert pd.isna(fisher["area_under_curve"])
    assert (fisher["n_rounds"], fisher["seconds.train"], fisher["optimizer.lr"]) == (3, 3.0, 0.5)
    assert rounds[rounds["alg"] == "fisher"]["accuracy"].tolist() == [0.1, 0.2, 0.3]
    of_rounds = rounds.groupby("folder")["optimizer.lr"].first()
    assert of_rounds.to_dict() == runs.set_index("folder")["optimizer.lr"].to_dict()
    # Ready to be averaged and drawn.
    assert rounds.groupby(["alg", "n_labelled"])["accuracy"].mean()["badge"].tolist() == [0.5, 0.6]
    assert all(pd.api.types.is_numeric_dtype(runs[name]) for name in (*frames.OF_RUNS, "mult", "seed"))
    assert all(pd.api.types.is_numeric_dtype(rounds[name]) for name in (*frames.MEASURES, *frames.SECONDS))


def test_labels_are_the_reports(tmp_path):
    write_run(tmp_path, "alg=badge")
    write_run(tmp_path, "alg=badge", "optimizer.lr=0.5")
    labels = {run.label for run in read([tmp_path]).runs}
    assert len(labels) == 2
    assert {*hetal.load(tmp_path).runs["label"]} == labels


def test_a_run_that_was_begun_is_there_and_has_no_rounds(tmp_path):
    folder = write_run(tmp_path, "alg=badge", finished=False)
    (folder / "rounds.jsonl").unlink()
    runs, rounds = hetal.load(tmp_path)
    assert (runs["n_rounds"].tolist(), runs["finished"].tolist(), len(rounds)) == ([0], [False], 0)
    assert runs["n_labelled"].isna().all()
    write_run(tmp_path, "alg=badge", seed=1)
    assert hetal.load(tmp_path).runs["finished"].tolist() == [False, True]


def test_several_folders_and_patterns(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("digits", "digits_fast", "other"):
        write_run(Path("multirun"), "alg=badge", f"name={name}")
    (tmp_path / "multirun" / "digits" / "report").mkdir()
    (tmp_path / "multirun" / "digits_notes").write_text("no folder")

    def names(*folders):
        return sorted(hetal.load(*folders).runs["name"])

    assert names("multirun") == ["digits", "digits_fast", "other"]
    assert names("multirun/digits*") == ["digits", "digits_fast"]
    assert names("multirun/digits/*") == ["digits"]
    assert names("multi*/**") == ["digits", "digits_fast", "other"]
    assert names("multirun/digits*", Path("multirun/other"), "multirun/digits") == names("multirun")
    (tmp_path / "multirun" / "other").rename(tmp_path / "multirun" / "[1]")
    assert names("multirun/[1]") == ["other"]  # a folder of that name, rather than a pattern
    monkeypatch.setenv("HOME", str(tmp_path))
    assert names("~/multirun/digits") == ["digits"]


def test_no_folder_and_no_run_are_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for folder, message in (
        ("nowhere", "nowhere: there is no such folder"),
        ("empty", "empty: holds no run"),
        ("no*", "no*: matches no folder that holds a run"),
        ("em*", "em*: matches no folder that holds a run"),
    ):
        with pytest.raises(hetal.BadInput, match=re.escape(message)) as caught:
            hetal.load(folder)
        assert "\n" not in str(caught.value)


def test_what_cannot_be_read_is_warned_about(tmp_path):
    write_run(tmp_path, "alg=badge", seed=99)
    for seed in range(12):
        write_run(tmp_path, "alg=badge", seed=seed).joinpath("provenance.json").write_text("{")
    with pytest.warns(UserWarning, match="left out") as caught:
        runs, rounds = hetal.load(tmp_path)
    assert (runs["seed"].tolist(), len(rounds)) == ([99], 4)
    texts = [str(warning.message) for warning in caught]
    assert len(texts) == 11
    assert all(re.search(r"-s\d+-\w{16}: left out: .*JSON", text) for text in texts[:10])
    assert texts[10] == "2 more records were left out, which cannot be read either"
    assert all(warning.filename == __file__ for warning in caught)


def test_frames_of_nothing_that_can_be_read_have_columns(tmp_path):
    write_run(tmp_path, "alg=badge").joinpath("provenance.json").write_text("{")
    with pytest.warns(UserWarning, match="left out"):
        runs, rounds = hetal.load(tmp_path)
    assert (len(runs), len(rounds)) == (0, 0)
    assert {"alg", "area_under_curve"} <= {*runs}
    assert {"alg", "accuracy"} <= {*rounds}


def test_settings_without_end_are_left_out(tmp_path):
    write_run(tmp_path, "alg=badge", seed=1)
    folder = write_run(tmp_path, "alg=badge")
    with (folder / ".hydra" / "config.yaml").open("a") as file:
        file.writelines(f"x{i}: 0\n" for i in range(2000))
    with pytest.warns(UserWarning, match="left out: holds over 1,000 settings"):
        runs, _ = hetal.load(tmp_path)
    assert runs["seed"].tolist() == [1]


def test_fields_of_the_wrong_type_are_missing(tmp_path):
    write_run(tmp_path, "alg=badge", steps=10**400, epochs="many", nll=True, macro_f1=[1])
    _, rounds = hetal.load(tmp_path)
    assert rounds[["steps", "epochs", "nll", "macro_f1"]].isna().all(axis=None)


@pytest.mark.parametrize("seed", range(4))
def test_other_peoples_records(good, tmp_path, seed):
    hostile_study(good, tmp_path / "study", random.Random(seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        runs, rounds = hetal.load(tmp_path / "study")
    reading = read([tmp_path / "study"])
    assert len(runs) == len(reading.runs) + len(reading.begun)
    assert len(rounds) == sum(len(run.rounds) for run in reading.runs)
    assert all(pd.api.types.is_numeric_dtype(rounds[name]) for name in frames.MEASURES)
    shutil.rmtree(tmp_path / "study", ignore_errors=True)


def test_without_pandas_it_is_one_line(tmp_path, monkeypatch):
    write_run(tmp_path, "alg=badge")
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "pandas":
            raise ModuleNotFoundError("No module named 'pandas'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"^hetal.load needs pandas .*: pip install .*\[notebook\]'$"):
        hetal.load(tmp_path)
