"""Records are a stranger's: whatever they hold, the report is made of the rest, and nothing of them acts."""

import csv
import json
import os
import random
import shutil
import subprocess
import sys

import pytest

from hetal.errors import BadInput
from hetal.report.__main__ import main
from hetal.report.files.tables import write_csv
from hetal.report.load.printable import plain
from hetal.report.load.reading import read
from hetal.report.load.untrusted import _depth, parse_yaml, read_arrays, read_bytes, read_json
from tests.command_line import REPOSITORY
from tests.hostile import CANARY, PAYLOADS, check_files, check_report, good_study, hostile_study, unseal
from tests.samples import some
from tests.synthetic import write_queries, write_run


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return good_study(tmp_path_factory.mktemp("hostile") / "good")


@pytest.mark.parametrize("seed", some(range(4)))
def test_no_record_ends_hangs_or_takes_over_a_report(good, tmp_path, monkeypatch, seed):
    monkeypatch.setenv("HETAL_CANARY", CANARY)
    done = hostile_study(good, tmp_path / "study", random.Random(seed))
    said = check_report([str(tmp_path / "study")], tmp_path / "out")
    assert (tmp_path / "out" / "index.html").exists(), done
    assert said.count("not readable: ") >= 3


def test_names_of_every_kind_are_names_wherever_they_stand(tmp_path):
    for i, payload in enumerate(some(PAYLOADS)):
        folder = write_run(tmp_path, "alg=badge", "name=study", seed=i, accuracy=[0.5, 0.6 + i / 1000])
        write_queries(folder)
        about = json.loads((folder / "provenance.json").read_text())
        about["choices"] |= {"alg": payload, "data": payload, "noise": payload}
        about["made_by"] |= {payload: payload}
        about["source"]["commit"] = about["sessions"][0]["machine"]["cpu"] = payload
        about["sessions"][0]["config_dirs"] = [payload] * (1 + i % 2)
        (folder / "provenance.json").write_text(json.dumps(about))
        (folder / ".hydra" / "overrides.yaml").write_text(json.dumps(["alg=badge", f"+x={payload}"]))
    shutil.copytree(tmp_path / "study", tmp_path / "other")
    for path in (tmp_path / "other").glob("*/summary.json"):
        path.unlink()
    assert "not readable" not in check_report([str(tmp_path), "--measure", "accuracy"], tmp_path / "out")


def test_nothing_is_built_resolved_or_loaded(good, tmp_path, monkeypatch):
    monkeypatch.setenv("HETAL_CANARY", CANARY)
    study = shutil.copytree(good, tmp_path / "study")
    trap = tmp_path / "trap"
    for path in study.glob("*/*/.hydra/config.yaml"):
        unseal(path.parents[1])
        config = path.read_text()
        evil = f"  zzz:\n    _target_: os.mkdir\n    _args_: [{trap}]\n  env: ${{oc.env:HETAL_CANARY}}\n"
        path.write_text(
            config.replace("\ndata:\n", f"\ndata:\n{evil}").replace("\nalg:\n", f"\nalg:\n{evil}")
        )
    # A process of its own, so that what the report imports can be told.
    line = (
        f"import sys; from hetal.report.__main__ import main; main([{str(study)!r}]); "
        "print({'torch', 'hydra'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", line], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.endswith("set()\n")
    assert not trap.exists()
    check_files(study / "report")
    html = (study / "report" / "index.html").read_text()
    assert "${oc.env:HETAL_CANARY}" in html
    assert html.count(", labelled ") == 40


@pytest.mark.parametrize("change", ["new", "gone"])
def test_records_of_other_versions_are_read_where_what_is_needed_is_there(good, tmp_path, change):
    study = shutil.copytree(good, tmp_path / "study")
    needed = {"round", "n_labelled", "accuracy", "n_rounds", "choices"}

    def changed(node):
        if change == "new":
            return {**node, "queries_digest": "0" * 64, "other_settings": {"a": [1]}, "zzz": None}
        return {key: value for key, value in node.items() if key in needed}

    for folder in (path.parent for path in study.glob("*/*/provenance.json")):
        unseal(folder)
        for name in ("provenance.json", "summary.json"):
            (folder / name).write_text(json.dumps(changed(json.loads((folder / name).read_text()))))
        rows = [changed(json.loads(line)) for line in (folder / "rounds.jsonl").read_text().splitlines()]
        (folder / "rounds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        if change == "new":
            config = folder / ".hydra" / "config.yaml"
            config.write_text(
                config.read_text().replace("\ndata:\n", "\ndata:\n  zzz: 1\n") + "zzz: {a: 1}\n"
            )
    assert check_report([str(study)], tmp_path / "out") == ""
    found = read([study])
    assert len(found.runs) == 4
    assert all(run.summary for run in found.runs)


def test_a_report_stays_in_its_study(tmp_path, capsys):
    write_run(tmp_path, "alg=badge", "name=study")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "study" / "report").symlink_to(tmp_path / "elsewhere")
    for how in ([], ["--watch", "1"]):
        assert main([str(tmp_path / "study"), "--no-pictures", *how]) == 1
        assert "is a link that leaves" in capsys.readouterr().err
    assert not list((tmp_path / "elsewhere").iterdir())
    assert main([str(tmp_path / "study"), "--no-pictures", "--out", str(tmp_path / "elsewhere")]) == 0


