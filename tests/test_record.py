"""What a run leaves behind: identity, durability, damage."""

import contextlib
import dataclasses
import errno
import fcntl
import json
import os
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hetal.errors import BadInput, Stopped
from hetal.noise import NoisyPool
from hetal.oracle import Oracle
from hetal.record import identity, provenance, reader
from hetal.record.identity import identifying_settings
from hetal.record.purchases import check_purchases
from hetal.record.schema import Purchase, Round
from hetal.record.writer import Record
from tests.sealed import change_queries, reseal

CONFIG = {
    "alg": {"_target_": "hetal.algs.Random"},
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


def summary_of(n_rounds: int) -> dict:
    return {
        "area_under_curve": 0.5, "final_accuracy": 0.5, "n_labelled": 4 + 2 * n_rounds, "n_rounds": n_rounds,
        "queried_clean_share": 0.25, "base_rate": 0.2, "seconds": {"train": 1.0},
    }  # fmt: skip


def make(tmp_path, **changes):
    return Record(config(tmp_path, **changes), CHOICES)


def purchase(*ids):
    ids = torch.tensor(ids, dtype=torch.long)
    return Purchase(ids, ids % 3, ids, ids > 5)


def row(t, n_labelled, n_bought):
    values = {f.name: 0 for f in dataclasses.fields(Round)}
    changed = {
        "round": t,
        "n_labelled": n_labelled,
        "n_bought": n_bought,
        "steps": 7,
        "seconds": {"train": 1.0},
        "bought_per_class": None,
        "bought_per_kind": None,
        "bought_per_region": None,
        "measures": None,
    }
    return Round(**{**values, **changed})


@pytest.fixture
def written(tmp_path):
    """A record of two rounds."""
    record = make(tmp_path)
    with record.hold(CPU, "data"):
        record.start(purchase(4, 2))
        record.append(row(0, 2, 3), purchase(9, 1, 3))
        record.append(row(1, 5, 0), purchase())
    return record


def test_what_is_written_is_read_back(written, tmp_path):
    again = make(tmp_path)
    assert again.rounds == written.rounds
    assert [b.ids.tolist() for b in again.purchases] == [[4, 2], [9, 1, 3], []]
    assert again.purchases[1].is_noisy.tolist() == [True, False, False]
    assert sum(row.steps for row in again.rounds) == 14
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
    assert identifying_settings({**config(tmp_path), **change}) == identifying_settings(config(tmp_path))


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
    assert [b.ids.tolist() for b in again.purchases] == [[4, 2], [9, 1, 3]]


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
        assert [len(b.ids) for b in found.purchases] == [2, 3][: 2 * len(found.rounds)]


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
    reseal(written.dir, about=lambda about: about["made_by"].update({name: "0.0.1"}))
    before = path.read_text()
    again = make(tmp_path)
    with (
        pytest.raises(BadInput, match=rf"was begun by {name} 0\.0\.1; this is {name} .*force=true"),
        again.hold(CPU, "data"),
    ):
        pass
    assert path.read_text() == before
    with again.hold(CPU, "data", force=True):
        assert again.rounds == []


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
            record.append(row(0, 2, 0), purchase())
    assert not record.dir.exists()


def test_a_folder_deleted_and_begun_by_another(tmp_path):
    first, second = make(tmp_path), make(tmp_path)
    with first.hold(CPU, "data"):
        shutil.rmtree(first.dir)
        with second.hold(CPU, "data"):
            second.start(purchase(4, 2))
            second.append(row(0, 2, 3), purchase(9, 1, 3))
            with pytest.raises(BadInput, match=r"taken over by process \d+"):
                first.append(row(0, 2, 0), purchase())
    assert make(tmp_path).rounds == second.rounds


def test_waiting_ends_with_what_the_holder_has_left(tmp_path):
    first, second = make(tmp_path), make(tmp_path)
    waiting = threading.Thread(target=second.wait, args=(lambda: None,), daemon=True)
    with first.hold(CPU, "data"):
        waiting.start()
        first.start(purchase(4, 2))
        first.append(row(0, 2, 3), purchase(9, 1, 3))
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
    def flock(*args):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    first, second = make(tmp_path), make(tmp_path)
    held = pytest.raises(BadInput, match=r"being written by process \d+ on \S+ since [^;]*$")
    with first.hold(CPU, "data"), held, second.hold(CPU, "data"):
        pass
    with second.hold(CPU, "data"):
        pass
    (second.dir / ".lock.soft").write_text('{"host": "elsewhere"}')
    advice = pytest.raises(BadInput, match=rf"another process; if that .* delete {second.dir}/\.lock\.soft$")
    with advice, second.hold(CPU, "data"):
        pass


@pytest.fixture
def plain(monkeypatch):
    """An environment without any variable that changes bits, of which the tests' own may have some."""
    for name in provenance.CHANGES_BITS:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("plain")
def test_what_changes_bits_and_is_no_setting_is_recorded_and_said(written, tmp_path, monkeypatch):
    def notes():
        again = make(tmp_path)
        with again.hold(CPU, "data"):
            return again.notes

    def machines():
        return [s["machine"] for s in json.loads((written.dir / "provenance.json").read_text())["sessions"]]

    assert machines()[0]["environment"] == {}
    assert notes() == []
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    monkeypatch.setenv("HOME", "/another")
    (note,) = notes()
    assert note.startswith(
        "begun with MKL_CBWR not set, ONEDNN_MAX_CPU_ISA not set; "
        "this is with MKL_CBWR=COMPATIBLE, ONEDNN_MAX_CPU_ISA=AVX2;"
    )
    assert machines()[-1]["environment"] == {"MKL_CBWR": "COMPATIBLE", "ONEDNN_MAX_CPU_ISA": "AVX2"}
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA")
    monkeypatch.delenv("MKL_CBWR")
    (note,) = notes()  # the rounds of the session in between are in the record too
    assert note.startswith("begun with MKL_CBWR=COMPATIBLE, ")
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        (note,) = notes()
    finally:
        torch.set_float32_matmul_precision(precision)
    assert "this is with torch.float32_matmul_precision=medium" in note
    now = provenance.session(CPU)
    old = dataclasses.replace(now, machine=dataclasses.replace(now.machine, environment=None))
    monkeypatch.setenv("MKL_CBWR", "AVX2")  # a hetal that did not record it knows of no difference
    assert provenance.environment_change(provenance.session(CPU), [old]) is None


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return a finished record and the content of its files."""
    record = make(tmp_path_factory.mktemp("record"))
    with record.hold(CPU, "data"):
        record.start(purchase(4, 2))
        record.append(row(0, 2, 3), purchase(9, 1, 3))
        record.finish(summary_of(1))
    return record, {path: path.read_bytes() for path in record.dir.rglob("*") if path.is_file()}


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_changed_byte_ends_in_anything_but_bad_input(data, finished):
    record, files = finished
    shutil.rmtree(record.dir)
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    path = record.dir / data.draw(
        st.sampled_from(["rounds.jsonl", "queries.npz", "provenance.json", "summary.json"])
    )
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    tmp_path = record.dir.parents[1]
    with contextlib.suppress(BadInput):
        again = make(tmp_path)
        assert again.rounds == record.rounds[: len(again.rounds)]
        assert [b.ids.tolist() for b in again.purchases] == [[4, 2], [9, 1, 3]][: 2 * len(again.rounds)]
        assert again.summary in (None, record.summary)
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
    summary = summary_of(2)
    with written.hold(CPU, "data"):
        written.finish(summary)
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


# A record that was changed by other hands.


def change_line(folder, t, old, new):
    path = folder / "rounds.jsonl"
    lines = path.read_text().splitlines(True)
    assert old in lines[t]
    lines[t] = lines[t].replace(old, new, 1)
    path.write_text("".join(lines))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"accuracy": 0,', '"accuracy": 0.625,'), ('"steps": 7', '"steps": 8'), ('"nll": 0,', '"nll": 0.25,'),
        ('"epochs": 0', '"epochs": 3'), ('"train": 1.0', '"train": 2.0'), ('"digest": "', '"digest": "0'),
        ('"queries_digest": "', '"queries_digest": "0'), (', "digest"', ', "digests"'),
    ],
)  # fmt: skip
@pytest.mark.parametrize("t", [0, 1])
def test_a_line_that_was_changed_is_named(t, old, new, written, tmp_path):
    change_line(written.dir, t, old, new)
    with pytest.raises(BadInput, match=rf"rounds\.jsonl is damaged \(line {t + 1} .*copy .*force=true"):
        make(tmp_path)


def test_a_changed_line_is_said_to_be_changed(written, tmp_path):
    change_line(written.dir, 1, '"accuracy": 0,', '"accuracy": 0.625,')
    with pytest.raises(BadInput, match=r"\(line 2 was changed after it was written\)"):
        make(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[1:],
        lambda lines: [lines[0], lines[0]],
        lambda lines: [lines[1], lines[0]],
        lambda lines: [lines[1].replace('"round": 1', '"round": 0')],
    ],
)
def test_lines_that_are_gone_or_moved_are_refused(change, written, tmp_path):
    path = written.dir / "rounds.jsonl"
    path.write_text("".join(change(path.read_text().splitlines(True))))
    with pytest.raises(BadInput, match=r"rounds\.jsonl is damaged \(line [12] "):
        make(tmp_path)


def test_the_rounds_of_another_run_are_refused(written, tmp_path):
    other = make(tmp_path, seed=1)
    with other.hold(CPU, "data"):
        pass
    for name in ("rounds.jsonl", "queries.npz"):
        shutil.copy(written.dir / name, other.dir / name)
    with pytest.raises(BadInput, match=r"line 1 was changed"):
        make(tmp_path, seed=1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("accuracy", 7.0), ("accuracy", -0.1), ("macro_f1", 1.5), ("nll", -1.0), ("ece", -0.5), ("train_accuracy", 2.0),
        ("n_labelled", -5), ("steps", -1), ("epochs", -1), ("restarts", -2), ("clean_share", 1.25), ("n_distinct", -3),
        ("bought_per_class", [-1]), ("seconds", {"train": -1.0}), ("peak_memory_mb", -1.0), ("accuracy", float("inf")),
        ("n_bought", 2), ("n_labelled", 5), ("n_labelled", 1), ("pseudo_accuracy", 1.5), ("unknown", 1),
    ],
)  # fmt: skip
def test_values_that_cannot_be_are_refused_however_they_are_sealed(field, value, written, tmp_path):
    reseal(written.dir, rows=lambda rows: rows[0].update({field: value}))
    with pytest.raises(BadInput, match=r"(rounds\.jsonl|queries\.npz) is damaged"):
        make(tmp_path)


def flip(arrays):
    arrays["labels"][3] += 1


def swap(arrays):
    arrays["ids"][[0, 2]] = arrays["ids"][[2, 0]]


def unmark(arrays):
    arrays["is_noisy"][2] = ~arrays["is_noisy"][2]


def enlarge(arrays):
    for name in arrays:
        arrays[name] = np.concatenate([arrays[name][:1], arrays[name]])
    arrays["ids"][0] = 7


@pytest.mark.parametrize("change", [flip, swap, unmark, enlarge])
def test_purchases_that_were_changed_are_named(change, written, tmp_path):
    change_queries(written.dir, change)
    with pytest.raises(BadInput, match=r"queries\.npz is damaged \(.*(round 0|does not match).*force=true"):
        make(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda about: about["choices"].update(alg="badge"),
        lambda about: about.update(data="other"),
        lambda about: about["sessions"][0].update(python="2.7"),
        lambda about: about["settings"].update(seed=3),
    ],
)
def test_provenance_that_was_changed_is_refused(change, written, tmp_path):
    path = written.dir / "provenance.json"
    about = json.loads(path.read_text())
    change(about)
    path.write_text(json.dumps(about, indent=2))
    with pytest.raises(BadInput, match=r"provenance\.json is damaged \(was changed after it was written\)"):
        make(tmp_path)


def test_a_summary_that_was_changed_is_made_again(written, tmp_path):
    with written.hold(CPU, "data"):
        written.finish(summary_of(2))
    path = written.dir / "summary.json"
    path.write_text(path.read_text().replace("0.5", "0.75"))
    found = make(tmp_path)
    assert found.summary is None
    assert "summary.json was changed after it was written; it is made again" in found.notes[0]


@pytest.mark.parametrize("name", ["rounds.jsonl", "queries.npz", "provenance.json", "summary.json"])
@pytest.mark.parametrize("error", [errno.ESTALE, errno.EIO, errno.EACCES, None])
def test_what_cannot_be_read_is_not_called_damaged(name, error, written, tmp_path, monkeypatch):
    with written.hold(CPU, "data"):
        written.finish(summary_of(2))
    really_open = os.open

    def failing(path, *how, **more):
        if Path(path).name == name:
            raise MemoryError if error is None else OSError(error, os.strerror(error), str(path))
        return really_open(path, *how, **more)

    monkeypatch.setattr(os, "open", failing)
    reason = "not enough memory" if error is None else os.strerror(error)
    with pytest.raises(BadInput) as told:
        make(tmp_path)
    assert str(told.value) == f"cannot read {written.dir / name}: {reason}; nothing was changed"
    monkeypatch.undo()
    assert make(tmp_path).summary is not None


def test_a_pipe_in_a_record_is_not_waited_for(written, tmp_path):
    (written.dir / "rounds.jsonl").unlink()
    os.mkfifo(written.dir / "rounds.jsonl")
    with pytest.raises(BadInput, match=r"cannot read .*rounds\.jsonl: it is no regular file"):
        make(tmp_path)


def test_arrays_that_memory_does_not_hold_are_not_called_damaged(written, tmp_path, monkeypatch):
    def failing(*_, **__):
        raise MemoryError

    monkeypatch.setattr(np, "load", failing)
    with pytest.raises(
        BadInput, match=r"cannot read .*queries\.npz: not enough memory .*nothing was changed$"
    ):
        make(tmp_path)


def test_a_record_that_is_replaced_while_it_is_read_is_read_again(written, tmp_path, monkeypatch):
    later = shutil.copytree(written.dir, tmp_path / "later")
    reseal(later, rows=lambda rows: rows[0].update(nll=0.5))
    read, moved = reader.read_bytes, []

    def slowly(path):
        found = read(path)
        if path.name == "rounds.jsonl" and not moved:  # a writer replaces queries.npz, then rounds.jsonl
            moved.append(path)
            change_queries(written.dir, flip)
            change_queries(later, flip)
            reseal(later)
            for name in ("queries.npz", "rounds.jsonl"):
                os.replace(later / name, written.dir / name)
        return found

    monkeypatch.setattr(reader, "read_bytes", slowly)
    assert make(tmp_path).rounds[0].nll == 0.5


def test_a_folder_of_another_run_is_never_taken_for_ones_own(tmp_path, monkeypatch):
    monkeypatch.setattr(identity, "settings_hash", lambda settings: "0" * 16)
    first = make(tmp_path, train={"lr": 0.1})
    with first.hold(CPU, "data"):
        pass
    with pytest.raises(
        BadInput, match=r"holds another run \(train\.lr is 0\.1 there and 0\.2 here\)"
    ) as told:
        make(tmp_path, train={"lr": 0.2})
    assert "\n" not in str(told.value)


def test_the_state_of_a_strategy_is_that_of_its_query(tmp_path):
    record = make(tmp_path)
    with record.hold(CPU, "data"):
        record.start(purchase(4, 2))
        record.append(row(0, 2, 3), purchase(9, 1, 3), {"seen": 1})
        record.append(row(1, 5, 1), purchase(8), {"seen": 2})
    assert make(tmp_path).strategy_state() == {"seen": 2}
    shutil.copy(record.dir / "strategy-0.pt", record.dir / "strategy-1.pt")
    with pytest.raises(BadInput, match=r"strategy-1\.pt is damaged \(it is of other queries\)"):
        make(tmp_path).strategy_state()
    (record.dir / "strategy-1.pt").unlink()
    with pytest.raises(BadInput, match=r"strategy-1\.pt is missing"):
        make(tmp_path).strategy_state()


def test_rounds_that_are_cut_keep_their_digests(tmp_path):
    record = make(tmp_path)
    with record.hold(CPU, "data"):
        record.start(purchase(4, 2))
        record.append(row(0, 2, 3), purchase(9, 1, 3))
        record.append(row(1, 5, 0), purchase())
        record.finish(summary_of(2))
    with record.hold(CPU, "data"):
        record.cut(1)
        record.append(row(1, 5, 1), purchase(8))
        record.append(row(2, 6, 0), purchase())
        record.finish(summary_of(3))
    again = make(tmp_path)
    assert again.rounds == record.rounds
    assert again.summary == summary_of(3)


# What was bought, beside what the data say.


@pytest.mark.parametrize(
    ("t", "changes", "said"),
    [
        (0, {"labels": [0, 1]}, r"the start set says that row 4 has label 0; by the data it is 1"),
        (0, {"ids": [4, 3]}, r"the start set says that row 3 has label 2; by the data it is 0"),
        (1, {"labels": [0, 1, 1]}, r"round 0 says that row 3 has label 1; by the data it is 0"),
        (1, {"source": [9, 1, 4]}, r"round 0 says that row 3 has image 4; by the data it is 3"),
        (
            1,
            {"is_noisy": [False] * 3},
            r"round 0 says that row 9 has noise flag False; by the data it is True",
        ),
        (1, {"ids": [9, 1, 12]}, r"round 0 holds row 12, which is not in 0\.\.9"),
        (1, {"ids": [9, -1, 3]}, r"round 0 holds row -1, which is not in 0\.\.9"),
        (1, {"ids": [9, 9, 3]}, r"round 0 holds a row that was bought before"),
        (1, {"ids": [9, 4, 3]}, r"round 0 holds a row that was bought before"),
    ],
)
def test_purchases_are_compared_with_the_data(t, changes, said):
    oracle = Oracle(
        NoisyPool(torch.zeros(10, 2), torch.arange(10), torch.arange(10) % 3, torch.arange(10) > 5)
    )
    held = [purchase(4, 2), purchase(9, 1, 3)]
    check_purchases(held, oracle, torch.arange(10), torch.tensor([4, 2]))
    held[t] = dataclasses.replace(held[t], **{name: torch.tensor(value) for name, value in changes.items()})
    with pytest.raises(BadInput, match=rf"queries\.npz: {said}; .*copy.*force=true"):
        check_purchases(held, oracle, torch.arange(10), torch.tensor([4, 2]))


@pytest.mark.parametrize("ids", [(2, 4), (4, 2, 7), (4,), (4, 7)])
def test_the_start_set_is_the_one_that_the_seed_draws(ids):
    oracle = Oracle(
        NoisyPool(torch.zeros(10, 2), torch.arange(10), torch.arange(10) % 3, torch.arange(10) > 5)
    )
    with pytest.raises(BadInput, match=r"the start set holds other rows than the 2 that the seed draws"):
        check_purchases([purchase(*ids)], oracle, torch.arange(10), torch.tensor([4, 2]))
