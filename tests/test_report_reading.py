"""What the report reads, and that no damage to a record is fatal."""

import json
import os
import random
import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from hetal.errors import BadInput
from hetal.record.schema import MEASURED
from hetal.report.analyse.analysis import analyse, study_of
from hetal.report.analyse.comparisons import comparisons_of
from hetal.report.analyse.confounds import confounds_of, confounds_of_pair
from hetal.report.analyse.numbers import numbers_of
from hetal.report.analyse.setting import settings_of
from hetal.report.load.reading import read
from hetal.report.make import report
from tests.command_line import TOY, only, run_here
from tests.synthetic import write_queries, write_run

FILES = ("provenance.json", "rounds.jsonl", "summary.json", ".hydra/config.yaml", ".hydra/overrides.yaml")


def labels(*folders):
    return {run.label for run in read(list(folders)).runs}


# What is there.


def test_a_real_run_is_read_as_it_was_recorded(tmp_path):
    run_here("alg=random", "seed=3", *TOY, root=tmp_path)
    (run,) = read([only(tmp_path)]).runs
    rows = [json.loads(line) for line in (only(tmp_path) / "rounds.jsonl").read_text().splitlines()]
    assert [dict(row) for row in run.rounds] == rows
    assert run.summary == json.loads((only(tmp_path) / "summary.json").read_text())
    assert (run.seed, run.label, run.setting) == (3, "random", "digits class x4 mlp")
    assert run.name == "default"
    assert run.config["n_query"] == 20
    assert "seed" not in run.config
    # What synthetic records hold is what real ones hold.
    (like,) = read([write_run(tmp_path / "made", "alg=random", seed=3, sealed=True)]).runs
    assert like.rounds[0].keys() == run.rounds[0].keys()
    assert like.summary.keys() == run.summary.keys()
    assert like.choices.keys() == run.choices.keys()
    assert set(MEASURED) <= run.rounds[0].keys()


def test_runs_are_found_in_a_run_a_study_and_a_folder_of_studies(tmp_path):
    one = write_run(tmp_path, "alg=badge", "name=a")
    write_run(tmp_path, "alg=badge", "name=b", seed=1)
    assert len(read([one]).runs) == 1
    assert len(read([tmp_path / "a"]).runs) == 1
    assert len(read([tmp_path]).runs) == 2
    assert len(read([tmp_path / "a", tmp_path / "b"]).runs) == 2
    assert len(read([tmp_path, one, tmp_path / "a"]).runs) == 2  # none of them twice
    assert read([one]).studies == ()
    assert [study.name for study in read([tmp_path]).studies] == ["a", "b"]


def test_a_link_to_a_run_is_that_run(tmp_path):
    one = write_run(tmp_path / "real", "alg=badge")
    (tmp_path / "real" / "default" / "again").symlink_to(one)
    assert len(read([tmp_path / "real"]).runs) == 1


def test_no_folder_and_no_run_are_one_line(tmp_path):
    with pytest.raises(BadInput, match="nowhere: there is no such folder"):
        read([tmp_path / "nowhere"])
    with pytest.raises(BadInput, match="holds no run"):
        read([tmp_path])


def test_a_run_that_was_begun_is_not_a_problem(tmp_path):
    folder = write_run(tmp_path, "alg=badge", finished=False)
    (folder / "rounds.jsonl").unlink()
    found = read([folder])
    assert [run.folder for run in found.begun] == [folder]
    assert found.begun[0].overrides[0] == "alg=badge"
    assert not found.problems


def test_a_line_that_is_being_written_does_not_count(tmp_path):
    folder = write_run(tmp_path, "alg=badge")
    path = folder / "rounds.jsonl"
    path.write_text(path.read_text()[:-30])
    (run,) = read([folder]).runs
    assert len(run.rounds) == 3
    assert run.summary is None  # which is of four rounds


@pytest.mark.parametrize("content", ["", "{", "[]", '{"n_rounds": "4"}', '{"n_rounds": 3}', "null"])
def test_a_summary_that_does_not_fit_is_a_run_not_finished(tmp_path, content):
    folder = write_run(tmp_path, "alg=badge")
    (folder / "summary.json").write_text(content)
    assert read([folder]).runs[0].summary is None


# Damage.


