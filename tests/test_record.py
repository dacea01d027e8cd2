"""What a run leaves behind: identity, durability, damage."""

import contextlib
import dataclasses
import json
import shutil
import threading
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hetal import provenance
from hetal.errors import BadInput, Stopped
from hetal.identity import what_counts
from hetal.provenance import made_by
from hetal.record import Record
from hetal.rounds import Bought, Round

CONFIG = {
    "alg": {"_target_": "hetal.algs.random.Random"},
    "data": {"root": "/x", "download": True, "n_train": 5},
    "noise": {"factor": 4},
    "mult": {"factor": 4},
    "seed": 0,
    "name": "test",
    "device": "cpu",
    "tracker": {"mode": "offline"},
    "force": False,
}
CHOICES = {"alg": "random", "data": "digits", "noise": "class", "model": "mlp"}
CPU = torch.device("cpu")


def config(tmp_path, **changes):
    return {**CONFIG, "root": str(tmp_path), **changes}


def make(tmp_path, **changes):
    return Record(config(tmp_path, **changes), CHOICES)


def purchase(*ids):
    ids = torch.tensor(ids, dtype=torch.long)
    return Bought(ids, ids % 3, ids, ids > 5)


def row(t, n_bought):
    values = {f.name: 0 for f in dataclasses.fields(Round)}
    changed = {
        "round": t,
        "n_bought": n_bought,
        "steps": 7,
        "seconds": {"train": 1.0},
        "bought_per_class": None,
    }
    return Round(**{**values, **changed})


@pytest.fixture
def written(tmp_path):
    """A record of two rounds."""
    record = make(tmp_path)
    with record.hold(CPU, "data"):
        record.start(purchase(4, 2))
        record.append(row(0, 3), purchase(9, 1, 3))
        record.append(row(1, 0), purchase())
    return record


def test_what_is_written_is_read_back(written, tmp_path):
    again = make(tmp_path)
    assert again.rounds == written.rounds
    assert [b.ids.tolist() for b in again.bought] == [[4, 2], [9, 1, 3], []]
    assert again.bought[1].is_noisy.tolist() == [True, False, False]
    assert again.steps == 14
    assert again.summary is None


@pytest.mark.parametrize(
    "change",
    [
        {"device": "cuda"},
        {"name": "other"},
        {"root": "/elsewhere"},
        {"force": True},
        {"tracker": {}},
        {"mult": {"factor": 8}},
    ]
    + [{"data": {**CONFIG["data"], key: "other"}} for key in ("root", "download")],
    ids=str,
)
def test_identity_ignores_what_cannot_change_a_result(change, tmp_path):
    assert what_counts({**config(tmp_path), **change}) == what_counts(config(tmp_path))


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"alg": {"_target_": "hetal.algs.badge.Badge"}},
        {"noise": {"factor": 8}},
        {"data": {**CONFIG["data"], "n_train": 6}},
    ],
    ids=str,
)
def test_identity_keeps_what_can(change, tmp_path):
    assert make(tmp_path, **change).dir != make(tmp_path).dir


def test_hash_does_not_depend_on_the_order_of_settings(tmp_path):
    backwards = dict(reversed(config(tmp_path).items()))
    assert Record(backwards, CHOICES).hash == make(tmp_path).hash


@pytest.mark.parametrize("name", ["..", "../x", "/x", "a/b", "", ".hidden", "-x"])
def test_a_name_cannot_leave_the_root(name, tmp_path):
    with pytest.raises(BadInput, match="name="):
        make(tmp_path, name=name)


def test_other_data_are_refused(written, tmp_path):
    with pytest.raises(BadInput, match="other data"), make(tmp_path).hold(CPU, "other"):
        pass
    with make(tmp_path).hold(CPU, "other", force=True):
        pass


def test_queries_beyond_the_rounds_are_dropped(written, tmp_path):
    path = written.dir / "rounds.jsonl"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    again = make(tmp_path)
    assert [b.ids.tolist() for b in again.bought] == [[4, 2], [9, 1, 3]]


