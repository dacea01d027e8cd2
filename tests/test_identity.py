"""A run is its data and its code, not their names."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hetal.app.launch import data_name
from hetal.errors import BadInput
from hetal.experiment import Experiment
from hetal.record import code, digests
from hetal.record.code import code_versions, own_code_digest, targets
from hetal.record.digests import digest_of
from hetal.record.identity import (
    Identity,
    data_files,
    differences,
    identify,
    identifying_settings,
    settings_hash,
    with_content_digests,
)
from hetal.record.provenance import COMPUTES, made_by
from hetal.record.seal import short_hash
from hetal.report.load.reading import read
from tests import tiny_data
from tests.command_line import REPOSITORY, TOY, command, environment, only, records, run_here

CHOICES = {"alg": "random", "data": "npz", "noise": "class", "model": "mlp"}


def config(root, **data):
    return {
        "alg": {"_target_": "hetal.algs.Random"}, "data": data, "noise": {"factor": 4}, "model": {"weights_path": None},
        "seed": 0, "name": "test", "root": str(root), "n_end": 20,
    }  # fmt: skip


def named(root, **data):
    return identify(config(root, **data), CHOICES)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Return an empty folder in which digests are kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "hetal" / "digests"


@pytest.fixture
def settled(monkeypatch):
    """Let digests of files that were just written be remembered."""
    monkeypatch.setattr(digests, "SETTLING_SECONDS", -60.0)
    monkeypatch.setattr(digests, "SMALLEST_CACHED", 0)


# Files.


def test_a_file_counts_by_its_content_however_it_is_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "ok.npz").write_bytes(b"content")
    (tmp_path / "copy.npz").write_bytes(b"content")
    (tmp_path / "link").symlink_to(tmp_path / "ok.npz")
    (tmp_path / "sub").mkdir()
    names = ["ok.npz", "./ok.npz", "sub/../ok.npz", "~/ok.npz", tmp_path / "ok.npz", "copy.npz", "link"]
    found = [named(tmp_path, path=str(name)) for name in names]
    assert len({(f.hash, f.group, f.dir) for f in found}) == 1
    (tmp_path / "ok.npz").write_bytes(b"another")
    assert named(tmp_path, path="ok.npz").hash != found[0].hash
    assert named(tmp_path, path="ok.npz").group != found[0].group


@pytest.mark.parametrize("value", ["nowhere.npz", "", "a\0b", "/dev/null", "ok.npz/below", None, 3])
def test_a_path_that_leads_to_no_file_counts_as_it_is_typed(value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ok.npz").write_bytes(b"content")
    assert named(tmp_path, path=value).settings["data"] == {"path": value}


def test_paths_count_by_content_wherever_they_stand(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"content")
    given = {
        "path": str(file), "name": str(file), "parts": [{"mask_path": [str(file), "none"]}],
        "a": {"b": {"path": str(file)}}, "model": {"weights": str(file)}, "loss": {"weights": [1.0, 2.0]},
    }  # fmt: skip
    (digest,) = {with_content_digests(given)["path"]}
    assert digest.startswith("content ")
    assert with_content_digests(given) == {
        "path": digest, "name": str(file), "parts": [{"mask_path": [digest, "none"]}], "a": {"b": {"path": digest}},
        "model": {"weights": digest}, "loss": {"weights": [1.0, 2.0]},
    }  # fmt: skip


def test_what_counts_opens_nothing(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"content")
    assert identifying_settings(config(tmp_path, path=str(file)))["data"]["path"] == str(file)


def test_a_file_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    def denied(path):
        raise PermissionError(13, "Permission denied", f"{path}/z")

    monkeypatch.setattr("hetal.record.identity.digest_of", denied)
    with pytest.raises(BadInput, match=r"^data\.path=/x/y: cannot be read: Permission denied \(/x/y/z\)$"):
        named(tmp_path, path="/x/y")


def test_a_folder_counts_by_its_tree(tmp_path):
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "a").write_bytes(b"1")
    (folder / "sub" / "b").write_bytes(b"2")
    (folder / "loop").symlink_to(folder)
    (folder / "broken").symlink_to("nowhere")
    (folder / "self").symlink_to(folder / "self")
    (folder / os.fsdecode(b"\xff\xfe")).write_bytes(b"3")
    before = digest_of(folder)
    assert digest_of(folder) == before != digest_of(folder / "sub")
    assert digest_of(tmp_path / "sub" / ".." / "folder") is None  # there is no such folder to go through
    os.rename(folder, tmp_path / "moved")
    folder = tmp_path / "moved"
    (folder / "loop").unlink()
    (folder / "loop").symlink_to(folder)
    (folder / "self").unlink()
    (folder / "self").symlink_to(tmp_path / "folder" / "self")
    (folder / "sub" / "b").write_bytes(b"3")
    changed = digest_of(folder)
    os.rename(folder / "a", folder / "c")
    renamed = digest_of(folder)
    assert len({before, changed, renamed}) == 3


def test_the_same_tree_elsewhere_is_the_same(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub" / "a").write_bytes(b"1")
    assert digest_of(tmp_path / "one") == digest_of(tmp_path / "two")
    (tmp_path / "two" / "empty").mkdir()
    assert digest_of(tmp_path / "one") != digest_of(tmp_path / "two")


def test_a_folder_beyond_all_measure_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(digests, "MAX_FILES", 2)
    for name in "abc":
        (tmp_path / name).touch()
    with pytest.raises(BadInput, match=r"data\.path=.*: cannot be read: it holds more than 2 files"):
        named("multirun", path=str(tmp_path))


# What is remembered of files.


def reads(monkeypatch):
    """Return a list that gets the digests that are computed, not remembered."""
    computed = []
    real = digests.cached

    def counting(key, compute):
        def counted():
            computed.append(key)
            return compute()

        return real(key, counted)

    monkeypatch.setattr(digests, "cached", counting)
    return computed


def test_a_file_is_read_once(tmp_path, cache, settled, monkeypatch):
    computed = reads(monkeypatch)
    file = tmp_path / "file"
    file.write_bytes(b"content")
    first = digest_of(file)
    assert digest_of(file) == first
    assert len(computed) == 1
    assert len(list(cache.iterdir())) == 1
    file.write_bytes(b"CONTENT")
    os.utime(file, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    assert digest_of(file) != first
    assert len(computed) == 2


def test_a_folder_is_read_once(tmp_path, cache, settled, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in "abc":
        (folder / name).write_text(name)
    first = digest_of(folder)
    computed = reads(monkeypatch)
    assert digest_of(folder) == first
    assert computed == []
    (folder / "b").write_text("B")
    assert digest_of(folder) != first


def test_small_files_of_a_folder_make_no_entries(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(digests, "SETTLING_SECONDS", -60.0)
    (tmp_path / "data").mkdir()
    for i in range(5):
        (tmp_path / "data" / f"{i}.png").write_bytes(b"x" * i)
    first = digests.digest_of(tmp_path / "data")
    assert len(list(cache.iterdir())) == 1  # of the folder
    assert digests.digest_of(tmp_path / "data") == first
    (tmp_path / "data" / "4.png").write_bytes(b"yyyy")
    assert digests.digest_of(tmp_path / "data") != first


def test_a_file_written_within_a_tick_of_the_clock_is_read_again(tmp_path, cache):
    file = tmp_path / "file"
    file.write_bytes(b"content")
    before = os.stat(file)
    first = digest_of(file)
    file.write_bytes(b"CONTENT")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert digest_of(file) != first
    assert not cache.exists()


@pytest.mark.parametrize("junk", ["", "junk", "0" * 16, f"{'0' * 16} {'1' * 16}", "\0" * 33])
def test_a_damaged_memory_is_no_memory(junk, tmp_path, cache, settled):
    file = tmp_path / "file"
    file.write_bytes(b"content")
    right = digest_of(file)
    (entry,) = cache.iterdir()
    entry.write_text(junk)
    assert digest_of(file) == right
    assert junk != entry.read_text()


@pytest.mark.parametrize("place", ["/proc/none", "/dev/null/x", "relative", ""])
def test_a_memory_that_cannot_be_written_fails_nothing(place, tmp_path, settled, monkeypatch):
    file = tmp_path / "file"
    file.write_bytes(b"content")
    right = digest_of(file)
    monkeypatch.setenv("XDG_CACHE_HOME", place)
    monkeypatch.setenv("HOME", "/dev/null")
    assert digest_of(file) == right


def test_a_user_without_a_home_has_no_memory(tmp_path, settled, monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    (tmp_path / "file").write_bytes(b"content")
    assert digest_of(tmp_path / "file")


def test_many_processes_share_a_memory(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(bytes(3_000_000))
    line = "from hetal.record import digests; digests.SETTLING_SECONDS = -60; digests.SMALLEST_CACHED = 0; "
    line += f"print(digests.digest_of(digests.Path({str(file)!r})))"
    env = environment({"XDG_CACHE_HOME": str(tmp_path / "cache")})
    processes = [
        subprocess.Popen([sys.executable, "-c", line], env=env, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    said = {process.communicate()[0] for process in processes}
    assert said == {f"{digest_of(file)}\n"}
    (entry,) = (tmp_path / "cache" / "hetal" / "digests").iterdir()  # nothing half written is left
    assert not entry.name.startswith(".")


# Settings.


def test_a_hash_is_long_enough():
    assert len(settings_hash({})) == 16
    assert (
        settings_hash({"a": 1, "b": 2}) == settings_hash({"b": 2, "a": 1}) != settings_hash({"a": 1, "b": 3})
    )


def test_the_learning_rates_that_shared_a_hash_share_none(tmp_path):
    one, two = (
        identify({**config(tmp_path), "train": {"lr": lr}}, CHOICES).hash for lr in (0.0032331, 0.0052549)
    )
    assert one[:8] != two[:8]


def test_settings_that_are_not_finite_are_settings(tmp_path):
    hashes = {
        identify({**config(tmp_path), "train": {"clip": clip}}, CHOICES).hash
        for clip in (float("inf"), -float("inf"), float("nan"), 1.0)
    }
    assert len(hashes) == 4
    json.dumps(identifying_settings({**config(tmp_path), "train": {"clip": float("inf")}}), allow_nan=False)


def test_the_end_is_no_part_of_a_run(tmp_path):
    assert identifying_settings({**config(tmp_path), "n_end": 30}) == identifying_settings(config(tmp_path))


def test_differences_name_single_settings():
    one, other = {"a": {"b": 1, "c": 2}, "d": None}, {"a": {"b": 1, "c": 3}, "e": []}
    assert differences(one, other) == {"a.c": (2, 3), "d": (None, None), "e": (None, [])}
    assert differences(one, one) == {}


# Code.

MODULE = '''
"""What it is."""
import helpers


def score(probs_MC):
    """Say what it does."""
    # Why it does so.
    return helpers.take(probs_MC, 0) if 1 else None
'''

SAME = {
    "a comment": ("# Why it does so.", "# For another reason,\n    # on two lines."),
    "a docstring": ('"""Say what it does."""', "'''Say it\n\n    in other words.'''"),
    "no docstring": ('    """Say what it does."""\n', ""),
    "a module's docstring": ('"""What it is."""', '"""What it is not."""'),
    "layout": ("(probs_MC, 0) if 1 else None", "(\n        probs_MC,\n        0,\n    ) if 1 else (None)"),
    "blank lines": ("import helpers\n", "\n\nimport helpers\n\n\n"),
}
OTHER = {
    "a number": ("0) if", "1) if"),
    "a type of number": ("0) if", "0.0) if"),
    "a truth": ("0) if", "False) if"),
    "a name": ("def score", "def Score"),
    "an operation": ("if 1 else None", "if 1 else 2"),
    "an import": ("import helpers", "import helpers, json"),
}


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Return a function that writes a module that another sits beside, and says what code it is."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(text, **others):
        for name, content in {
            "mine_now": text,
            "helpers": "def take(p, i): return p[:, i]",
            **others,
        }.items():
            (tmp_path / f"{name}.py").write_text(content)
        return asked("mine_now.score")

    yield write
    for name in ("mine_now", "helpers", "beside", "unused"):
        sys.modules.pop(name, None)


def asked(*names):
    """Say what code targets are, as a process does that has just begun."""
    code._module_code.cache_clear()
    for name in ("mine_now", "helpers", "beside"):
        sys.modules.pop(name, None)
    return code_versions(names)


@pytest.mark.parametrize("change", SAME)
def test_what_computes_nothing_changes_nothing(change, mine):
    assert SAME[change][0] in MODULE
    assert mine(MODULE.replace(*SAME[change])) == mine(MODULE)


@pytest.mark.parametrize("change", OTHER)
def test_what_computes_is_told(change, mine):
    before, after = mine(MODULE), mine(MODULE.replace(*OTHER[change]).replace("Score", "score"))
    changed = OTHER[change][1] != "def Score"
    assert (before["code of mine_now"] != after["code of mine_now"]) == changed
    assert before["code of helpers"] == after["code of helpers"]


def test_a_module_beside_counts_where_it_is_imported_and_so_does_what_that_imports(mine):
    before = mine(MODULE, unused="x = 1", beside="y = 1")
    assert before.keys() == {"code of mine_now", "code of helpers"}
    assert mine(MODULE, unused="x = 2") == before
    through = mine(MODULE, helpers="from beside import y\ndef take(p, i): return p[:, i]")
    assert through.keys() == {"code of mine_now", "code of helpers", "code of beside"}
    again = mine(MODULE, helpers="from beside import y\ndef take(p, i): return p[:, i]", beside="y = 2")
    assert again["code of beside"] != through["code of beside"]


def test_what_does_not_parse_counts_as_it_is(mine):
    late = MODULE.replace("return", "import beside; return")
    codes = [
        mine(late, beside=text)["code of beside"] for text in ("print 1", "print 1 # said", "x = 1", "x=1")
    ]
    assert len({*codes}) == 3
    assert codes[2] == codes[3]


def test_a_package_counts_whole(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "whole_pkg"
    (package / "deep").mkdir(parents=True)
    files = {
        "__init__.py": "from whole_pkg.main import Strategy", "main.py": "class Strategy: pass",
        "deep/__init__.py": "", "deep/other.py": "x = 1  # one",
    }  # fmt: skip
    for name, text in files.items():
        (package / name).write_text(text)

    def now():
        code._module_code.cache_clear()
        return code_versions(["whole_pkg.Strategy"])

    before = now()
    assert before.keys() == {"code of whole_pkg"}
    (package / "deep" / "other.py").write_text("x = 1  # uno")
    (package / "notes.txt").write_text("text")
    (package / "__pycache__").mkdir(exist_ok=True)
    (package / "__pycache__" / "x.py").write_text("x = 1")
    (package / "a-study").mkdir()
    (package / "a-study" / "x.py").write_text("x = 1")
    assert now() == before
    (package / "deep" / "other.py").write_text("x = 2")
    changed = now()
    assert changed != before
    (package / "deep" / "more.py").write_text("x = 1")
    assert now() not in (before, changed)


def test_what_is_installed_counts_by_its_version():
    found = code_versions(
        ["torch.nn.Linear", "sklearn.svm.SVC", "yaml.safe_load", "functools.partial", "hetal.algs.Random"]
    )
    assert found.keys() == {"torch", "scikit-learn", "PyYAML"}


def test_targets_are_found_wherever_they_stand():
    given = {
        "_target_": "a.b", "x": [{"_target_": "c.d"}], "y": {"_target_": "hydra.utils.get_method", "path": "e.f"}
    }  # fmt: skip
    assert set(targets(given)) == {"a.b", "c.d", "e.f"}


def test_hetals_own_code_is_told_from_that_of_targets(mine):
    mine(MODULE)
    with_mine, without = (
        made_by({"alg": {"score": {"_target_": name}}}) for name in ("mine_now.score", "hetal.algs.Random")
    )
    assert with_mine.keys() - without.keys() == {"code of mine_now", "code of helpers"}
    assert with_mine["hetal"] == without["hetal"]


def test_the_code_that_computes_is_all_that_a_run_goes_through():
    """But for what keeps, shows and starts it."""
    package = REPOSITORY / "hetal"
    assert [name for name in COMPUTES if not (package / name).exists()] == []
    assert own_code_digest(COMPUTES) != own_code_digest(COMPUTES[1:])
    rest = {"app", "machine", "record", "report", "sweep", "testing", "watch", "conf"}
    top = {path.name for path in package.glob("*.py")} - {
        "__init__.py",
        "__main__.py",
        "bench.py",
        "errors.py",
    }
    folders = {path.name for path in package.iterdir() if path.is_dir()} - {*rest, "__pycache__"}
    assert {name for name in COMPUTES if "/" not in name} == top | folders


SAMPLE = '''
"""A module."""
import os, sys as system
from .near import (thing as other,)

@decorated(by=1)
class Class(Base, metaclass=Meta):
    u: "int" = 0x10
    def method(self, /, a, *args, b=1e999, **kw) -> None:
        """What it does."""
        with open(a) as f, open(f"x{a!r:>{b}}y" "z" f"{b=}"):
            yield {**kw, 'k': [*args], u"t": b"bytes", 1j: ..., -1: None}
        match a:
            case [1, {"x": y}, *rest] | Class(z=3) if (n := y) > 2: pass
        try: return a[1:2, ::3] @ b
        except (A, B) as e: raise C from e
        finally: lambda x: (yield x)
async def f():
    async for x in y: await [i async for i in z if not i is None]
'''


def test_the_code_is_the_same_under_every_version_of_python():
    # Of Python 3.10 to 3.13; another would refuse what an earlier one began.
    assert short_hash(code._canonical_text(ast.parse(SAMPLE), b"")) == "b8b6a26941c4b0de"


# Runs.


def write_npz(path, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 256, (120, 6, 6), dtype=np.uint8), np.arange(120) % 4
    np.savez(path, x_train=x, y_train=y, x_test=x[:40], y_test=y[:40])


NPZ = [
    "data=npz",
    "device=cpu",
    "tracker=none",
    "noise=clean",
    "n_start=20",
    "n_query=10",
    "n_end=40",
    "train.max_epochs=2",
]


def test_a_run_is_found_by_its_data_and_new_data_are_another_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_npz("ok.npz", 0)
    run_here(*NPZ, "data.path=ok.npz", root=tmp_path / "out")
    first = records(tmp_path / "out")
    for name in ("./ok.npz", tmp_path / "ok.npz"):
        run_here(*NPZ, f"data.path={name}", root=tmp_path / "out")
    assert records(tmp_path / "out") == first
    write_npz("ok.npz", 1)
    run_here(*NPZ, "data.path=ok.npz", root=tmp_path / "out")
    found = records(tmp_path / "out")
    assert len(found) == 2
    assert len({rounds[0]["nll"] for rounds in found.values()}) == 2
    folders = [path.parent for path in sorted((tmp_path / "out").rglob("provenance.json"))]
    for folder in folders:
        assert "path: ok.npz" in (folder / ".hydra" / "config.yaml").read_text()
        about = json.loads((folder / "provenance.json").read_text())
        assert about["settings"]["data"]["path"].startswith("content ")
    # A reader sees two settings, whatever has become of the files since.
    Path("ok.npz").unlink()
    reading = read([tmp_path / "out"])
    assert not reading.problems
    assert len({run.setting for run in reading.runs}) == 2
    assert len({run.config["data.path"] for run in reading.runs}) == 2


def test_a_run_that_goes_on_may_not_meet_other_data_under_a_new_name(tmp_path, monkeypatch):
    write_npz(tmp_path / "ok.npz", 0)
    real = Experiment.prepare

    def replaced(given, device):
        made = real(given, device)
        write_npz(tmp_path / "ok.npz", 1)
        return made

    monkeypatch.setattr(Experiment, "prepare", replaced)
    with pytest.raises(BadInput, match=r"^data\.path: what it names was changed while the run was started$"):
        run_here(*NPZ, f"data.path={tmp_path / 'ok.npz'}", root=tmp_path / "out")


LOADER = """
import numpy as np
import torch
from hetal.task import Examples, Task


