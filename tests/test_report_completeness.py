"""What is missing of a study, and commands that run it."""

import errno
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from hetal.report.analyse.completeness import command, missing
from hetal.report.analyse.setting import settings_of
from hetal.report.load import records
from hetal.report.load.reading import read
from tests.command_line import REPOSITORY, TOY, only, run_here
from tests.synthetic import write_run

# Older and newer.
SWEEPS = ("2026-01-01_00-00-00-000000", "2026-01-02_00-00-00-000000")


def found_in(*folders):
    reading = read(list(folders))
    return missing(reading, settings_of(reading.runs))


def write_job(root, number, overrides, sweep=SWEEPS[0], **what):
    folder = root / ".sweeps" / sweep
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{number}.json").write_text(json.dumps({"overrides": overrides, **what}))


def given(root, alg, seed, name="study"):
    return [f"alg={alg}", f"name={name}", f"seed={seed}", f"root={root}"]


def test_nothing_is_missing_of_a_whole_study(tmp_path):
    for seed in range(2):
        for alg in ("random", "badge"):
            write_run(tmp_path, f"alg={alg}", "name=study", seed=seed)
    assert found_in(tmp_path / "study") == []


def test_a_seed_that_others_have_is_missing(tmp_path):
    write_run(tmp_path, "alg=random", "name=study", seed=0)
    write_run(tmp_path, "alg=random", "name=study", seed=7)
    write_run(tmp_path, "alg=badge", "name=study", seed=0)
    (one,) = found_in(tmp_path / "study")
    assert one.what == "badge, digits class x4 mlp, seed 7"
    assert one.state == "not run"
    assert one.command == f"python launch.py alg=badge name=study root={tmp_path} seed=7"


def test_a_run_that_is_not_finished_says_how_far_it_is(tmp_path):
    write_run(tmp_path, "alg=random", "name=study", finished=False, accuracy=[0.5])
    (one,) = found_in(tmp_path / "study")
    assert one.state == "not finished: 1 round"
    assert one.command == f"python launch.py alg=random name=study seed=0 root={tmp_path}"


def held(tmp_path, **holder):
    folder = write_run(tmp_path, "alg=random", "name=study", finished=False)
    (folder / ".holder.json").write_text(json.dumps({"since": "12:00", **holder}))
    return [one.state for one in found_in(tmp_path / "study")]


def test_a_run_that_a_process_holds_is_running(tmp_path):
    here, me = platform.node(), os.getpid()
    assert held(tmp_path / "a", host=here, pid=me) == [f"running: process {me} on {here} since 12:00"]
    assert held(tmp_path / "b", host="elsewhere", pid=5) == ["running: process 5 on elsewhere since 12:00"]


@pytest.mark.parametrize("pid", [2**22 + 1, "x", None, 1e400])  # the first is more than Linux gives out
def test_a_run_whose_process_is_gone_is_not_running(tmp_path, pid):
    assert held(tmp_path, host=platform.node(), pid=pid) == ["not finished: 4 rounds"]


def test_a_damaged_run_is_made_again_by_force(tmp_path):
    folder = write_run(tmp_path, "alg=random", "name=study")
    (folder / "rounds.jsonl").write_text("junk\n")
    (one,) = found_in(tmp_path / "study")
    assert one.state.startswith("damaged: ")
    assert one.command == f"python launch.py alg=random name=study seed=0 root={tmp_path} force=true"
    (folder / ".hydra" / "overrides.yaml").write_bytes(b"\xff")
    assert found_in(tmp_path / "study")[0].command == ""


def test_a_run_that_has_just_begun_is_listed(tmp_path):
    folder = write_run(tmp_path, "alg=random", "name=study", finished=False)
    (folder / "rounds.jsonl").unlink()
    (one,) = found_in(tmp_path / "study")
    assert one.state == "begun, no round finished"
    assert one.command.startswith("python launch.py alg=random")


