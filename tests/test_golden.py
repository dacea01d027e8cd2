"""Golden records: what hetal gave yesterday, it gives today; bit for bit on the same kind of machine."""

import json
import subprocess
import sys

import pytest

from tests.command_line import environment
from tests.golden import CASES, FOLDER, differences, kind_of_machine, load, run_case

KEPT_ON = json.loads((FOLDER / "machine.json").read_text())


# Half of them here; `python -m tests.golden` is all.
@pytest.mark.parametrize("name", sorted(CASES)[::2])
def test_a_case_gives_its_golden_record(name, tmp_path):
    exact = kind_of_machine() == KEPT_ON
    assert differences(load(name), run_case(name, tmp_path), exact=exact) == []


def test_every_golden_record_is_of_a_case():
    assert {path.stem for path in FOLDER.glob("*.jsonl")} == {*CASES}


def test_other_kernels_come_within_the_tolerance(tmp_path):
    code = f"""
from pathlib import Path
from tests.golden import *
assert kind_of_machine() != {KEPT_ON!r}
for name in ["alg-lhd", "alg-fisher", "noise-diverse"]:
    now = run_case(name, Path({str(tmp_path)!r}) / name)
    assert (lines := differences(load(name), now, exact=False)) == [], lines
"""
    env = environment({"ATEN_CPU_CAPABILITY": "default"})
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, cwd=FOLDER.parents[1]
    )
    assert run.returncode == 0, run.stderr


def test_a_changed_bit_is_told():
    golden, now = load("alg-badge"), load("alg-badge")
    now[1]["nll"] += 1e-12
    assert differences(golden, golden, exact=True) == []
    assert [line.split(":")[:2] for line in differences(golden, now, exact=True)] == [["round 0", " nll"]]
    now[1]["nll"] += 0.01
    assert len(differences(golden, now, exact=False)) == 1