def load(rng):
    with np.load({path!r}) as file:
        x, y = (torch.from_numpy(file[name]) for name in ("x_train", "y_train"))
    examples = Examples(x[:, None], y)
    return Task(examples, examples[:40], n_classes=4, mean=(0.0,), std=(1.0,))
"""


def test_a_finished_run_of_a_users_loader_is_not_returned_for_other_data(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(tmp_path)
    write_npz(tmp_path / "hidden.npz", 0)
    (tmp_path / "own_loader.py").write_text(LOADER.format(path=str(tmp_path / "hidden.npz")))
    (tmp_path / "conf" / "data").mkdir(parents=True)
    (tmp_path / "conf" / "data" / "own.yaml").write_text("_target_: own_loader.load\n_partial_: true\n")
    line = ["data=own", *NPZ[1:], f"hydra.searchpath=[file://{tmp_path / 'conf'}]"]
    run_here(*line, root=tmp_path / "out")
    before = records(tmp_path / "out")
    run_here(*line, root=tmp_path / "out")
    assert "finished already" in capsys.readouterr().out
    write_npz(tmp_path / "hidden.npz", 1)
    with pytest.raises(BadInput, match="is finished, and was made of other data than these; force=true"):
        run_here(*line, root=tmp_path / "out")
    assert records(tmp_path / "out") == before
    run_here(*line, "force=true", root=tmp_path / "out")
    assert records(tmp_path / "out") != before


def test_a_finished_run_is_not_returned_for_other_files_of_a_data_set(tmp_path):
    line = [*NPZ[1:], "data=mnist", "data.mean=[0]", "data.std=[255]", "data.download=false"]
    tiny_data.write_mnist(tmp_path / "a", 60)
    tiny_data.write_mnist(tmp_path / "b", 80)
    run_here(*line, f"data.root={tmp_path / 'a'}", root=tmp_path / "out")
    before = records(tmp_path / "out")
    run_here(
        *line, f"data.root={tmp_path / 'none'}", root=tmp_path / "out"
    )  # nothing there, nothing to object to
    with pytest.raises(
        BadInput, match=r"data\.root=.*/b: MNIST/raw/\S+ is not what it was when .*force=true"
    ):
        run_here(*line, f"data.root={tmp_path / 'b'}", root=tmp_path / "out")
    assert records(tmp_path / "out") == before


def test_the_files_of_data_sets_are_digested_as_far_as_they_are_there(tmp_path):
    (tmp_path / "a").write_text("a")
    given = {"data": {"root": str(tmp_path), "files": ["a", "b"]}}
    assert data_files(given) == {"a": digest_of(tmp_path / "a")}
    assert data_files({"data": {"root": str(tmp_path)}}) == data_files({"data": None}) == {}


STRATEGY = """
from hetal.algs import QueryStrategy
from .helpers import first