def test_failed_stopped_and_waiting_jobs_are_listed_with_their_reason(tmp_path):
    write_run(tmp_path, "alg=random", "name=study")
    write_job(tmp_path, 0, given(tmp_path, "badge", 0), state="failed", error="no\nmemory")
    write_job(tmp_path, 1, given(tmp_path, "coreset", 0), state="stopped")
    write_job(tmp_path, 2, given(tmp_path, "entropy", 0), state="running")
    write_job(tmp_path, 3, given(tmp_path, "random", 0), state="done")
    write_job(tmp_path, 4, given(tmp_path, "margin", 0, name="other"), state="failed")
    planned = [given(tmp_path, "random", 0), given(tmp_path, "bald", 0)]
    (tmp_path / ".sweeps" / SWEEPS[0] / "planned").write_text(json.dumps(planned))
    found = {one.what.split()[0]: (one.state, one.command) for one in found_in(tmp_path / "study")}
    assert {what: state for what, (state, _) in found.items()} == {
        "alg=badge": "failed: no memory",
        "alg=coreset": "stopped",
        "alg=entropy": "running, or died",
        "alg=bald": "not started",
    }
    assert found["alg=badge"][1] == f"python launch.py alg=badge name=study seed=0 root={tmp_path}"


def test_the_last_word_of_several_sweeps_counts(tmp_path):
    write_run(tmp_path, "alg=random", "name=study")
    write_job(tmp_path, 0, given(tmp_path, "badge", 0), state="failed", error="at first")
    write_job(tmp_path, 0, given(tmp_path, "badge", 0), sweep=SWEEPS[1], state="failed", error="again")
    write_job(tmp_path, 1, given(tmp_path, "random", 0), state="failed", error="but it ran since")
    assert [one.state for one in found_in(tmp_path / "study")] == ["failed: again"]


def test_why_a_job_failed_outlives_a_sweep_that_did_not_come_to_it(tmp_path):
    write_run(tmp_path, "alg=random", "name=study")
    write_job(tmp_path, 0, given(tmp_path, "badge", 0), state="failed", error="why")
    (tmp_path / ".sweeps" / SWEEPS[1]).mkdir()
    planned = [[*given(tmp_path, "badge", 0), "fail_fast=true"]]
    (tmp_path / ".sweeps" / SWEEPS[1] / "planned").write_text(json.dumps(planned))
    assert [one.state for one in found_in(tmp_path / "study")] == ["failed: why"]


def test_a_failed_job_with_a_record_is_listed_once(tmp_path):
    write_run(tmp_path, "alg=random", "name=study", finished=False)
    write_job(tmp_path, 0, given(tmp_path, "random", 0), state="failed", error="diverged")
    assert [one.state for one in found_in(tmp_path / "study")] == ["failed: diverged"]


def test_a_hole_with_a_failed_job_is_listed_once(tmp_path):
    write_run(tmp_path, "alg=random", "name=study", seed=0)
    write_run(tmp_path, "alg=random", "name=study", seed=1)
    write_run(tmp_path, "alg=badge", "name=study", seed=0)
    write_job(tmp_path, 0, given(tmp_path, "badge", 1), state="failed", error="why")
    assert [one.state for one in found_in(tmp_path / "study")] == ["failed: why"]


def test_one_run_does_not_answer_for_its_study(tmp_path):
    folder = write_run(tmp_path, "alg=random", "name=study")
    write_job(tmp_path, 0, given(tmp_path, "badge", 0), state="failed", error="why")
    assert found_in(folder) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"[]", b"{}", b'{"overrides": 1, "state": "failed"}', b'{"overrides": [1], "state": "x"}'],
)
def test_a_damaged_file_of_a_sweep_is_no_job(tmp_path, content):
    write_run(tmp_path, "alg=random", "name=study")
    write_job(tmp_path, 0, [], state="failed")
    for name in ("0.json", "planned"):
        (tmp_path / ".sweeps" / SWEEPS[0] / name).write_bytes(content)
    assert found_in(tmp_path / "study") == []


def test_commands_say_what_to_run_and_not_how(tmp_path):
    folder = write_run(tmp_path, "alg=random", "force=true", "fail_fast=true", "name=study", finished=False)
    (run,) = read([folder]).runs
    assert command(run) == f"python launch.py alg=random name=study seed=0 root={tmp_path}"


