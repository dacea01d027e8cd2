"""Every study in conf/experiment is a sweep whose jobs compose, and which one override scales down."""

import json
import math
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob

from hetal.app.compose import build_experiment, build_part, check_config
from hetal.app.launch import resolved
from hetal.record.identity import identify
from tests.command_line import CONF, REPOSITORY, TOY, command, composed, options, records
from tests.samples import QUARTERS


def values(study: str) -> dict[str, list[str]]:
    """Return what a study sweeps over: the values of each setting, as a user would type them."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", [f"+experiment={study}"], return_hydra_config=True)
    parser = OverridesParser.create()
    params = [parser.parse_override(f"{k}={v}") for k, v in cfg.hydra.sweeper.params.items()]
    found = {}
    for p in params:
        globbed = isinstance(p.value(), Glob)
        swept = p.value().filter(options(p.key_or_group)) if globbed else p.sweep_string_iterator()
        found[p.package or p.key_or_group] = [str(value) for value in swept]
    return found


def test_the_docs_count_the_jobs_of_every_study():
    rows = re.findall(
        r"^\| `(\w+)` \| ([\d,]+) \|", (REPOSITORY / "docs" / "RUNS.md").read_text(), re.MULTILINE
    )
    said = {study: int(n.replace(",", "")) for study, n in rows}
    assert said == {s: math.prod(map(len, values(s).values())) for s in options("experiment")}


@pytest.mark.parametrize("study", options("experiment"))
def test_every_value_of_a_study_composes_and_is_another_run(study, tmp_path):
    swept = values(study)
    assert len(swept.pop("seed")) > 1
    assert swept
    for setting, given in swept.items():
        assert len(given) > 1
        folders = set()
        # Of all strategies, which are composed one by one in test_configs.py, a few.
        given = given if len(given) < 12 else random.Random(0).sample(given, 4)
        given = given if QUARTERS == 4 else [given[0], given[-1]]
        for value in given:
            config = resolved(composed(f"+experiment={study}", f"{setting}={value}", root=tmp_path))
            check_config(config)
            build_experiment(config, "x")
            build_part(config, "tracker")
            assert config["name"] == study
            folders.add(identify(config, dict.fromkeys(("alg", "data", "noise", "model"), "")).dir)
        assert len(folders) == len(given)


def test_a_study_runs_scaled_down_by_overrides_of_what_it_sweeps(tmp_path):
    small = [o for o in TOY if not o.startswith("data")]
    line = ["-m", "+experiment=ablation", "data=digits", "noise=class", "seed=0", *small, f"root={tmp_path}"]
    planned = command(*line, "dry_run=true")
    assert "6 jobs: 6 to run" in planned.stdout
    assert not records(tmp_path)
    done = command(*line)
    assert done.returncode == 0, done.stderr
    assert "6 jobs: 6 done" in done.stdout
    folders = list((tmp_path / "ablation").glob("*/summary.json"))
    assert len(folders) == 6
    assert all(json.loads(path.read_text())["n_rounds"] == 3 for path in folders)


@pytest.mark.parametrize(
    ("group", "begun", "completed"), [("+experiment", "ab", ["ablation"]), ("mult", "x1", ["x1", "x1.5"])]
)
def test_tab_completes_names_of_options(group, begun, completed):
    line = f"python launch.py {group}={begun}"
    script = f"""
        eval "$(python launch.py -sc install=bash)"
        COMP_LINE="{line}" COMP_POINT={len(line)} COMP_WORDS=(python launch.py {group} = {begun}) COMP_CWORD=4
        hydra_bash_completion
        echo "${{COMPREPLY[@]}}"
    """
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], cwd=REPOSITORY, env=env, capture_output=True, text=True)
    assert done.stdout.split() == [f"{group}={name}" for name in completed], done.stderr
