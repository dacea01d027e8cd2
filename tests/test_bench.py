"""The measurements run and add up; what they say of speed is not tested."""

import json

import torch
from rich.console import Console

from hetal import bench
from hetal.watch.profiler import Profiler
from tests.command_line import TOY, only, run_here

CPU = torch.device("cpu")


def test_speed_counts_what_a_network_computes():
    found = bench.speed("mlp", (1, 4, 4), CPU, 0.01)
    multiplied = 16 * 256 + 256 * 10
    assert found["score_flops_per_image"] == 2 * multiplied
    # Backwards: every weight's gradient, and the gradient of what the last layer read.
    assert found["train_flops_per_image"] == 2 * (2 * multiplied + 256 * 10)
    assert found["train_images_per_s"] > 0


def test_a_report_is_plain_values_that_add_up(monkeypatch, capsys):
    monkeypatch.setattr(
        bench,
        "synthetic_task",
        lambda n, shape, n_classes=10, real=bench.synthetic_task: real(min(n, 1400), shape),
    )
    monkeypatch.setattr(bench, "speed", lambda *_: {
        f"{work}_{what}": 1.0 for work in ("train", "score") for what in ("images_per_s", "flops_per_image")
    })  # fmt: skip
    real = bench.compose_experiment
    monkeypatch.setattr(
        bench, "compose_experiment", lambda *overrides: real(*overrides, "train.max_epochs=2")
    )
    found = bench.report(CPU, 0.01, ["mlp"], Console())
    json.dumps(found)
    phases = found["standard_run_seconds"]
    assert min(phases.values()) > 0  # the rest is what no phase counts: negative if one were counted twice
    assert phases["train"] < phases["whole"]
    assert 0 < found["outside_operations"] < 1
    assert "a standard run" in capsys.readouterr().out


def test_profile_leaves_traces_and_changes_nothing(tmp_path):
    longer = [*TOY, "train.max_epochs=5"]
    run_here(*longer, root=tmp_path / "plain")
    run_here(*longer, "profile=true", root=tmp_path / "traced")
    plain, traced = only(tmp_path / "plain"), only(tmp_path / "traced")
    assert plain.name == traced.name
    assert (plain / "queries.npz").read_bytes() == (traced / "queries.npz").read_bytes()
    left = {path.name for path in traced.iterdir()} - {path.name for path in plain.iterdir()}
    assert left == {f"trace-{part}.{end}" for part in ("train", "query") for end in ("json", "txt")}
    for part, operation in (("train", "_fused_adam_"), ("query", "addmm")):
        assert operation in (traced / f"trace-{part}.txt").read_text()
        assert json.loads((traced / f"trace-{part}.json").read_text())["traceEvents"]


def test_a_trace_that_is_cut_short_lets_the_next_begin(tmp_path):
    for _ in range(2):
        profiler = Profiler(tmp_path)
        profiler.epoch(1, 0.5)
        profiler.finish(None)
        assert (tmp_path / "trace-train.json").exists()
        (tmp_path / "trace-train.json").unlink()