def damages(rng, content):
    """Yield some of the ways in which a file can be wrong."""
    yield b""
    yield content[: rng.randrange(len(content))]
    yield bytes(rng.randrange(256) for _ in range(200))
    yield b"\0" * len(content)
    at = rng.randrange(len(content))
    yield content[:at] + bytes([rng.randrange(256)]) + content[at + 1 :]
    yield content[:at] + bytes(rng.randrange(256) for _ in range(9)) + content[at:]
    for text in (
        "null", "[]", "{}", "0", '"text"', "[[]]", "[" * 3000, "{" * 3000, "NaN", "1e999", "- 1", "a: &a [*a]", "\x00",
        "!!python/object/apply:os.system [exit]", "\n\n", '{"round": 0}\n', "seed: 5\n", "seed: x\n",
        "alg: {}\nseed: 0\n",
    ):  # fmt: skip
        yield text.encode()


@pytest.mark.parametrize("name", FILES)
def test_no_damage_to_a_file_is_fatal(tmp_path, name):
    rng = random.Random(name)
    good = write_run(tmp_path / "x", "alg=random", seed=0)
    bad = write_run(tmp_path / "x", "alg=badge", seed=0)
    content = (bad / name).read_bytes()
    for damage in damages(rng, content):
        (bad / name).write_bytes(damage)
        found = read([tmp_path / "x"])
        known = {run.folder for run in (*found.runs, *found.begun)} | {folder for folder, _ in found.problems}
        assert known == {good, bad}
        assert any(run.folder == good for run in found.runs)
        assert all("\n" not in reason and reason for _, reason in found.problems)
        analyse(study_of(found))


@pytest.mark.parametrize("name", FILES)
def test_a_missing_or_unreadable_file_is_told(tmp_path, name):
    folder = write_run(tmp_path, "alg=badge")
    (folder / name).unlink()
    found = read([folder])
    if name not in ("rounds.jsonl", "summary.json"):
        assert found.problems == ((folder, f"{name.split('/')[-1]} is missing"),)
    (folder / name).mkdir()  # what root cannot read either
    found = read([folder])
    if name != "summary.json":
        ((_, reason),) = found.problems
        assert reason == f"cannot be read: {name.split('/')[-1]} is a folder"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("round", 5), ("round", "0"), ("n_labelled", 0), ("n_labelled", 3.5), ("n_labelled", None), ("accuracy", 1.01),
        ("accuracy", -0.1), ("accuracy", "0.5"), ("accuracy", None), ("accuracy", float("nan")), ("accuracy", True),
        ("seconds", None), ("seconds", {"train": "1"}), ("seconds", {"train": float("inf")}), ("n_bought", None),
        ("clean_share", 2), ("clean_share", "1"), ("n_distinct", -1), ("bought_per_class", [1, "2"]),
        ("peak_memory_mb", "1"), ("ece", [0.1]),
    ],
)  # fmt: skip
def test_a_field_of_another_kind_is_told(tmp_path, field, value):
    folder = write_run(tmp_path, "alg=badge")
    rows = [json.loads(line) | {field: value} for line in (folder / "rounds.jsonl").read_text().splitlines()]
    (folder / "rounds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert not read([folder]).runs
    assert read([folder]).problems


def test_a_field_that_is_new_or_gone_and_not_needed_is_no_damage(tmp_path):
    folder = write_run(tmp_path, "alg=badge", something_new=[1])
    path = folder / "rounds.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        del row["peak_memory_mb"], row["nll"], row["ece"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert len(read([folder]).runs[0].rounds) == 4


def test_labels_that_do_not_rise_are_told(tmp_path):
    folder = write_run(tmp_path, "alg=badge", n_labelled=100)
    assert "no more labels" in read([folder]).problems[0][1]


def test_only_the_seed_itself_is_told_from_the_rest_of_the_config(tmp_path):
    for seed in (0, 1, 12):  # data.point_seed is 123
        write_run(tmp_path, "data=four_moons", "noise=copies", "alg=badge", "name=study", seed=seed)
    found = read([tmp_path / "study"])
    assert not found.problems
    assert {run.seed for run in found.runs} == {0, 1, 12}
    assert {run.config["data.point_seed"] for run in found.runs} == {123}


def test_a_report_of_damaged_records_is_made_of_the_rest(tmp_path):
    for seed in range(2):
        write_queries(write_run(tmp_path, "alg=random", "name=study", seed=seed))
        write_queries(write_run(tmp_path, "alg=badge", "name=study", seed=seed))
    study = tmp_path / "study"
    bad = next(study.glob("badge-*-s1-*"))
    (bad / "rounds.jsonl").write_bytes(b"\xff\xfe junk \n")
    made = report([study], tmp_path / "out", "t", with_pictures=False)
    assert len(made.reading.runs) == 3
    assert bad.name in made.page.read_text()


def test_only_damaged_records_are_one_line(tmp_path):
    folder = write_run(tmp_path, "alg=badge")
    (folder / "provenance.json").write_text("{}")
    with pytest.raises(BadInput, match=r"1 could not be read, such as badge-.*: ") as told:
        report([folder], tmp_path / "out", "t", with_pictures=False)
    assert "\n" not in str(told.value)
    assert not (tmp_path / "out").exists()


# Records that carry digests of themselves.


def test_a_record_whole_is_read_as_older_ones_are(tmp_path):
    old = write_run(tmp_path / "old", "alg=badge")
    new = write_run(tmp_path / "new", "alg=badge", sealed=True)
    (one,), (other,) = (read([folder]).runs for folder in (old, new))
    assert dict(one.config) == dict(other.config)
    assert other.summary is not None
    assert {run.label for run in read([tmp_path / "old", tmp_path / "new"]).runs} == {"badge"}


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        (
            "rounds.jsonl",
            '"accuracy": 0.6',
            '"accuracy": 0.61',
            "rounds.jsonl, line 2 was changed after it was written",
        ),
        (
            "rounds.jsonl",
            '"round": 2, "n_labelled": 200',
            '"round": 2, "n_labelled": 201',
            "line 3 was changed",
        ),
        ("rounds.jsonl", ', "digest"', ', "digested"', "line 1 has no digest"),
        ("summary.json", '"area_under_curve": 0.65', '"area_under_curve": 0.66', "summary.json was changed"),
        ("provenance.json", '"alg": "badge"', '"alg": "lhd"', "provenance.json was changed"),
        (
            ".hydra/config.yaml",
            "\nseed: 0\n",
            "\nseed: 1\n",
            ".hydra/config.yaml says seed 1, provenance.json 0",
        ),
    ],
)
def test_what_was_edited_is_told(tmp_path, name, old, new, said):
    folder = write_run(tmp_path, "alg=badge", sealed=True)
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1))
    found = read([folder])
    assert not found.runs
    assert said in found.problems[0][1]


