"""Two experiments compared run by run."""

import json
import shutil

import numpy as np
import pytest

from hetal.errors import BadInput
from hetal.report.__main__ import main
from hetal.report.analyse.diff import differences
from hetal.report.load.reading import read
from tests.synthetic import write_queries, write_run


@pytest.fixture
def two(tmp_path):
    """Return two studies that are the same."""
    for seed in range(2):
        write_queries(write_run(tmp_path, "alg=badge", "name=a", seed=seed))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    return tmp_path / "a", tmp_path / "b"


def told(two):
    return differences(*(read([side]) for side in two)).lines


def first(study):
    return sorted(study.iterdir())[0]


def change(folder, t, **fields):
    path = folder / "rounds.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[t].update(fields)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_equal_studies_are_equal(two, capsys):
    assert told(two) == []
    assert main([*map(str, two), "--diff"]) == 0
    assert capsys.readouterr().out == "2 and 2 runs: equal\n"


def test_what_is_measured_does_not_count(two):
    change(first(two[1]), 1, seconds={"train": 9.0}, peak_memory_mb=1.0)
    summary = json.loads((first(two[1]) / "summary.json").read_text())
    (first(two[1]) / "summary.json").write_text(json.dumps({**summary, "seconds": {"train": 9.0}}))
    assert told(two) == []


@pytest.mark.parametrize(
    "fields", [{"accuracy": 0.6000000000000001}, {"nll": 1.1}, {"new": 1}, {"steps": 101}]
)
def test_a_result_that_differs_in_its_last_bit_is_told(two, fields, capsys):
    change(first(two[1]), 1, **fields)
    (line,) = told(two)
    assert f"round 1: {next(iter(fields))} is" in line
    assert main([*map(str, two), "--diff"]) == 1
    assert "1 difference" in capsys.readouterr().out


def test_another_purchase_is_told(two):
    path = first(two[1]) / "queries.npz"
    arrays = dict(np.load(path))
    arrays["ids"][2] += 1
    np.savez(path, **arrays)
    assert "queries.npz: ids differ" in told(two)[0]


@pytest.mark.parametrize("damage", [b"", b"junk", None])
def test_a_purchase_that_cannot_be_read_is_not_equal(two, damage):
    path = first(two[1]) / "queries.npz"
    path.unlink()
    if damage is not None:
        path.write_bytes(damage)
    assert "queries.npz" in told(two)[0]


def test_fewer_rounds_and_no_summary_are_told(two):
    path = first(two[1]) / "rounds.jsonl"
    path.write_text("".join(path.read_text().splitlines(True)[:-1]))
    assert "4 rounds and 3" in told(two)[0]
    shutil.copy(first(two[0]) / "rounds.jsonl", path)
    (first(two[1]) / "summary.json").unlink()
    assert "only one is finished" in told(two)[0]


def test_a_run_on_one_side_is_told(two):
    shutil.rmtree(first(two[1]))
    (line,) = told(two)
    assert line == f"{first(two[0])}: only on one side"


def test_studies_without_a_common_run_say_so_in_a_line(two, capsys):
    for folder in two[1].iterdir():
        shutil.rmtree(folder)
    for seed in (2, 3, 4):
        write_run(two[1].parent, "alg=badge", "name=b", seed=seed)
    assert main([*map(str, two), "--diff"]) == 1
    assert capsys.readouterr().out == "no run is in both: 2 and 3 runs\n"
    (first(two[1]) / "rounds.jsonl").write_text("junk\n")  # which may be one of those on the other side
    assert len(told(two)) == 5


def test_many_runs_on_one_side_are_counted_and_a_few_named(two, capsys):
    for seed in range(2, 24):
        write_run(two[0].parent, "alg=badge", "name=a", seed=seed)
    write_run(two[0].parent, "alg=badge", "name=b", seed=30)
    assert main([*map(str, two), "--diff"]) == 1
    ours, theirs, count = capsys.readouterr().out.splitlines()
    assert ours.startswith("only in the first: 22 runs, such as badge-")
    assert ours.count("badge-") == 3
    assert theirs.startswith("only in the second: 1 run, such as badge-")
    assert count == "24 and 3 runs: 23 differences"
    for folder in sorted(two[0].glob("*-s2?-*"))[:3]:
        shutil.rmtree(folder)
    assert sum(line.endswith(": only on one side") for line in told(two)) == 20


def test_another_config_is_another_run(two, tmp_path):
    write_queries(write_run(tmp_path, "alg=badge", "name=b", "optimizer.lr=0.5"))
    assert len(told(two)) == 1


def test_a_run_that_is_there_twice_is_told(two):
    shutil.copytree(first(two[1]), two[1] / "again")
    assert any("the same run as" in line for line in told(two))


def test_a_damaged_run_is_not_equal(two):
    for side in two:
        (first(side) / "rounds.jsonl").write_text("junk\n")
    assert len(told(two)) == 2


def test_nothing_on_either_side_proves_nothing(two, capsys):
    for side in two:
        for folder in side.iterdir():
            (folder / "rounds.jsonl").unlink()
    with pytest.raises(BadInput, match="nothing to compare"):
        told(two)
    assert main([*map(str, two), "--diff"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_begun_on_one_side_is_not_equal(two):
    (first(two[1]) / "rounds.jsonl").unlink()
    assert "4 rounds and 0" in told(two)[0]
