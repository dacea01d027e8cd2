"""The W&B report of a study: what is asked of the server, and what is said where it cannot be asked."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from hetal.report import dashboard
from hetal.report.analyse.criterion import measures_of
from hetal.report.load.reading import read
from tests.command_line import REPOSITORY, TOY, environment, run_here
from tests.mock_wandb import serving
from tests.synthetic import make_run

CHOICES = {"alg": "badge", "data": "d", "noise": "class", "model": "m"}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    root = tmp_path_factory.mktemp("dashboard")
    for line in (
        "noise=class",
        "noise=diverse mult=2.5 finetune=pseudo_label",
        "noise=diverse mult=2.5 alg=random",
    ):
        run_here(*TOY, *line.split(), "name=study", root=root)
    return root / "study"


def make(*arguments, **env):
    return subprocess.run(
        [sys.executable, "-m", "hetal.report.dashboard", *map(str, arguments)],
        cwd=REPOSITORY, env=environment(env), capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_a_report_has_a_grid_for_every_setting_with_curves_by_strategy(study):
    pytest.importorskip("wandb_workspaces")
    with serving() as server:
        done = make(study, "--project", "mine", **server.env)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"{server.url}/mock/mine/reports/")
        (view,) = server.views
    assert (view["entityName"], view["projectName"], view["type"]) == ("mock", "mine", "runs")
    assert view["displayName"] == "hetal: study"
    grids = [
        block["metadata"] for block in json.loads(view["spec"])["blocks"] if block["type"] == "panel-grid"
    ]
    asked = []
    for grid in grids:
        (runset,) = grid["runSets"]
        asked.append({f["key"]["name"]: f["value"] for f in runset["filters"]["filters"]})
        assert {f["key"]["section"] for f in runset["filters"]["filters"]} == {"config"}
        assert [key["name"] for key in runset["grouping"]] == ["alg.value", "finetune.value"]
        panels = [panel["config"] for panel in grid["panelBankSectionConfig"]["panels"]]
        curves = [panel for panel in panels if "xAxis" in panel]
        assert {panel["xAxis"] for panel in curves} == {"n_labelled"}
        drawn = [panel["metrics"] for panel in curves]
        assert drawn[0] == [measures_of(read([study]).runs)[0][0].key]
        assert ["clean_share", "base_rate"] in drawn
        assert {(panel["groupAgg"], panel["groupArea"]) for panel in curves} == {("mean", "minmax")}
        assert panels[-1]["mediaKeys"] == ["bought"]
    common = {"name": "study", "data": "digits", "model": "mlp"}
    assert asked == [{**common, "noise": "class", "mult": 4}, {**common, "noise": "diverse", "mult": 2.5}]


class Asked:
    """Stands for wandb_workspaces.reports.v2: what is made of it holds what it was made with."""

    def __getattr__(self, kind):
        return lambda *args, **given: SimpleNamespace(kind=kind, args=args, **given)


def panels_of(*runs):
    """Return the titles of the panels of every setting."""
    measures, _ = measures_of(runs)
    made = dashboard.blocks(Asked(), runs, measures, "mine", "me")
    grids = [block for block in made if block.kind == "PanelGrid"]
    return {grid.runsets[0].name: [panel.title for panel in grid.panels] for grid in grids}


def test_the_measures_are_those_of_the_report_and_shares_that_say_nothing_are_left_out():
    pool = {"rows": 60, "clean_per_class": [50, 10], "images_per_class": [50, 10], "test_per_class": [25, 25]}
    noisy, clean = (
        replace(
            make_run("badge", 0, [0.5, 0.6]), pool=pool, name=name, choices={**CHOICES, "noise": noise},
            rounds=[
                {"n_labelled": n, "accuracy": 0.9 + n / 1e3, "balanced_accuracy": n / 50, "nll": n / 40, **bought}
                for n in (10, 20)
            ],
        )
        for name, noise, bought in (
            ("a", "class", {"clean_share": 0.25, "right_share": 0.5, "n_bought": 10}),
            ("b", "clean", {"clean_share": 1.0, "right_share": 1.0, "n_bought": 10}),
        )
    )  # fmt: skip
    found = panels_of(noisy, clean)
    ours, theirs = found["a, class: d, m"], found["b, clean: d, m"]  # two studies, by their names on record
    assert ours[:5] == [
        "Balanced accuracy", "Test accuracy", "Negative log-likelihood, lower is better", "Clean share of each query",
        "Right labels of each query",
    ]  # fmt: skip
    assert "Final balanced accuracy" in ours
    of_noise = {
        "Clean share of each query",
        "Right labels of each query",
        "Clean share of all queries so far",
    }
    assert [title for title in ours if title not in of_noise] == theirs
    same = replace(noisy, rounds=[{**row, "right_share": row["clean_share"]} for row in noisy.rounds])
    assert "Right labels of each query" not in panels_of(same)["class: d, m"]


def test_runs_that_differ_in_more_than_the_seed_are_not_averaged(study, tmp_path):
    for line in (
        "seed=0",
        "seed=1",
        "seed=0 n_query=10",
        "seed=0 optimizer.lr=1e-3",
        "seed=0 alg=random train=fast",
    ):
        run_here(*TOY, *line.split(), root=tmp_path)
    runs = read([tmp_path]).runs
    assert len(runs) == 5
    assert dashboard.varied(runs) == ["train", "n_query", "optimizer/lr"]
    assert dashboard.varied([run for run in runs if "n_query=10" not in run.overrides]) == [
        "train",
        "optimizer/lr",
    ]
    assert dashboard.varied(read([study]).runs) == ["finetune"]


def test_what_is_missing_is_said_in_a_line(study, tmp_path, monkeypatch, capsys):
    pytest.importorskip("wandb_workspaces")
    nowhere = "http://127.0.0.1:9"
    done = make(
        study, HOME=str(tmp_path), NETRC=str(tmp_path / "none"), WANDB_BASE_URL=nowhere, WANDB_API_KEY=""
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("error: W&B says: No API key configured. Use `wandb login`")
    assert dashboard.main([str(tmp_path / "absent")]) == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'absent'}: there is no such folder")
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    monkeypatch.setenv("WANDB_SILENT", os.environ.get("WANDB_SILENT", "true"))
    assert dashboard.main([str(study)]) == 1
    assert (
        capsys.readouterr().err == "error: wandb-workspaces is not installed; pip install -e '.[dashboard]'\n"
    )