def test_a_line_taken_out_or_another_runs_is_told(tmp_path):
    folder = write_run(tmp_path, "alg=badge", sealed=True, finished=False)
    other = write_run(tmp_path, "alg=badge", sealed=True, seed=1)
    path = folder / "rounds.jsonl"
    lines = path.read_text().splitlines(True)
    path.write_text("".join(lines[:2]))  # as a run leaves it that was stopped
    assert len(read([folder]).runs[0].rounds) == 2
    path.write_text("".join([lines[0], lines[2].replace('"round": 2', '"round": 1')]))
    assert "line 2 was changed" in read([folder]).problems[0][1]
    shutil.copy(other / "rounds.jsonl", path)
    assert "line 1 was changed" in read([folder]).problems[0][1]


def test_settings_are_those_on_record_whatever_the_config_says(tmp_path):
    folder = write_run(tmp_path, "alg=badge", sealed=True)
    path = folder / ".hydra" / "config.yaml"
    path.write_text(path.read_text().replace("n_query: 50", "n_query: 7"))
    (run,) = read([folder]).runs
    assert run.config["n_query"] == 50


def test_runs_to_another_end_are_of_one_strategy(tmp_path):
    for n_end in (400, 500):
        write_run(tmp_path / str(n_end), "alg=badge", f"n_end={n_end}", sealed=True)
    runs = read([tmp_path / "400", tmp_path / "500"]).runs
    assert [(run.label, run.n_end) for run in runs] == [("badge", 400), ("badge", 500)]


def test_code_of_a_users_own_is_no_alarm_beside_other_strategies(tmp_path):
    write_run(tmp_path, "alg=badge")
    for seed, digest in enumerate("aab"):
        folder = write_run(tmp_path, "alg=random", seed=seed)
        _change(folder, made_by={"hetal": "0.1.0 (0)", "device": "cpu", "code of mine": digest * 16})
        if seed == 1:
            assert confounds_of(read([tmp_path]).runs) == []
    assert any("code of mine is several" in flag for flag in confounds_of(read([tmp_path]).runs))


# Names.