def test_a_terminal_without_the_letters_of_a_name_gets_the_line(tmp_path):
    folder = write_run(tmp_path, "alg=badge", "name=study")
    other = folder.rename(folder.with_name("\u4f60\x1b[2J-s1-00000000"))
    (other / "rounds.jsonl").write_text("junk\n")
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    write_run(tmp_path, "alg=random", "name=study")
    line = [sys.executable, "-m", "hetal.report", str(tmp_path / "study"), "--no-pictures"]
    done = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, env=env)
    assert done.returncode == 0
    assert "\\u4f60\\x1b[2J-s1-00000000: " in done.stderr
    assert done.stderr.count("\n") == 1


def test_differences_are_printed_as_plain_lines(tmp_path, capsys):
    for name in ("a", "b"):
        folder = write_run(tmp_path / name, "alg=badge", **{"\x1b[2J": f"{name}\n\x1b"})
        write_queries(folder)
    assert main([str(tmp_path / "a"), str(tmp_path / "b"), "--diff"]) == 1
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 2
    assert all(line.isprintable() for line in said)


# Files.


def test_what_is_no_regular_file_is_neither_opened_nor_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    for name in ("pipe", "link", "device"):
        with pytest.raises(BadInput, match=f"{name} is no regular file"):
            read_bytes(tmp_path / name)


def test_a_file_is_read_up_to_what_it_may_hold(tmp_path):
    (tmp_path / "x").write_bytes(b"12345")
    assert read_bytes(tmp_path / "x", 5) == b"12345"
    with pytest.raises(BadInput, match="x is larger than the 4 bytes"):
        read_bytes(tmp_path / "x", 4)
    with open(tmp_path / "summary.json", "wb") as file:
        file.truncate(2**40)  # takes no room
    with pytest.raises(BadInput, match="larger than the 1,048,576 bytes"):
        read_bytes(tmp_path / "summary.json")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &x [1]\nb: *x", "anchor or alias"), ("&x [*x]", "anchor or alias"), ("!!int 5", "a tag"),
        ("[" * 60, "nested too deeply"), ("- " * 60, "nested too deeply"), ("? " * 60, "nested too deeply"),
        (":".join(["59"] * 500), "a number of 1,499 digits"), ("a: [", "is no YAML"), ("a: 2001-13-45", "is no YAML"),
    ],
)  # fmt: skip
def test_yaml_is_plain(text, said):
    with pytest.raises(BadInput, match=said):
        parse_yaml(text, "x")


def test_yaml_that_hetal_writes_is_read():
    assert parse_yaml("a: '&x *x'\nb: ${oc.env:HOME}\nc: [1, 2.5, null]\nd: '" + "1" * 500 + "'", "x") == {
        "a": "&x *x", "b": "${oc.env:HOME}", "c": [1, 2.5, None], "d": "1" * 500
    }  # fmt: skip


def test_json_is_not_deep(tmp_path):
    for n, is_read in ((50, True), (51, False)):
        (tmp_path / "x.json").write_text('["[[\\"[[", ' + "[" * (n - 1) + "]" * (n - 1) + "]")
        if is_read:
            assert read_json(tmp_path / "x.json")
        else:
            with pytest.raises(BadInput, match="nested too deeply"):
                read_json(tmp_path / "x.json")
    assert _depth(b'{"a": [{"[": "\\\\"}, []]}') == 3
    (tmp_path / "x.json").write_text("[1")
    with pytest.raises(BadInput, match=r"x\.json is no JSON"):
        read_json(tmp_path / "x.json")


def test_arrays_unfold_to_no_more_than_may_be_read(tmp_path):
    import numpy as np

    np.savez_compressed(tmp_path / "small.npz", a=np.zeros(2**21, bool))
    assert (tmp_path / "small.npz").stat().st_size < 2**13
    with pytest.raises(BadInput, match="unfolds to more bytes"):
        read_arrays(tmp_path / "small.npz", ("a",))
    np.savez(tmp_path / "small.npz", a=np.array([{}]), b=np.arange(6).reshape(2, 3).T)
    with pytest.raises(BadInput, match="holds no numbers"):
        read_arrays(tmp_path / "small.npz", ("a",))
    assert read_arrays(tmp_path / "small.npz", ("b", "c"))["b"].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_what_a_file_holds_is_not_repeated(tmp_path):
    folder = write_run(tmp_path, "alg=badge", "name=study")
    for name in ("provenance.json", "rounds.jsonl", ".hydra/config.yaml", ".hydra/overrides.yaml"):
        kept = (folder / name).read_bytes()
        (folder / name).write_text(f"seed: 0\n{CANARY} = [\n")
        ((_, reason),) = read([folder]).problems
        assert CANARY not in reason
        (folder / name).write_bytes(kept)


# Text.


@pytest.mark.parametrize("payload", PAYLOADS)
def test_plain_text_is_one_line_that_can_be_shown(payload):
    found = plain(payload)
    assert found.isprintable()
    assert len(found) <= max(300, 10 * len(payload))
    found.encode()
    assert plain("badge, lr=0.1 \u4f60\u597d") == "badge, lr=0.1 \u4f60\u597d"
    assert plain(10**5000).isprintable()


def test_cells_that_a_spreadsheet_would_compute_are_text_and_numbers_are_numbers(tmp_path):
    texts = ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "badge", "a=b"]
    write_csv(tmp_path / "x.csv", [{"text": text, "number": -0.5, "n": -3} for text in texts])
    with open(tmp_path / "x.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == [*(f"'{text}" for text in texts[:5]), *texts[5:]]
    assert {row["number"] for row in rows} == {"-0.5"}
    assert {row["n"] for row in rows} == {"-3"}
    write_csv(tmp_path / "x.csv", [{"text": "a\r=1", "more": "\r=1"}])
    assert (tmp_path / "x.csv").read_text() == "text,more\na\\r=1,\\r=1\n"
