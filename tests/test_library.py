"""`hetal.run`: the command line's records, in a process that is somebody else's."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

import hetal
from hetal.errors import Stopped
from hetal.record.schema import MEASURED
from tests.command_line import TOY, command, environment
from tests.processes import REPOSITORY

# What a run leaves that holds no time, and no memory.
SAME = (".hydra/config.yaml", ".hydra/overrides.yaml", "queries.npz", "pictures.npz", "curve.png")


def contents(folder: Path) -> dict[str, object]:
    """Return all that a record holds but for what the machine adds."""
    rounds = [json.loads(line) for line in (folder / "rounds.jsonl").read_text().splitlines()]
    summary = json.loads((folder / "summary.json").read_text())
    about = json.loads((folder / "provenance.json").read_text())
    machines = ("id", "sessions", "digest", "source")
    return {
        **{name: (folder / name).read_bytes() for name in SAME},
        "rounds": [{k: v for k, v in row.items() if k not in MEASURED} for row in rounds],
        "summary": {k: v for k, v in summary.items() if k not in MEASURED},
        "about": {k: v for k, v in about.items() if k not in machines},
        "name": folder.name,
    }


@pytest.fixture(autouse=True)
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_record_is_that_of_the_command_line(tmp_path: Path) -> None:
    words = ["alg=lhd", "seed=3", "mult=2.5", "optimizer.lr=2e-4", *TOY]
    (tmp_path / "there").mkdir()
    assert command(*words, cwd=tmp_path / "there").returncode == 0
    (there,) = (tmp_path / "there").glob("multirun/default/*")
    # As a notebook may have left its process.
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(2)
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.no_grad():
            result = hetal.run(*words)
            assert not torch.is_grad_enabled()
        assert (torch.get_default_dtype(), torch.get_num_threads()) == (torch.float64, 2)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_num_threads(1)
        torch.set_float32_matmul_precision("highest")
    assert result.state == "done"
    assert result.folder == Path("multirun/default") / there.name
    assert contents(result.folder) == contents(there)
    on_record = json.loads((result.folder / "summary.json").read_text())
    del on_record["digest"]
    assert result.summary == on_record

    # Each finds the other's.
    assert "finished already" in command(*words, cwd=tmp_path).stdout
    os.chdir(tmp_path / "there")
    again = hetal.run(*words)
    assert (again.state, again.folder.name) == ("skipped", there.name)
    assert again.summary["area_under_curve"] == result.summary["area_under_curve"]


def test_a_longer_run_goes_on_and_a_shorter_one_is_a_part_of_it() -> None:
    first = hetal.run("alg=random", *TOY)
    longer = hetal.run("alg=random", *TOY, "n_end=100")
    assert (longer.folder, longer.state, longer.summary["n_rounds"]) == (first.folder, "done", 4)
    part = hetal.run("alg=random", *TOY)
    assert (part.folder, part.state) == (first.folder, "skipped")
    assert part.summary == {**first.summary, "seconds": part.summary["seconds"]}
    assert hetal.run("alg=random", *TOY, "force=true").state == "done"


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    result = hetal.run("dry_run=true", *TOY)
    assert (result.state, result.summary) == ("to run", {})
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["alg=bagde"], "alg=bagde: no such choice; did you mean badge"),
        (["trian.lr=1"], "trian.lr: no such setting; did you mean optimizer.lr"),
        (["optimizer.lr=fast"], "optimizer.lr=fast: must be a number"),
        (["seed=1,2"], "seed=1,2: several values"),
        (["alg=glob(*)"], r"alg=glob\(\*\): several values"),
        (["seed"], "seed: must be KEY=VALUE"),
        (["=3"], "=3: must be KEY=VALUE"),
        (["-m", "seed=1"], "-m: hetal.run takes settings, KEY=VALUE"),
        (["--config-dir", "x"], "--config-dir: hetal.run takes settings"),
        (["hydra.mode=MULTIRUN"], "hydra.mode=MULTIRUN: hetal.run runs one experiment"),
        (["hydra.job.chdir=true"], "hydra.job.chdir=true: runs do not change folders"),
        (["n_end=1"], "n_end=1: must be"),
        (["+tracker.settings.api_key=x"], "is a secret"),
        (["device=abacus"], "device=abacus: must be auto"),
    ],
)
def test_mistakes_are_exceptions_of_one_line(words: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(hetal.BadInput, match=message) as caught:
        hetal.run("tracker=none", *words)
    assert "\n" not in str(caught.value)
    assert not [*tmp_path.iterdir()]
    assert not GlobalHydra.instance().is_initialized()


def test_mistakes_that_are_no_text() -> None:
    with pytest.raises(hetal.BadInput, match="3: must be text"):
        hetal.run(3)  # type: ignore[arg-type]
    with pytest.raises(hetal.BadInput, match=r"config_dir=.*nowhere: there is no such folder"):
        hetal.run("seed=1", config_dir="nowhere")


def test_hydra_of_the_process_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("x: 1\n")
    with initialize_config_dir(str(tmp_path), version_base="1.2"):
        theirs, config, version = GlobalHydra.instance().hydra, HydraConfig.instance().cfg, "1.2"
        for _ in range(2):
            with pytest.raises(hetal.BadInput, match="no such setting"):
                hetal.run("nothing=1")
            hetal.run("alg=random", *TOY)
            assert GlobalHydra.instance().hydra is theirs
            assert HydraConfig.instance().cfg is config
            from hydra.version import getbase

            assert str(getbase()) == version
            assert compose("own").x == 1


def test_configs_of_ones_own(tmp_path: Path) -> None:
    own = tmp_path / "own" / "alg"
    own.mkdir(parents=True)
    (own / "least.yaml").write_text(
        "_target_: hetal.algs.Score\nscore: {_target_: hetal.acquisition.confidence, _partial_: true}\n"
    )
    result = hetal.run("alg=least", *TOY, config_dir=tmp_path / "own")
    like = hetal.run("alg=confidence", *TOY)
    assert result.folder.name.startswith("least-")
    (session,) = json.loads((result.folder / "provenance.json").read_text())["sessions"]
    assert session["config_dirs"] == [str(tmp_path / "own")]
    assert np.load(result.folder / "queries.npz")["ids"].tolist() == (
        np.load(like.folder / "queries.npz")["ids"].tolist()
    )
    with pytest.raises(hetal.BadInput, match="alg=leest: no such choice; did you mean least"):
        hetal.run("alg=leest", *TOY, config_dir=tmp_path / "own")
    command_like = command("--config-dir", tmp_path / "own", "alg=least", *TOY, cwd=tmp_path)
    assert "finished already" in command_like.stdout


def test_code_that_exits_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "exits.py").write_text("import sys\n\ndef noise(*args):\n    sys.exit(3)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    words = ["noise=clean", "noise._target_=exits.noise", *TOY]
    with pytest.raises(hetal.BadInput, match=r"called sys.exit\(3\), and the run is not done"):
        hetal.run(*words)
    assert hetal.run("alg=random", *TOY).state == "done"


def test_an_error_of_ones_own_code_is_that_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "breaks.py").write_text(
        "from hetal.algs import QueryStrategy\n\n"
        "class Breaks(QueryStrategy):\n"
        "    def query(self, fitted, pool, n, rng):\n"
        "        import hetal\n"
        "        hetal.run('seed=1')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(hetal.BadInput, match=r"hetal\.run was called within a run"):
        hetal.run("alg=random", "alg._target_=breaks.Breaks", *TOY)


def test_runs_of_several_threads_come_one_after_the_other() -> None:
    with ThreadPoolExecutor(3) as threads:
        results = [*threads.map(lambda seed: hetal.run("alg=random", f"seed={seed}", *TOY), (1, 2, 1))]
    assert results[0].folder == results[2].folder
    assert sorted(result.state for result in results) == ["done", "done", "skipped"]
    alone = hetal.run("alg=random", "seed=2", "name=alone", *TOY)
    assert (alone.folder / "queries.npz").read_bytes() == (results[1].folder / "queries.npz").read_bytes()


def test_ctrl_c_stops_after_the_epoch_and_the_same_call_goes_on() -> None:
    words = ["alg=random", *TOY, "train.max_epochs=40", "train.stop.accuracy=1"]

    def interrupt() -> None:
        while not [*Path().rglob("rounds.jsonl")]:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(Stopped, match="the same call goes on"):
        hetal.run(*words)
    interrupter.join()
    assert signal.getsignal(signal.SIGINT) is handler
    (path,) = Path().rglob("rounds.jsonl")
    assert 0 < len(path.read_text().splitlines()) < 3
    result = hetal.run(*words)
    assert (result.folder, result.state, result.summary["n_rounds"]) == (path.parent, "done", 3)


def test_importing_hetal_imports_nothing_else() -> None:
    code = (
        "import sys, hetal; hetal.BadInput; "
        "print(sorted({'torch', 'hydra', 'numpy', 'pandas', 'matplotlib'} & {*sys.modules}), hetal.__version__); "
        "hetal.load; print('torch' in sys.modules); hetal.nothing"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, env=environment(), capture_output=True, text=True
    )
    assert process.stdout.splitlines() == [f"[] {hetal.__version__}", "False"]
    assert process.stderr.splitlines()[-1] == "AttributeError: module 'hetal' has no attribute 'nothing'"
    assert {"run", "load", "BadInput"} <= {*dir(hetal)}


def test_the_page_runs_from_top_to_bottom(capsys: pytest.CaptureFixture[str]) -> None:
    page = (REPOSITORY / "docs" / "LIBRARY.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert len(blocks) == page.count("```") / 2 >= 8
    names: dict[str, object] = {}
    for block in blocks:
        exec(block, names)
    printed = capsys.readouterr().out
    assert "alg=bagde: no such choice; did you mean badge or " in printed
    assert "probs must hold probabilities" in printed

    # As it says, the experiment without configs is the run with them.
    result = hetal.run("alg=badge", "seed=0", *names["quick"])
    assert result.summary == {**names["summary"], "seconds": result.summary["seconds"]}
    bought = torch.cat([purchase.ids for purchase in names["history"].purchases])
    assert np.load(result.folder / "queries.npz")["ids"].tolist() == bought.tolist()
    assert names["uncertain"].shape == names["badge"].shape == names["covering"].shape == (10,)