def test_strategies_in_several_forms_are_told_apart(tmp_path):
    for lr in (0.1, 0.2):
        write_run(tmp_path, "alg=badge", f"optimizer.lr={lr}")
    write_run(tmp_path, "alg=random", "optimizer.lr=0.1")
    assert labels(tmp_path) == {"badge, optimizer.lr=0.1", "badge, optimizer.lr=0.2", "random"}


def test_options_name_what_they_decide_and_values_the_rest(tmp_path):
    write_run(tmp_path, "alg=badge", "train=paper", "optimizer.lr=0.1")
    write_run(tmp_path, "alg=badge", "train=paper", "optimizer.lr=0.2")
    write_run(tmp_path, "alg=badge", "train=fast", "optimizer.lr=0.1")
    found = labels(tmp_path)
    assert len(found) == 3
    assert all("train=" in label and "optimizer.lr=" in label for label in found)


def test_a_part_that_is_null_in_some_forms_is_told_by_what_it_is(tmp_path):
    write_run(tmp_path, "alg=badge", "finetune=pseudo_label")
    write_run(tmp_path, "alg=badge", "finetune=pseudo_label", "finetune.augment=null")
    assert labels(tmp_path) == {"badge, finetune.augment=strong", "badge, finetune.augment=none"}
    write_run(tmp_path, "alg=badge", "finetune=none", "name=none")
    assert labels(tmp_path) == {
        "badge, finetune=none",
        "badge, finetune=pseudo_label, finetune.augment=strong",
        "badge, finetune=pseudo_label, finetune.augment=none",
    }
    shutil.rmtree(tmp_path / "none")
    write_run(tmp_path, "alg=badge", "finetune=pseudo_label", "finetune.augment.n_ops=2")
    assert labels(tmp_path) == {
        "badge, finetune.augment=strong, finetune.augment.n_ops=2",
        "badge, finetune.augment=strong, finetune.augment.n_ops=4",
        "badge, finetune.augment=none",
    }


def test_settings_changed_by_hand_are_told_apart(tmp_path):
    for widths in ("[16]", "[16,16]"):
        write_run(tmp_path, "alg=badge", f"model.widths={widths}")
    assert len({run.setting for run in read([tmp_path]).runs}) == 2


@pytest.mark.parametrize("path", [("a.npz", "b.npz"), ("x/a.b", "y/a.b")])
def test_values_that_end_alike_are_told_apart(tmp_path, path):
    for i, value in enumerate(path):
        write_run(
            tmp_path,
            "alg=badge",
            "data=npz",
            f"data.path={value}",
            "n_start=1",
            "n_query=1",
            f"n_end={4}",
            seed=i,
        )
    assert len({run.setting for run in read([tmp_path]).runs}) == 2


def test_different_configs_never_share_a_name(tmp_path):
    for i, extra in enumerate(["+alg.x=1", "+alg.x='1'", "+alg.x=null", "+alg.y=1"]):
        write_run(tmp_path, "alg=random", extra, seed=0, accuracy=[0.1, 0.2 + i / 10])
    assert len(labels(tmp_path)) == 4


# What differs beyond the strategy.


def test_what_goes_along_with_the_strategy_is_flagged(tmp_path):
    write_run(tmp_path, "alg=badge", "optimizer.lr=0.1")
    write_run(tmp_path, "alg=random", "optimizer.lr=0.2")
    found = read([tmp_path])
    assert any("optimizer.lr" in flag for flag in confounds_of(found.runs))
    (setting,) = settings_of(found.runs)
    assert comparisons_of(setting)[0].confounds == ("optimizer.lr",)


def test_a_strategy_in_two_forms_differs_in_nothing_beyond(tmp_path):
    write_run(tmp_path, "alg=badge", "train=paper")
    write_run(tmp_path, "alg=badge", "train=fast")
    (setting,) = settings_of(read([tmp_path]).runs)
    assert comparisons_of(setting)[0].confounds == ()
    write_run(tmp_path, "alg=badge", "train=fast", "n_query=7")
    (setting,) = settings_of(read([tmp_path]).runs)
    assert sorted(len(c.confounds) > 0 for c in comparisons_of(setting)) == [False, False, True]


def test_nothing_is_beyond_where_only_the_strategy_differs(tmp_path):
    write_run(tmp_path, "alg=badge")
    write_run(tmp_path, "alg=random")
    found = read([tmp_path])
    assert confounds_of(found.runs) == []
    (setting,) = settings_of(found.runs)
    assert comparisons_of(setting)[0].confounds == ()
    assert confounds_of_pair({}, {}) == ()


