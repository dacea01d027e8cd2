"""Where a run is started and what surrounds it: folders, homes, locales, permissions, file systems."""

import errno
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from hetal.errors import BadInput
from hetal.machine import files
from hetal.machine.device import pick_device
from tests.command_line import REPOSITORY, TOY, command, environment, only, records, run_here

TRACKED = [option for option in TOY if not option.startswith("tracker")] + ["train.max_epochs=1", "n_end=60"]


def quoted(path: Path) -> str:
    """Return a path as the command line of Hydra takes any path."""
    text = str(path).replace("'", "\\'")
    return f"'{text}'"


@pytest.mark.parametrize(
    "name",
    [
        "with space", "quo'te", 'dq"uote', "br[a]ck*et?", "per%cent%s", "uni-ö-漢", "com,ma", "a=b", "{b}", "~tilde",
        "[red]x[/]", "#hash", "-dash", f"{'x' * 200}/{'y' * 200}",
    ],
)  # fmt: skip
def test_any_folder_holds_a_run_that_is_found_again(name, tmp_path, capsys):
    root = tmp_path / name
    for how in ([], [], ["force=true"]):
        run_here(*TRACKED, "tracker=none", *how, root=quoted(root))
    assert capsys.readouterr().out.count("finished already") == 1
    assert only(root).parent == root / "default"
    assert len(records(root)) == 1


def test_a_folder_of_an_impossible_name_is_named(tmp_path):
    with pytest.raises(BadInput, match="File name too long"):
        run_here(*TOY, root=tmp_path / ("x" * 300))
    done = command(*TOY, "root='\\${x}'", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "error: root=${x}: must not contain ${\n")


def folder_of_shadows(tmp_path: Path) -> Path:
    """Return a folder that holds folders of the names of packages, as earlier runs of W&B leave them."""
    for name in ("wandb", "torch", "hydra", "conf", "multirun"):
        (tmp_path / "shadows" / name / "run-20260101_000000-x").mkdir(parents=True)
    return tmp_path / "shadows"


HOMES = {
    "no home": {"HOME": "/absent/home"},
    "a home that is a file": {"HOME": "/etc/passwd"},
    "a home that cannot be written": {"HOME": "/proc"},
    "a home with a space": {"HOME": "HERE/my home"},
    "no folder for temporary files": {"TMPDIR": "/absent"},
    "ascii": {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "a dumb terminal of one column": {"TERM": "dumb", "COLUMNS": "1", "LINES": "1"},
    "columns that are no number": {"COLUMNS": "many"},
}


@pytest.mark.parametrize("name", HOMES)
def test_a_run_ends_well_with(name, tmp_path):
    env = {key: value.replace("HERE", str(tmp_path)) for key, value in HOMES[name].items()}
    (tmp_path / "my home").mkdir()
    cwd = folder_of_shadows(tmp_path)
    fresh = name == "ascii"  # which an interpreter decides when it starts
    done = command(
        *TRACKED, "tracker.mode=offline", f"root={tmp_path / 'out'}", env=env, cwd=cwd, fresh=fresh
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert list(only(tmp_path / "out").glob("wandb/offline-run-*/*.wandb"))


def test_a_run_ends_well_with_nothing_to_read_and_files_for_nobody_else(tmp_path):
    line = [
        sys.executable,
        "-S",
        "-c",
        "import os, sys; os.close(0); os.umask(0o077); os.execv(sys.argv[1], sys.argv[1:])",
    ]
    run = [
        sys.executable,
        str(REPOSITORY / "launch.py"),
        *TRACKED,
        "tracker.mode=offline",
        f"root={tmp_path / 'out'}",
    ]
    done = subprocess.run(
        [*line, *run], env=environment(), cwd=folder_of_shadows(tmp_path), capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    folder = only(tmp_path / "out")
    for path in [folder, *folder.iterdir()]:
        assert path.is_symlink() or not stat.S_IMODE(path.stat().st_mode) & 0o077, path


def test_data_are_downloaded_through_a_link_to_another_file_system(tmp_path, monkeypatch):
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"new")
    target.write_bytes(b"old")
    real = os.replace

    def replace(one, other):
        if Path(one) == source:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        real(one, other)

    monkeypatch.setattr(os, "replace", replace)
    files.move(source, target)
    assert target.read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["target"]
    source.write_bytes(b"newer")

    def copyfile(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfile", copyfile)
    with pytest.raises(OSError, match="No space left"):
        files.move(source, target)
    assert target.read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]


def test_a_time_before_the_last_start_is_no_hindrance(tmp_path, monkeypatch):
    run_here(*TOY, root=tmp_path)
    (only(tmp_path) / "summary.json").unlink()
    long_ago = 86_400.0
    monkeypatch.setattr("time.time", lambda: long_ago)
    for path in only(tmp_path).iterdir():
        os.utime(path, (2**33, 2**33))
    run_here(*TOY, root=tmp_path)
    assert (only(tmp_path) / "summary.json").exists()


def test_threads_that_the_environment_does_not_allow_are_refused(monkeypatch):
    monkeypatch.setattr("torch.set_num_threads", lambda n: None)
    monkeypatch.setenv("OMP_THREAD_LIMIT", "2")
    pick_device("cpu", 2)
    with pytest.raises(BadInput, match="threads=3: OMP_THREAD_LIMIT=2 allows no more than 2"):
        pick_device("cpu", 3)
    monkeypatch.setenv("OMP_DYNAMIC", "TRUE")
    pick_device("cpu", 1)
    with pytest.raises(BadInput, match="threads=2: OMP_DYNAMIC=true gives fewer at times; unset it"):
        pick_device("cpu", 2)


def test_only_what_hetal_was_writing_is_taken_for_a_scrap(tmp_path):
    beside = files.temporary_path(tmp_path / "rounds.jsonl")
    for path in (beside, tmp_path / ".mine.tmp", tmp_path / "mine.5.tmp", tmp_path / ".mine.x.tmp"):
        path.touch()
    (tmp_path / ".folder.5.tmp").mkdir()
    assert files.leftovers(tmp_path) == [beside]


def test_folders_behind_a_link_stay(tmp_path):
    for name in ("real/offline-1", "behind/offline-1", "real/other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "behind")
    (tmp_path / "real" / "offline-2").symlink_to(tmp_path / "behind")
    for folder in ("real", "link", "absent"):
        files.remove_folders(tmp_path / folder, "offline-*")
    assert sorted(path.name for path in (tmp_path / "real").iterdir()) == ["offline-2", "other"]
    assert (tmp_path / "behind" / "offline-1").exists()