def test_commands_find_a_study_that_was_moved(tmp_path, monkeypatch):
    write_run(tmp_path / "old", "alg=random", "name=study", finished=False)
    (tmp_path / "a b's").mkdir()
    moved = tmp_path / "a b's" / "renamed"
    shutil.move(tmp_path / "old" / "study", moved)
    (run,) = read([moved]).runs
    # The shell takes off one layer of quotes, Hydra's grammar the other.
    assert shlex.split(command(run))[-2:] == ["name=renamed", f"root='{tmp_path}/a b\\'s'"]
    monkeypatch.chdir(tmp_path)
    shutil.move(moved, tmp_path / "plain")
    (run,) = read([tmp_path / "plain"]).runs
    assert command(run) == "python launch.py alg=random seed=0 name=plain root=."


def with_config_dirs(folder, *where):
    about = json.loads((folder / "provenance.json").read_text())
    about["sessions"][-1]["config_dirs"] = list(where)
    (folder / "provenance.json").write_text(json.dumps(about))


def test_every_command_names_the_configs_that_its_run_was_given(tmp_path, monkeypatch):
    for alg, seed in (("random", 0), ("random", 1), ("badge", 0)):  # badge was not run at seed 1
        with_config_dirs(write_run(tmp_path, f"alg={alg}", "name=study", seed=seed), f"{tmp_path}/my own")
    half = write_run(tmp_path, "alg=lhd", "name=study", seed=0, finished=False)
    damaged = write_run(tmp_path, "alg=lhd", "name=study", seed=1)
    (damaged / "rounds.jsonl").write_text("junk\n")
    for folder in (half, damaged):
        with_config_dirs(folder, "/one", f"{tmp_path}/it's", "pkg://two.conf")
    write_job(tmp_path, 0, given(tmp_path, "bald", 0), state="failed", error="why")
    (tmp_path / ".sweeps" / SWEEPS[0] / "config_dirs").write_text(json.dumps(["/elsewhere", 1]))
    monkeypatch.chdir(tmp_path)
    words = [shlex.split(one.command)[2:] for one in found_in(tmp_path / "study")]
    found = {
        (alg, seed): line for line in words for alg, seed in [[o for o in line if o[:4] in ("alg=", "seed")]]
    }
    assert found["alg=badge", "seed=1"][:2] == ["--config-dir", "my own"]
    assert found["alg=bald", "seed=0"][:2] == ["--config-dir", "/elsewhere"]
    for seed in ("seed=0", "seed=1"):  # --config-dir takes one folder
        path = OverridesParser.create().parse_override(found["alg=lhd", seed][0])
        assert (path.key_or_group, path.value()) == ("hydra.searchpath", ["/one", "it's", "pkg://two.conf"])
    with_config_dirs(half)
    assert not any("one" in one.command for one in found_in(half))


def test_a_command_as_printed_finishes_the_run(tmp_path):
    root = tmp_path / "it's, here"
    own = tmp_path / "it's mine"
    (own / "alg").mkdir(parents=True)
    (own / "alg" / "any.yaml").write_text("_target_: hetal.algs.Random\n")
    where = f"hydra.searchpath=['file://{tmp_path}/it\\'s mine']"
    run_here("alg=any", "name=study", *TOY, where, root=tmp_path / "first")
    shutil.move(tmp_path / "first", root)
    # The overrides of the command line, which running in this process does not leave.
    (only(root) / ".hydra" / "overrides.yaml").write_text(
        "".join(f"- {o}\n" for o in ["alg=any", "name=study", *TOY])
    )
    (only(root) / "summary.json").unlink()
    (one,) = found_in(root / "study")
    assert shlex.split(one.command)[2:5] == ["--config-dir", str(own), "alg=any"]
    line = one.command.replace("python", sys.executable, 1)
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        line, shell=True, cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert found_in(root / "study") == []


@pytest.mark.parametrize("error", [OSError(errno.ESTALE, "Stale file handle"), MemoryError()])
def test_what_cannot_be_read_is_not_called_damaged_and_nobody_is_told_to_replace_it(
    tmp_path, error, monkeypatch
):
    def failing(path):
        raise error

    folder = write_run(tmp_path, "alg=badge")
    monkeypatch.setattr(records, "read_bytes", failing)
    (m,) = missing(read([folder]), [])
    assert m.state.startswith("cannot be read: ")
    assert m.command == ""
