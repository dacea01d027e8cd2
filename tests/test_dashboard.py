"""The W&B report of a study: what is asked of the server, and what is said where it cannot be asked."""

import json
import os
import subprocess
import sys

import pytest

from hetal.report import dashboard
from hetal.report.load.reading import read
from tests.command_line import REPOSITORY, TOY, environment, run_here
from tests.mock_wandb import serving


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
        assert curves[0]["metrics"] == ["accuracy"]
        assert curves[1]["metrics"] == ["clean_share", "base_rate"]
        assert {(panel["groupAgg"], panel["groupArea"]) for panel in curves} == {("mean", "minmax")}
        assert panels[-1]["mediaKeys"] == ["bought"]
    common = {"name": "study", "data": "digits", "model": "mlp"}
    assert asked == [{**common, "noise": "class", "mult": 4}, {**common, "noise": "diverse", "mult": 2.5}]


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
