"""A larger budget goes on from what a smaller one left, and a smaller one shows a part of a larger one's."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from hetal.errors import BadInput
from hetal.record.schema import MEASURED
from tests.command_line import TOY, command, only, records, run_here

BASE = [o for o in TOY if not o.startswith(("n_end", "n_query"))]


# Strategies that remember, that read training as it was, that draw, that pass from one rule to another, and plain ones.
KINDS = (
    "badge",
    "bald",
    "batchbald",
    "coreset",
    "fisher",
    "lhd",
    "lhd_published",
    "once",
    "random",
    "tcm",
    "uherding",
)


def line(name: str) -> list[str]:
    return [*BASE, f"alg={name}", "model=mlp_dropout", "model.widths=[32]", "n_query=20"]


def steps(root) -> list[int]:
    (rounds,) = records(root).values()
    return [row["steps"] for row in rounds]


@pytest.mark.parametrize(
    ("name", "first"),  # 40 and 80 end with whole queries, 70 with a short one
    [*((name, 70) for name in KINDS), ("badge", 80), ("lhd_published", 80), ("badge", 40)],
)
def test_it_ends_in_the_bits_of_one_go(name, first, tmp_path):
    run_here(*line(name), f"n_end={first}", root=tmp_path / "grown")
    run_here(*line(name), "n_end=100", root=tmp_path / "grown")
    run_here(*line(name), "n_end=100", root=tmp_path / "whole")
    assert records(tmp_path / "grown") == records(tmp_path / "whole")
    grown, whole = (only(tmp_path / root) for root in ("grown", "whole"))
    assert (grown / "queries.npz").read_bytes() == (whole / "queries.npz").read_bytes()
    one, other = (json.loads((folder / "summary.json").read_text()) for folder in (grown, whole))
    assert {**one, **dict.fromkeys(MEASURED)} == {**other, **dict.fromkeys(MEASURED)}
    assert {path.name for path in grown.iterdir()} == {path.name for path in whole.iterdir()}


def trained(said):
    """Return the numbers of the rounds that a run says to have trained, as it goes."""
    return re.findall(r"^round (\d+) \(\d+ of \d+\)", said, re.MULTILINE)


def test_only_what_is_new_is_trained_and_the_last_round_once_more(tmp_path):
    """The issue's own example: three rounds of seven."""
    toy = [*BASE, "n_query=50", "n_start=100", f"root={tmp_path}"]
    first = command(*toy, "n_end=300")
    assert len(trained(first.stdout)) == 5
    second = command(*toy, "n_end=400")
    assert "continuing: 4 of 7 rounds are on record" in second.stdout
    assert trained(second.stdout) == ["4", "5", "6"]


def test_a_smaller_budget_shows_a_part(tmp_path, capsys):
    long = [*line("badge"), "n_end=100"]
    run_here(*long, root=tmp_path)
    before = {path.name: path.read_bytes() for path in only(tmp_path).iterdir() if path.is_file()}
    capsys.readouterr()
    area = run_here(*line("badge"), "n_end=80", root=tmp_path)
    said = capsys.readouterr().out
    assert "note: it is part of a run on record that goes on to 100 labels" in said
    assert "finished already" in said
    assert {path.name: path.read_bytes() for path in only(tmp_path).iterdir() if path.is_file()} == before
    assert area == run_here(*line("badge"), "n_end=80", root=tmp_path / "alone")


def test_a_smaller_budget_between_two_rounds_is_refused_with_what_can_be_done(tmp_path):
    run_here(*line("random"), "n_end=100", root=tmp_path)
    before = records(tmp_path)
    with pytest.raises(BadInput, match=r"n_end=70: .*up to 100 labels.*n_end=60 or 80 shows a part of it"):
        run_here(*line("random"), "n_end=70", root=tmp_path)
    assert records(tmp_path) == before
    run_here(*line("random"), "n_end=70", "force=true", root=tmp_path)
    ((*_, last),) = records(tmp_path).values()
    assert last["n_labelled"] == 70


def test_a_run_that_grew_loses_nothing_when_it_is_killed_at_once(tmp_path, monkeypatch):
    """Between the cut and the first new round."""
    run_here(*line("badge"), "n_end=70", root=tmp_path / "cut")

    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("hetal.app.single_run.run", killed)
        with pytest.raises(KeyboardInterrupt):
            run_here(*line("badge"), "n_end=100", root=tmp_path / "cut")
    assert len(steps(tmp_path / "cut")) == 1  # 40 labels; at 60 the shorter run asked for 10 rows
    for end in (70, 100):
        shutil.copytree(tmp_path / "cut", tmp_path / f"cut{end}")
        run_here(*line("badge"), f"n_end={end}", root=tmp_path / f"cut{end}")
        run_here(*line("badge"), f"n_end={end}", root=tmp_path / f"whole{end}")
        assert records(tmp_path / f"cut{end}") == records(tmp_path / f"whole{end}")


def test_a_sweep_over_budgets_is_one_run_that_grows(tmp_path):
    done = command("-m", *line("random"), "n_end=60,80,100", f"root={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert len(records(tmp_path)) == 1
    again = command("-m", *line("random"), "n_end=60,80,100", f"root={tmp_path}")
    assert "3 jobs: 3 skipped" in again.stdout


def test_with_a_kept_network_the_one_that_is_kept_is_the_last(tmp_path):
    run_here(*line("random"), "keep_network=true", "n_end=60", root=tmp_path)
    before = (only(tmp_path) / "network.pt").read_bytes()
    run_here(*line("random"), "keep_network=true", "n_end=80", root=tmp_path)
    assert (only(tmp_path) / "network.pt").read_bytes() != before
    run_here(*line("random"), "n_end=100", root=tmp_path)
    assert not (only(tmp_path) / "network.pt").exists()


def test_a_tracker_s_run_of_the_shorter_budget_gives_way_to_one_of_its_own(tmp_path):
    run_here(*line("random"), "n_end=60", root=tmp_path)
    folder = only(tmp_path)
    before = json.loads((folder / "provenance.json").read_text())["id"]
    name = f"{folder.name.rsplit('-', 1)[1]}-{before}"
    mine, other = (folder / "wandb" / f"offline-run-20260101_000000-{run}" for run in (name, "of-another"))
    for one in (mine, other):
        one.mkdir(parents=True)
    run_here(*line("random"), "n_end=80", root=tmp_path)
    assert json.loads((folder / "provenance.json").read_text())["id"] != before
    assert (mine.exists(), other.exists()) == (False, True)