def _change(folder, **changes):
    about = json.loads((folder / "provenance.json").read_text())
    (folder / "provenance.json").write_text(json.dumps({**about, **changes}))


def test_other_code_versions_and_data_are_flagged(tmp_path):
    write_run(tmp_path, "alg=badge")
    folder = write_run(tmp_path, "alg=random")
    _change(folder, made_by={"hetal": "0.1.0 (1)", "device": "cpu"}, data="f" * 16)
    said = " ".join(confounds_of(read([tmp_path]).runs))
    assert "hetal is 0.1.0 (0), but 0.1.0 (1) with random" in said
    assert "not all runs had the same data at seed 0" in said


def test_what_a_strategys_own_yaml_brings_with_it_is_part_of_the_strategy(tmp_path):
    write_run(tmp_path, "alg=lhd_published")
    write_run(tmp_path, "alg=lhd", "device=auto")
    found = read([tmp_path])
    assert len({run.config["train.own_ema"] for run in found.runs}) == 2
    assert confounds_of(found.runs) == []
    (setting,) = settings_of(found.runs)
    assert comparisons_of(setting)[0].confounds == ()


@pytest.mark.parametrize("given", ["train.own_ema=true", "train=published", "+experiment=paper"])
def test_what_was_chosen_along_with_the_strategy_is_not(tmp_path, given):
    write_run(tmp_path, "alg=lhd", "name=study", "data=digits", "model=mlp", "mult=4")
    write_run(tmp_path, "alg=badge", "name=study", "data=digits", "model=mlp", "mult=4", given)
    found = read([tmp_path])
    (setting,) = settings_of(found.runs)
    sentences = confounds_of(found.runs)
    assert sentences
    assert set(comparisons_of(setting)[0].confounds) == {s.split(": ")[1].split(" ")[0] for s in sentences}


def test_other_commits_may_have_other_yamls_so_they_are_flagged(tmp_path):
    write_run(tmp_path, "alg=lhd_published")
    folder = write_run(tmp_path, "alg=lhd")
    _change(folder, source={"commit": "0" * 40, "diff": "+own_ema: true", "untracked": ""})
    found = read([tmp_path])
    assert any("train.own_ema" in flag for flag in confounds_of(found.runs))
    assert {run.commit for run in found.runs} == {
        "0" * 40,
        f"{'0' * 40} with changes {sha256(b'+own_ema: true').hexdigest()[:8]}",
    }


def test_merged_experiments_pair_by_seed(tmp_path):
    for seed in range(3):
        write_run(tmp_path / "here", "alg=badge", seed=seed)
        write_run(tmp_path / "there", "alg=random", "name=other", seed=seed)
    found = read([tmp_path / "here", tmp_path / "there"])
    (setting,) = settings_of(found.runs)
    assert comparisons_of(setting)[0].n == 3
    assert confounds_of(found.runs) == []


def test_the_same_run_twice_counts_once(tmp_path):
    study = write_run(tmp_path, "alg=badge").parent
    shutil.copytree(study, tmp_path / "copy")
    found = read([study, tmp_path / "copy"])
    assert len(found.runs) == 2
    (setting,) = settings_of(found.runs)
    assert numbers_of(setting)["badge"].n == 1


def close(monkeypatch, *names):
    """Let folders of these names be closed; root, which tests may run as, can open any."""
    scandir, stat = os.scandir, os.stat

    def guarded(folder):
        if {*names} & {*Path(folder).parts}:
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    def no_file(path, **how):
        if {*names} & {*Path(path).parts}:
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **how)

    monkeypatch.setattr(os, "scandir", guarded)
    monkeypatch.setattr(os, "stat", no_file)


def test_a_run_that_may_not_be_opened_is_listed_and_other_folders_are_not(tmp_path, monkeypatch):
    write_run(tmp_path, "alg=random", "name=study")
    closed = write_run(tmp_path, "alg=badge", "name=study")
    (tmp_path / "study" / "lost+found").mkdir()
    close(monkeypatch, closed.name, "lost+found")
    found = read([tmp_path / "study"])
    assert len(found.runs) == 1
    ((folder, reason),) = found.problems
    assert folder == closed
    assert "Permission denied" in reason


def test_a_closed_folder_is_refused_in_a_line(tmp_path, monkeypatch):
    folder = write_run(tmp_path, "alg=random", "name=study").parent
    close(monkeypatch, "study")
    with pytest.raises(BadInput, match="study: cannot be opened: Permission denied"):
        read([folder])
