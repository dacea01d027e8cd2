"""The wheel holds all that a run and a report need, and runs where there is no checkout."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import hetal
from hetal.record.provenance import COMPUTES
from tests.command_line import REPOSITORY, TOY, records

STRATEGY = """
from hetal.algs import QueryStrategy


class First(QueryStrategy):
    def query(self, fitted, pool, n, rng):
        return pool.unlabelled_ids()[:n]
"""


FOLDERS = ("conf", "hetal")


def files(folder: Path) -> set[str]:
    """Return the names of all files in a folder that are part of the project."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in paths if "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """Build the wheel and the source distribution from a copy of the tree, without a network."""
    tree = tmp_path_factory.mktemp("built") / "tree"
    for folder in FOLDERS:
        shutil.copytree(REPOSITORY / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for path in REPOSITORY.iterdir():
        if path.is_file():
            shutil.copy(path, tree)
    code = "from setuptools import build_meta as b; b.build_sdist('..'); b.build_wheel('..')"
    done = subprocess.run([sys.executable, "-c", code], cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tree.parent.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tree.parent / "installed")
    return tree.parent


def test_the_wheel_holds_all_code_all_configs_and_what_pages_are_made_of(built):
    installed = built / "installed"
    assert files(installed / "hetal" / "conf") == files(REPOSITORY / "conf")
    assert files(installed / "hetal") == files(REPOSITORY / "hetal") | {
        f"conf/{name}" for name in files(REPOSITORY / "conf")
    }
    assert "py.typed" in files(installed / "hetal")
    (about,) = installed.glob("*.dist-info")
    assert about.name == f"hetal-{hetal.__version__}.dist-info"
    assert "hetal = hetal.__main__:main" in (about / "entry_points.txt").read_text()


def test_the_source_distribution_holds_what_the_wheel_is_built_from(built):
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    for folder in FOLDERS:
        assert {f"{folder}/{name}" for name in files(REPOSITORY / folder)} <= held
    assert {"pyproject.toml", "README.md", "LICENSE"} <= held


def installed_hetal(built: Path, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the wheel's content as `hetal`, with no checkout to be found."""
    env = {**os.environ, "PYTHONPATH": str(built / "installed"), "COLUMNS": "120"}
    script = (
        cwd.parent / f"{cwd.name}-bin" / "hetal"
    )  # as pip writes it, outside the folder it is called from
    script.parent.mkdir(exist_ok=True)
    script.write_text("from hetal.__main__ import main\n\nif __name__ == '__main__':\n    main()\n")
    return subprocess.run(
        [sys.executable, str(script), *words], cwd=cwd, env=env, capture_output=True, text=True, timeout=240
    )


def test_an_empty_folder_and_the_wheel_are_enough(built, tmp_path):
    said = installed_hetal(built, tmp_path, "--version").stdout
    assert said.startswith(f"hetal {hetal.__version__}, Hydra ")
    assert "  hetal alg=lhd " in installed_hetal(built, tmp_path, "--help").stdout
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine" / "alg").mkdir(parents=True)
    (tmp_path / "mine" / "alg" / "first.yaml").write_text("_target_: own_strategy.First\n")
    (tmp_path / "own_strategy.py").write_text(STRATEGY)
    done = installed_hetal(built, tmp_path, "-m", "alg=first,lhd", "--config-dir", "mine", "mult=2,2.5", *TOY)
    assert done.returncode == 0, done.stderr
    assert "4 jobs: 4 done" in done.stdout
    made = records(tmp_path / "multirun")
    assert sorted(name.rpartition("-s0-")[0] for name in made) == [
        f"{alg}-digits-class-{mult}-mlp" for alg in ("first", "lhd") for mult in ("x2", "x2.5")
    ]


def test_jobs_in_processes_that_are_not_forked(built, tmp_path):
    done = installed_hetal(built, tmp_path, "-m", "seed=0,1", "hydra.launcher.start=spawn", *TOY)
    assert done.returncode == 0, done.stderr
    assert "2 jobs: 2 done" in done.stdout


def test_the_code_of_a_wheel_is_the_code_of_its_checkout(built):
    code = (
        "import hetal; from hetal.record.code import own_code_digest; "
        f"print(hetal.__file__, own_code_digest({COMPUTES!r}))"
    )
    run = [
        subprocess.run(
            [sys.executable, "-c", code], cwd=built, env={**os.environ, "PYTHONPATH": str(place)}, capture_output=True,
            text=True, check=True,
        ).stdout.split()
        for place in (REPOSITORY, built / "installed")
    ]  # fmt: skip
    assert run[0][0] != run[1][0]
    assert run[0][1] == run[1][1]