class Lowest(QueryStrategy):
    def query(self, fitted, pool, n, rng):
        return first(pool.unlabelled_ids(), n)
"""


def test_the_code_of_a_users_package_counts_and_its_comments_do_not(tmp_path):
    package = tmp_path / "their_pkg"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "strategy.py").write_text(STRATEGY)
    helpers = package / "helpers.py"
    helpers.write_text("def first(ids, n):\n    return ids[:n]\n")
    line = [*TOY, "alg=random", "alg._target_=their_pkg.strategy.Lowest", f"root={tmp_path / 'out'}"]

    def run():
        return command(*line, env={"PYTHONPATH": f"{REPOSITORY}:{tmp_path}"})

    assert run().returncode == 0
    folder = only(tmp_path / "out")
    about = json.loads((folder / "provenance.json").read_text())
    assert "code of their_pkg" in about["made_by"]
    whole = records(tmp_path / "out")
    # Interrupted: a comment and a docstring change nothing, and the run goes on.
    (folder / "summary.json").unlink()
    lines = (folder / "rounds.jsonl").read_text().splitlines(True)
    (folder / "rounds.jsonl").write_text("".join(lines[:1]))
    helpers.write_text('def first(ids, n):\n    """The first."""\n    return ids[:n]  # of them\n')
    done = run()
    assert done.returncode == 0, done.stderr
    assert "1 of 3 rounds are on record" in done.stdout
    assert records(tmp_path / "out") == whole
    # Other code in a module that the target does not lie in: finished, it says so; interrupted, it is refused.
    helpers.write_text("def first(ids, n):\n    return ids[-n:]\n")
    done = run()
    assert done.returncode == 0
    assert "finished already; force=true runs it again" in done.stdout
    assert "note: it was begun by code of their_pkg" in done.stdout
    (folder / "summary.json").unlink()
    (folder / "rounds.jsonl").write_text("".join(lines[:1]))
    done = run()
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "was begun by code of their_pkg" in done.stderr
    assert "force=true" in done.stderr


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ({}, "npz"),
        ({"path": None, "name": None}, "npz"),
        ({"path": "x/penguins.csv"}, "penguins"),
        ({"path": "penguins.csv", "name": "Palmer penguins"}, "Palmer penguins"),
        ({"path": "penguins.csv", "name": 0}, "0"),
        ({"path": "penguins.csv", "name": " "}, "penguins"),
        ({"path": "v1.5"}, "v1.5"),
        ({"path": "v1.5/"}, "v1.5"),
        ({"path": "v1.5/.."}, "here"),
        ({"path": "."}, "here"),
        ({"path": "/"}, "npz"),
    ],
)
def test_data_are_called_as_the_user_calls_them(data, name, tmp_path, monkeypatch):
    (tmp_path / "here" / "v1.5").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    assert data_name({"data": data}, "npz") == name


def test_the_name_of_data_is_cut_in_that_of_the_folder(tmp_path):
    made = identify(config(tmp_path), {**CHOICES, "data": "漢" * 300})
    assert len(os.fsencode(made.dir.name)) < 255


@pytest.mark.parametrize("setting", ["root", "data.root"])
def test_data_in_which_runs_are_kept_are_refused(setting, tmp_path):
    mine, apart = tmp_path / "mine", str(tmp_path / "apart")
    mine.mkdir()

    def roots(root: str, kept: str) -> Identity:
        return identify({**config(root), "data": {"path": str(mine), "root": kept}}, CHOICES)

    with pytest.raises(
        BadInput, match=rf"^data\.path=.*mine: {setting}=.* is in it; {setting}=FOLDER names another"
    ):
        roots(*(str(mine / "runs") if name == setting else apart for name in ("root", "data.root")))
    assert roots(apart, apart).dir.parent == tmp_path / "apart" / "test"
    assert roots(str(tmp_path), str(tmp_path)).dir.parent == tmp_path / "test"