@pytest.mark.parametrize("name", ["queries.npz", "provenance.json"])
@pytest.mark.parametrize(
    "damage", [lambda b: b[:-20], lambda b: b"", lambda b: b"\0" * len(b), lambda b: b"x"]
)
def test_damage_is_named_and_never_read_as_truth(name, damage, written, tmp_path):
    path = written.dir / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BadInput, match=f"{name} is damaged .*force=true"):
        make(tmp_path)


def test_a_torn_last_line_costs_one_round_and_no_more(written, tmp_path):
    path = written.dir / "rounds.jsonl"
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for length in range(1, len(whole)):
        path.write_bytes(whole[:length])
        found = make(tmp_path)
        assert found.rounds == written.rounds[: int(length >= first)]
        assert bool(found.notes) == (length != first)
        assert [len(b.ids) for b in found.bought] == [2, 3][: 2 * len(found.rounds)]


@pytest.mark.parametrize(
    "damaged", [b"", b"\0" * 300, b"x", b'{"round": 0, "accuracy": 1}\n', b"{}\n", b"\n"]
)
def test_rounds_that_are_more_than_torn_are_refused(damaged, written, tmp_path):
    (written.dir / "rounds.jsonl").write_bytes(damaged)
    with pytest.raises(BadInput, match=r"rounds\.jsonl is damaged \(line 1.*force=true"):
        make(tmp_path)


@pytest.mark.parametrize("damaged", [b"", b"\0", b"[]", b"3", b'{"n_rounds": 7}', b'{"final_accuracy": 0.5}'])
def test_a_damaged_summary_is_made_again(damaged, written, tmp_path):
    (written.dir / "summary.json").write_bytes(damaged)
    found = make(tmp_path)
    assert found.summary is None
    assert len(found.rounds) == 2
    assert "summary.json" in found.notes[0]


def test_rounds_without_provenance_are_refused(written, tmp_path):
    (written.dir / "provenance.json").unlink()
    with pytest.raises(BadInput, match="is missing, which says what made the rounds"):
        make(tmp_path)


@pytest.mark.parametrize("name", ["hetal", "torch", "device"])
def test_what_other_code_began_is_refused_and_shown(name, written, tmp_path):
    path = written.dir / "provenance.json"
    about = json.loads(path.read_text())
    about["made_by"][name] = "0.0.1"
    path.write_text(json.dumps(about))
    again = make(tmp_path)
    with (
        pytest.raises(BadInput, match=rf"was begun by {name} 0\.0\.1; this is {name} .*force=true"),
        again.hold(CPU, "data"),
    ):
        pass
    assert json.loads(path.read_text()) == about
    with again.hold(CPU, "data", force=True):
        assert again.rounds == []


