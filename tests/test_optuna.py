"""Tuning by Optuna: the objective is the area under the curve, and a failed trial is one trial."""

import importlib.util
import json

import pytest
from omegaconf import OmegaConf

from tests.command_line import TOY, command

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("optuna") is None, reason="Optuna is not installed: pip install -e '.[optuna]'"
)


def test_tuning_finds_the_largest_area_and_survives_a_failed_trial(tmp_path):
    line = ["-m", "hydra/sweeper=tune", "hydra.sweeper.n_trials=4", "train.batch_size=choice(0,16)", *TOY]
    done = command(*line, f"root={tmp_path}")
    (results,) = tmp_path.glob(".sweeps/*/optimization_results.yaml")
    best = OmegaConf.load(results)
    areas = {
        json.loads(path.read_text())["area_under_curve"] for path in tmp_path.glob("default/*/summary.json")
    }
    assert best.best_value == max(areas)
    assert best.best_params["train.batch_size"] == 16
    assert done.returncode == 1
    assert "train.batch_size=0: must be at least 1" in done.stderr
    assert 0 < len(areas) < 4
    assert f"{len(areas)} done" in done.stdout
    assert f"{4 - len(areas)} failed" in done.stdout


def test_numbers_for_mult_are_searched_too(tmp_path):
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    text = "# @package _global_\nhydra:\n  sweeper:\n    params:\n      mult: choice(1,2.5)\n"
    (tmp_path / "conf" / "experiment" / "noisy.yaml").write_text(text)
    done = command(
        "-m", "hydra/sweeper=tune", "+experiment=noisy", "--config-dir", tmp_path / "conf", "hydra.sweeper.n_trials=3",
        *TOY, f"root={tmp_path}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (results,) = tmp_path.glob(".sweeps/*/optimization_results.yaml")
    assert OmegaConf.load(results).best_params["mult.factor"] in (1, 2.5)