def test_code_is_hetals_and_that_of_the_targets(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    own = tmp_path / "own_score.py"
    codes = []
    for text in ("def score(p): return p[:, 0]", "def score(p): return p[:, 1]"):
        own.write_text(text)
        provenance._code.cache_clear()
        codes.append(made_by({"alg": {"score": {"_target_": "own_score.score"}}})["hetal"])
    assert len({*codes, made_by({})["hetal"]}) == 3


def test_secrets_stay_out_of_provenance(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef")
    monkeypatch.setattr(
        provenance.subprocess,
        "run",
        lambda *_, **__: SimpleNamespace(returncode=0, stdout=b"+key = 0123456789abcdef"),
    )
    monkeypatch.setattr(provenance.Path, "exists", lambda path: True)
    assert provenance.source()["diff"] == "+key = <WANDB_API_KEY>"


def test_a_folder_deleted_while_it_is_written(tmp_path):
    record = make(tmp_path)
    with record.hold(CPU, "data"):
        shutil.rmtree(record.dir)
        with pytest.raises(BadInput, match="was deleted"):
            record.append(row(0, 0), purchase())
    assert not record.dir.exists()


def test_a_folder_deleted_and_begun_by_another(tmp_path):
    first, second = make(tmp_path), make(tmp_path)
    with first.hold(CPU, "data"):
        shutil.rmtree(first.dir)
        with second.hold(CPU, "data"):
            second.start(purchase(4, 2))
            second.append(row(0, 3), purchase(9, 1, 3))
            with pytest.raises(BadInput, match=r"taken over by process \d+"):
                first.append(row(0, 0), purchase())
    assert make(tmp_path).rounds == second.rounds


def test_waiting_ends_with_what_the_holder_has_left(tmp_path):
    first, second = make(tmp_path), make(tmp_path)
    waiting = threading.Thread(target=second.wait, args=(lambda: None,), daemon=True)
    with first.hold(CPU, "data"):
        waiting.start()
        first.start(purchase(4, 2))
        first.append(row(0, 3), purchase(9, 1, 3))
        waiting.join(0.3)
        assert waiting.is_alive()
    waiting.join(60)
    assert not waiting.is_alive()
    assert second.rounds == first.rounds
    with second.hold(CPU, "data"):  # and holds nothing itself
        pass


def test_waiting_ends_when_it_is_told_to(tmp_path):
    def stop():
        raise Stopped(None)

    first, second = make(tmp_path), make(tmp_path)
    with first.hold(CPU, "data"), pytest.raises(Stopped):
        second.wait(stop)


def test_a_file_system_without_locks_gets_a_lock_file(tmp_path, monkeypatch):
    class NoLocks:
        def __init__(self, path):
            pass

        def acquire(self, timeout):
            raise NotImplementedError

    monkeypatch.setattr("hetal.files.filelock.FileLock", NoLocks)
    first, second = make(tmp_path), make(tmp_path)
    held = pytest.raises(BadInput, match="being written by process")
    with first.hold(CPU, "data"), held, second.hold(CPU, "data"):
        pass
    with second.hold(CPU, "data"):
        pass


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_changed_byte_ends_in_anything_but_bad_input(data, tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("record")
    record = make(tmp_path)
    with record.hold(CPU, "data"):
        record.start(purchase(4, 2))
        record.append(row(0, 3), purchase(9, 1, 3))
        record.finish({"n_rounds": 1, "final_accuracy": 0.5})
    path = record.dir / data.draw(
        st.sampled_from(["rounds.jsonl", "queries.npz", "provenance.json", "summary.json"])
    )
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with contextlib.suppress(BadInput):
        again = make(tmp_path)
        assert len(again.rounds) <= 1
        with again.hold(CPU, "data"):
            pass


def test_one_writer_and_who_it_is(tmp_path):
    first, second = make(tmp_path), make(tmp_path)
    held = pytest.raises(BadInput, match=r"being written by process \d+ on \S+ since")
    with first.hold(CPU, "data"), held, second.hold(CPU, "data"):
        pass
    with second.hold(CPU, "data"):
        pass


def test_force_starts_again(written, tmp_path):
    summary = {"area_under_curve": 0.5, "n_rounds": 2}
    (written.dir / "summary.json").write_text(json.dumps(summary))
    again = make(tmp_path)
    assert again.summary == summary
    with again.hold(CPU, "data", force=True):
        assert again.rounds == []
        assert again.summary is None


@pytest.mark.parametrize("name", ["rounds.jsonl", "queries.npz", "summary.json", "provenance.json"])
def test_force_replaces_what_is_damaged(name, written, tmp_path):
    (written.dir / name).write_bytes(b"\0")
    again = Record(config(tmp_path), CHOICES, force=True)
    with again.hold(CPU, "data", force=True):
        assert again.rounds == []
        assert again.summary is None


def test_a_whole_number_is_the_same_setting_with_a_decimal_point(tmp_path):
    assert make(tmp_path, noise={"factor": 4.0}).hash == make(tmp_path, noise={"factor": 4}).hash
    assert make(tmp_path, noise={"factor": 4.5}).hash != make(tmp_path, noise={"factor": 4}).hash


def test_provenance_says_where_the_result_came_from(written):
    about = json.loads((written.dir / "provenance.json").read_text())
    (session,) = about["sessions"]
    assert session["packages"]["torch"] == torch.__version__.split("+")[0]
    assert session["machine"]["cores"] >= 1
    assert about["choices"] == CHOICES


def test_no_holder_or_scrap_is_left(written):
    names = {path.name for path in written.dir.iterdir()}
    assert names == {".hydra", ".lock", "rounds.jsonl", "queries.npz", "provenance.json"}


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="root="), make(tmp_path / "file").hold(CPU, "data"):
        pass
